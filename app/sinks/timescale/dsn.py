"""The DSN: what of it may be shown, and whether it can be read at all."""

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from pydantic import SecretStr

from app.errors import ConfigurationError

_HOSTS = re.compile(r"[\w.:,\[\]-]*", re.ASCII)
_FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl")


def server_of(dsn: SecretStr) -> str:
    """`PostgreSQL at host:port/database`, for messages. Raises ConfigurationError that shows nothing of it.

    A password with `/`, `?` or `#` ends the address early, and what is left of it looks like host or path.
    """
    try:
        parts = urlsplit(dsn.get_secret_value())
    except ValueError:  # its text shows the host, which may be the password
        raise unreadable() from None
    hosts = parts.netloc.rpartition("@")[2]
    beyond = parts.path + parts.query + parts.fragment
    if parts.scheme not in ("postgresql", "postgres") or not _HOSTS.fullmatch(hosts) or "@" in beyond:
        raise unreadable()
    if not _are_addresses(hosts):
        raise unreadable()
    _check_files(parts.query)
    return f"PostgreSQL at {hosts or 'localhost'}{parts.path}"


def _check_files(query: str) -> None:
    """asyncpg's errors don't tell a file that is missing from a server that is."""
    for name, file in parse_qsl(query):
        if name in _FILES and not os.access(Path(file).expanduser(), os.R_OK):
            raise ConfigurationError(
                f"{name} in SIGSTREAM_TIMESCALE_DSN is {file}, which can't be read: name a PEM file"
            )


def _are_addresses(hosts: str) -> bool:
    """Ports are numbers: what follows a colon may be a password else."""
    plain = re.sub(r"\[[^\]]*\]", "", hosts)
    return all(port.isdigit() for host in plain.split(",") for port in host.split(":")[1:])


def unreadable() -> ConfigurationError:
    """What to do about a DSN that nobody can read; it is not shown, as it may hold a password."""
    return ConfigurationError(
        "SIGSTREAM_TIMESCALE_DSN can't be used (it is not shown, as it may hold a password): write "
        "postgresql://user:password@host:port/database, and in user and password @ as %40, / as %2F, "
        "? as %3F, # as %23, % as %25"
    )
