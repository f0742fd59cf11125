"""What asyncpg raises -> Transient, Terminal, or a row that the table refuses; by class and SQLSTATE."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from app.errors import ConfigurationError, SigstreamError, Terminal, Transient

_TRANSIENT = {
    "25006": "it is read-only, as a standby is during a failover",
    "25P03": "it ended a transaction that stood still",
    "40": "the transaction lost against another one",
    "08": "the connection broke",
    "53": "it is short of connections, memory or disk",
    "55P03": "a lock was not to be had in time",
    "55006": "the object is in use",
    "57": "it is starting, stopping, or cancelled the statement",
    "58": "its system failed",
}
"""SQLSTATE or its class -> what it says of the server."""

_REMEDIES = {
    "28": "check user and password in SIGSTREAM_TIMESCALE_DSN (and sslmode), and pg_hba.conf of the server",
    "53400": "raise what the message names, for the user or the server",
    "3D000": "create the database (`createdb`), or correct its name in SIGSTREAM_TIMESCALE_DSN",
    "42501": "grant the sink's user the role sigstream_writer; to change the schema, run `sigstream "
    "migrate` as its owner, who needs CREATE on it (and `CREATE EXTENSION timescaledb` a superuser once)",
    "42P07": "a table `signals` that sigstream did not make is in the way: rename it, use another database, "
    "or, when it has the columns of migration 0001, run `alembic stamp 0001`",
    "42P01": "the schema is not the one of this version: run `sigstream migrate`",
    "42703": "the schema is not the one of this version: run `sigstream migrate`",
}
"""SQLSTATE or its class -> what somebody has to change."""

_OF_CLASS: dict[type[BaseException], str] = {
    ssl.SSLCertVerificationError: "shows a certificate that is not trusted ({error.verify_message}): name "
    "the CA that signed it as sslrootcert in SIGSTREAM_TIMESCALE_DSN, and the host as the certificate has it",
    ssl.SSLError: "can't be reached by TLS ({error.reason}): check sslmode, sslrootcert, sslcert and sslkey "
    "in SIGSTREAM_TIMESCALE_DSN",
}
"""What somebody has to change, by class: TLS."""

_REFUSED = ("22", "23", "54")
"""Data exception, integrity violation, program limit (a value too long for an index)."""

_REASON_CHARS = 400

ROW_ERRORS = (asyncpg.PostgresError, ValueError, TypeError, ArithmeticError)
"""What a bad row may raise: from the server, or from asyncpg's encoders; see `refused`."""


def refused(error: BaseException) -> str | None:
    """Why the table refuses a row that was sent, or None when the error is of another kind."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return f"PostgreSQL {state}: {_short(error)}" if state.startswith(_REFUSED) else None
    if isinstance(error, (ValueError, TypeError, ArithmeticError)):
        return f"not a PostgreSQL value: {_short(error)}"
    return None


def _short(error: BaseException) -> str:
    """asyncpg quotes the value it can't encode, whatever its length."""
    text = str(error)
    return text if len(text) <= _REASON_CHARS else text[:_REASON_CHARS] + "..."


def of(error: BaseException, server: str) -> SigstreamError | None:
    """The product's error for a driver's; None for one that is not the driver's. `server` names it."""
    if isinstance(error, asyncpg.PostgresError):
        return _of_state(error, server)
    if isinstance(error, asyncpg.exceptions.ClientConfigurationError):
        return ConfigurationError(
            f"SIGSTREAM_TIMESCALE_DSN can't be used: {error}; send it as "
            "postgresql://user:password@host:port/database"
        )
    for kind, advice in _OF_CLASS.items():
        if isinstance(error, kind):
            return ConfigurationError(f"{server} {advice.format(error=error)}")
    if isinstance(error, (OSError, TimeoutError, asyncpg.InterfaceError, asyncpg.InternalClientError)):
        # asyncpg 0.32 raises the bare class where the server does not take up TLS, or breaks it off.
        tls = ", and does it take TLS as sslmode asks for?" if type(error) is ConnectionError else "?"
        return Transient(f"{server} does not answer ({_say(error)}): is it running and reachable{tls}")
    return None


def _of_state(error: asyncpg.PostgresError, server: str) -> SigstreamError:
    state = error.sqlstate or ""
    for key in (state, state[:2]):
        if key in _TRANSIENT:
            return Transient(f"{server} can't do it now ({state} {error}): {_TRANSIENT[key]}")
        if key in _REMEDIES:
            return ConfigurationError(f"{server} refuses ({state} {error}): {_REMEDIES[key]}")
    return Terminal(f"{server} refuses ({state} {error}): see the server's log")


def _say(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


@contextmanager
def translated(server: str) -> Iterator[None]:
    """Turn what the driver raises inside into the product's errors."""
    try:
        yield
    except Exception as error:
        if (ours := of(error, server)) is None:
            raise
        raise ours from error
