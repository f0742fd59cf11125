"""Real servers, each behind a proxy, and a small disk for the workers' state."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.ports import HOST
from app.embedded.postgres import Postgres
from app.embedded.server import start_all, stop_all
from tests.support.faults.disk import small_disk
from tests.support.faults.kafka import ProxiedKafka
from tests.support.faults.proxy import Proxy

DISK_MB = 256
NAMESPACE = "soak"


@dataclass
class Servers:
    """What workers talk to."""

    kafka: ProxiedKafka
    postgres: Postgres
    bigquery: BigQuery
    kafka_proxy: Proxy
    store_proxies: dict[str, list[Proxy]]
    """By sink."""


@dataclass
class Place:
    """`direct` are the settings of who looks on, `proxied` those of the workers."""

    servers: Servers
    direct: Settings
    proxied: Settings
    directory: Path
    """For logs: not on the small disk."""
    disk: Path
    """The workers' data directory."""


@contextmanager
def open_place() -> Iterator[Place]:
    """All started. To be called from the main thread."""
    quiet()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sigstream-soak-")))
        directory.chmod(0o711)  # PostgreSQL's user passes through
        proxies = [stack.enter_context(Proxy(kafka=number == 0)) for number in range(4)]
        servers = _servers(directory / "servers", proxies)
        all_ = [servers.kafka, servers.postgres, servers.bigquery]
        start_all(all_)
        stack.callback(stop_all, all_)
        _aim(servers)
        disk = stack.enter_context(small_disk(directory / "disk", DISK_MB))
        direct = Settings(_env_file=None, **_settings(servers, disk))  # type: ignore[arg-type]
        yield Place(servers, direct, _through(direct, servers), directory, disk)


def quiet() -> None:
    """The harness's own log; nothing of ours from the environment."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        del os.environ[name]


def _servers(directory: Path, proxies: list[Proxy]) -> Servers:
    kafka, postgres, rest, grpc = proxies
    return Servers(
        ProxiedKafka(directory / "kafka", kafka),
        Postgres(directory / "postgres"),
        BigQuery(directory / "bigquery"),
        kafka,
        {"timescale": [postgres], "bigquery": [rest, grpc]},
    )


def _aim(servers: Servers) -> None:
    servers.store_proxies["timescale"][0].target = servers.postgres.ports["postgres"]
    rest, grpc = servers.store_proxies["bigquery"]
    rest.target, grpc.target = servers.bigquery.ports["rest"], servers.bigquery.ports["grpc"]


def _settings(servers: Servers, disk: Path) -> dict[str, object]:
    return {
        **servers.kafka.settings(),
        **servers.postgres.settings(),
        **servers.bigquery.settings(),
        "namespace": NAMESPACE,
        "bigquery_dataset": NAMESPACE,
        "data_dir": disk,
        "gap_wait_s": 2.0,
        "sink_retry_cap_s": 2.0,
        "log_format": "json",
        "sinks": ("sqlite", "timescale", "bigquery"),
    }


def _through(direct: Settings, servers: Servers) -> Settings:
    rest, grpc = servers.store_proxies["bigquery"]
    (postgres,) = servers.store_proxies["timescale"]
    found = urlsplit(direct.timescale_dsn or "")
    netloc = f"{found.netloc.rpartition(':')[0]}:{postgres.port}"
    return direct.model_copy(
        update={
            "kafka": servers.kafka.proxied,
            "timescale_dsn": found._replace(netloc=netloc).geturl(),
            "bigquery_rest": f"http://{HOST}:{rest.port}",
            "bigquery_grpc": f"{HOST}:{grpc.port}",
        }
    )
