"""How every client of the product reaches Kafka: address, TLS and login, out of the settings."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.config import Settings
from app.errors import ConfigurationError


def client_options(settings: Settings) -> dict[str, Any]:
    """What aiokafka's consumers, producers and admin clients are made with: address, TLS and login.

    Raises ConfigurationError for settings that contradict each other, and for files that can't be used.
    """
    return {"bootstrap_servers": settings.need_kafka(), **security_options(settings)}


def security_options(settings: Settings) -> dict[str, Any]:
    """The part of `client_options` that is about TLS and login; nothing where neither is asked for."""
    protocol = settings.kafka_security_protocol
    _check_login(settings)
    options: dict[str, Any] = {"security_protocol": protocol}
    if protocol.endswith("SSL"):
        options["ssl_context"] = _tls(settings)
    if protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": settings.kafka_sasl_password.get_secret_value(),
        }
    return options


def _check_login(settings: Settings) -> None:
    protocol = settings.kafka_security_protocol
    named, known = bool(settings.kafka_sasl_username), bool(settings.kafka_sasl_password.get_secret_value())
    if protocol.startswith("SASL") and not (named and known):
        missing = "SIGSTREAM_KAFKA_SASL_PASSWORD" if named else "SIGSTREAM_KAFKA_SASL_USERNAME"
        raise ConfigurationError(f"SIGSTREAM_KAFKA_SECURITY_PROTOCOL is {protocol}, but {missing} is not set")
    if (named or known) and not protocol.startswith("SASL"):
        raise ConfigurationError(
            f"a login for Kafka is set, but SIGSTREAM_KAFKA_SECURITY_PROTOCOL is {protocol}, which has none: "
            "set it to SASL_SSL, or unset SIGSTREAM_KAFKA_SASL_USERNAME and _PASSWORD"
        )
    if settings.kafka_ssl_cafile and not protocol.endswith("SSL"):
        raise ConfigurationError(
            f"SIGSTREAM_KAFKA_SSL_CAFILE is set, but SIGSTREAM_KAFKA_SECURITY_PROTOCOL is {protocol}, "
            "without TLS: set it to SSL or SASL_SSL"
        )


def _tls(settings: Settings) -> ssl.SSLContext:
    """Checks the brokers' certificates and host names, by the system's CAs unless there is a file."""
    context: ssl.SSLContext = _from_file("CAFILE", settings.kafka_ssl_cafile, _trusting)
    if settings.kafka_ssl_certfile:
        key = settings.kafka_ssl_keyfile
        _from_file("CERTFILE", settings.kafka_ssl_certfile, lambda file: context.load_cert_chain(file, key))
    return context


def _trusting(cafile: Path | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=cafile)


def _from_file(setting: str, file: Path | None, load: Callable[[Any], Any]) -> Any:
    try:
        return load(file)
    except OSError as error:  # ssl.SSLError is one, too
        raise ConfigurationError(
            f"SIGSTREAM_KAFKA_SSL_{setting} is {file}, which can't be used ({error}): "
            "name a readable PEM file"
        ) from error
