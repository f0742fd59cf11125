"""Why Kafka can't be reached: which of address, TLS and login is wrong, and what to do about it."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka.conn import create_conn
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from app.config import Settings
from app.errors import ConfigurationError, SigstreamError, Transient
from app.kafka_client import security_options

ATTEMPT_TIMEOUT_MS = 5_000
DEFAULT_PORT = 9092
"""aiokafka's."""

_CLOSED = (
    "closes the connection: it is starting or stopping, or SIGSTREAM_KAFKA_SECURITY_PROTOCOL, which is "
    "{protocol}, is not what that port's listener has, or it wants a client's certificate "
    "(SIGSTREAM_KAFKA_SSL_CERTFILE)"
)
_ADVICE: tuple[tuple[type[BaseException], type[SigstreamError], str], ...] = (
    (
        ssl.SSLCertVerificationError,
        ConfigurationError,
        "shows a certificate that is not trusted ({error.verify_message}): set SIGSTREAM_KAFKA_SSL_CAFILE to "
        "the certificate of the CA that signed it, and write host names in SIGSTREAM_KAFKA as it has them",
    ),
    (
        ssl.SSLError,
        ConfigurationError,
        "and this client don't agree on TLS ({error.reason}): SIGSTREAM_KAFKA_SECURITY_PROTOCOL is "
        "{protocol}, set it to what that port's listener has, and SIGSTREAM_KAFKA_SSL_CERTFILE if it "
        "wants a certificate",
    ),
    (
        SaslAuthenticationFailed,
        ConfigurationError,
        "refuses user {user!r} by {mechanism}: check SIGSTREAM_KAFKA_SASL_USERNAME, _PASSWORD and _MECHANISM",
    ),
    (
        UnsupportedSaslMechanismError,
        ConfigurationError,
        "does not take {mechanism}: set SIGSTREAM_KAFKA_SASL_MECHANISM to one that it has",
    ),
    (
        IllegalSaslStateError,
        ConfigurationError,
        "has no login at that port: SIGSTREAM_KAFKA_SECURITY_PROTOCOL is {protocol}, set it to what that "
        "port's listener has",
    ),
    (KafkaConnectionError, Transient, _CLOSED),
    (ConnectionResetError, Transient, _CLOSED),
    (ValueError, ConfigurationError, "is no address: write SIGSTREAM_KAFKA as host:port[,host:port]"),
    (BaseException, Transient, "does not answer ({error!r}): check SIGSTREAM_KAFKA, or start `sigstream up`"),
)
"""What one attempt raised, the first class that fits -> what is said. None of the texts has the password."""


@asynccontextmanager
async def connecting(settings: Settings) -> AsyncIterator[None]:
    """Within: what keeps a client from connecting is raised as the product's error that names the cause.

    aiokafka 0.14.0 only says "Unable to bootstrap", whatever the cause.
    """
    try:
        yield
    except KafkaConnectionError as error:
        raise await diagnose(settings) from error


async def diagnose(settings: Settings) -> SigstreamError:
    """Connects once to each server, and says what is wrong with the first that is reached.

    ConfigurationError for TLS and login, which waiting does not heal; else Transient.
    """
    addresses = [address.strip() for address in settings.need_kafka().split(",")]
    found = [advice(settings, address, await _attempt(settings, address)) for address in addresses]
    return next((error for error in found if isinstance(error, ConfigurationError)), found[0])


async def _attempt(settings: Settings, address: str) -> BaseException | None:
    """What connecting, logging in and one request raise."""
    host, _, port = address.rpartition(":") if ":" in address else (address, "", "")
    options = security_options(settings)
    try:
        connection = await create_conn(
            host.strip("[]"), int(port or DEFAULT_PORT), request_timeout_ms=ATTEMPT_TIMEOUT_MS, **options
        )
    except (OSError, KafkaError, ValueError) as error:
        return error
    try:
        await connection.send(MetadataRequest([]))
    except (OSError, KafkaError) as error:
        return error
    finally:
        connection.close()
    return None


def advice(settings: Settings, address: str, error: BaseException | None) -> SigstreamError:
    """The product's error for what an attempt raised; None: it answers by now."""
    if error is None:
        return Transient(f"Kafka at {address} did not answer, and does now: try again")
    kind, text = next((kind, text) for cause, kind, text in _ADVICE if isinstance(error, cause))
    what = text.format(
        error=error,
        protocol=settings.kafka_security_protocol,
        mechanism=settings.kafka_sasl_mechanism,
        user=settings.kafka_sasl_username,
    )
    return kind(f"Kafka at {address} {what}")
