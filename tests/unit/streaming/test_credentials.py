"""Faust is told the same as every other client."""

from pathlib import Path
from typing import Any

import pytest
from faust.transport.drivers.aiokafka import credentials_to_aiokafka_auth

from app.config import Settings
from app.kafka_client import security_options
from app.streaming.app import _credentials
from tests.support.certificates import Authority

LOGIN = {"kafka_sasl_username": "u", "kafka_sasl_password": "p", "kafka_sasl_mechanism": "SCRAM-SHA-512"}


@pytest.mark.parametrize("protocol", ["SSL", "SASL_PLAINTEXT", "SASL_SSL"])
def test_faust_connects_as_the_others_do(protocol: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {"kafka_security_protocol": protocol}
    if protocol.startswith("SASL"):
        given |= LOGIN
    if protocol.endswith("SSL"):
        given["kafka_ssl_cafile"] = Authority(tmp_path).file
    settings = Settings(_env_file=None, **given)
    wanted, found = security_options(settings), dict(credentials_to_aiokafka_auth(_credentials(settings)))
    contexts = [options.pop("ssl_context", None) for options in (wanted, found)]
    assert found == wanted
    assert [type(context) for context in contexts] == [type(contexts[0])] * 2
    assert (contexts[0] is not None) == protocol.endswith("SSL")


def test_without_security_there_are_no_credentials() -> None:
    assert _credentials(Settings(_env_file=None)) is None
