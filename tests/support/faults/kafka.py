"""The embedded Kafka with a second listener, whose advertised address is that of a proxy."""

from pathlib import Path

from app.embedded.kafka import Kafka
from app.embedded.ports import HOST
from tests.support.faults.proxy import Proxy


class ProxiedKafka(Kafka):
    """Clients that begin at `proxied` stay behind the proxy; `bootstrap` is the way past it."""

    port_names = ("kafka", "controller", "proxied")

    def __init__(self, directory: Path, proxy: Proxy) -> None:
        super().__init__(directory)
        self._proxy = proxy

    @property
    def proxied(self) -> str:
        """`host:port` of the proxy, for clients."""
        return f"{HOST}:{self._proxy.port}"

    def _broker_settings(self) -> dict[str, str]:
        self._proxy.target = self.ports["proxied"]
        found = super()._broker_settings()
        protocols = found["listener.security.protocol.map"]
        return {
            **found,
            "listeners": f"{found['listeners']},PROXIED://{HOST}:{self.ports['proxied']}",
            "advertised.listeners": f"{found['advertised.listeners']},PROXIED://{self.proxied}",
            "listener.security.protocol.map": f"{protocols},PROXIED:PLAINTEXT",
            "inter.broker.listener.name": "PLAINTEXT",
        }
