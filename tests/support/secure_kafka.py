"""The embedded Kafka behind TLS and logins: a listener for each security protocol but PLAINTEXT."""

from pathlib import Path
from typing import Any, ClassVar

from app.config import Settings
from app.embedded.kafka import Kafka
from app.embedded.ports import HOST
from app.kafka_client import client_options
from tests.support.certificates import Authority

USER = "alice"
PASSWORD = "pw-Kafka-7f3a9c"  # one that no log may have
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_LOGIN = "org.apache.kafka.common.security"


class SecureKafka(Kafka):
    """`security` is what clients need besides the address; the SSL listener wants a client's certificate."""

    port_names: ClassVar[tuple[str, ...]] = ("kafka", "controller", "ssl", "sasl")

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.authority = Authority(directory / "pki")
        self._certificate, self._key = self.authority.issue("broker")
        self._keystore = directory / "pki" / "keystore.pem"
        self._keystore.write_bytes(self._key.read_bytes() + self._certificate.read_bytes())

    def at(self, protocol: str) -> str:
        """Address of the listener with that security protocol."""
        port = {"SASL_SSL": "kafka", "SSL": "ssl", "SASL_PLAINTEXT": "sasl"}[protocol]
        return f"{HOST}:{self.ports[port]}"

    def settings(self) -> dict[str, Any]:
        """Of the SASL_SSL listener."""
        return {
            "kafka": self.bootstrap,
            "kafka_security_protocol": "SASL_SSL",
            "kafka_sasl_mechanism": "SCRAM-SHA-256",
            "kafka_sasl_username": USER,
            "kafka_sasl_password": PASSWORD,
            "kafka_ssl_cafile": self.authority.file,
        }

    def _broker_settings(self) -> dict[str, str]:
        listeners = {name: self.at(name) for name in ("SASL_SSL", "SSL", "SASL_PLAINTEXT")}
        advertised = ",".join(f"{name}://{address}" for name, address in listeners.items())
        protocols = ",".join(f"{name}:{name}" for name in listeners)
        return {
            **super()._broker_settings(),
            "listeners": f"{advertised},CONTROLLER://{HOST}:{self.ports['controller']}",
            "advertised.listeners": advertised,
            "listener.security.protocol.map": f"{protocols},CONTROLLER:PLAINTEXT",
            "inter.broker.listener.name": "SASL_SSL",
            "sasl.mechanism.inter.broker.protocol": "PLAIN",
            "sasl.enabled.mechanisms": ",".join(MECHANISMS),
            "listener.name.ssl.ssl.client.auth": "required",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._keystore),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            **{
                f"listener.name.{listener}.{mechanism.lower()}.sasl.jaas.config": _jaas(mechanism)
                for listener in ("sasl_ssl", "sasl_plaintext")
                for mechanism in MECHANISMS
            },
        }

    def _format_options(self) -> list[str]:
        return [
            option
            for mechanism in MECHANISMS[1:]
            for option in ("--add-scram", f"{mechanism}=[name={USER},password={PASSWORD}]")
        ]

    def _client_options(self) -> dict[str, Any]:
        return client_options(Settings(_env_file=None, **self.settings()))


def _jaas(mechanism: str) -> str:
    if mechanism == "PLAIN":
        users = f'username="broker" password="b" user_broker="b" user_{USER}="{PASSWORD}"'
        return f"{_LOGIN}.plain.PlainLoginModule required {users};"
    return f"{_LOGIN}.scram.ScramLoginModule required;"
