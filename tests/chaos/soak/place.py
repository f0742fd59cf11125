"""Real servers, each behind a proxy, and a small disk for the workers' state."""

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import structlog

from app.config import Settings, plain
from app.embedded.bigquery import BigQuery
from app.embedded.ports import HOST
from app.embedded.postgres import Postgres
from app.embedded.server import start_all, stop_all
from tests.support.faults.disk import may_mount, small_disk
from tests.support.faults.kafka import ProxiedKafka
from tests.support.faults.proxy import Proxy
from tests.support.stores import PostgresStore

DISK_MB = 256


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
    """Small; the workers' data directory is on it."""


@contextmanager
def open_place(logs: Path | None = None) -> Iterator[Place]:
    """All started. To be called from the main thread. `logs`: where workers' logs are kept."""
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
        disk = _disk(stack, directory / "disk")
        direct = Settings(_env_file=None, **_settings(servers))  # type: ignore[arg-type]
        logs = logs or directory
        logs.mkdir(parents=True, exist_ok=True)
        yield Place(servers, direct, direct, logs, disk)


async def chapter(place: Place, name: str) -> Place:
    """The same servers and an empty pipeline, stores too: what is there stays small and quick to compare."""
    postgres = PostgresStore(place.servers.postgres)
    data_dir = place.disk / name
    data_dir.mkdir()
    fresh = {"namespace": name, "bigquery_dataset": name, "data_dir": data_dir}
    direct = await postgres.settings(place.direct.model_copy(update=fresh))
    return replace(place, direct=direct, proxied=_through(direct, place.servers))


def _disk(stack: ExitStack, place: Path) -> Path:
    """A small one for who may mount one, else a directory like any other."""
    return stack.enter_context(small_disk(place, DISK_MB)) if may_mount() else _plain(place)


def _plain(place: Path) -> Path:
    place.mkdir()
    return place


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


def _settings(servers: Servers) -> dict[str, object]:
    return {
        **servers.kafka.settings(),
        **servers.postgres.settings(),
        **servers.bigquery.settings(),
        "gap_wait_s": 2.0,
        "sink_retry_cap_s": 2.0,
        "log_format": "json",
        "sinks": ("sqlite", "timescale", "bigquery"),
    }


def _through(direct: Settings, servers: Servers) -> Settings:
    rest, grpc = servers.store_proxies["bigquery"]
    (postgres,) = servers.store_proxies["timescale"]
    found = urlsplit(plain(direct.timescale_dsn))
    netloc = f"{found.netloc.rpartition(':')[0]}:{postgres.port}"
    return direct.model_copy(
        update={
            "kafka": servers.kafka.proxied,
            "timescale_dsn": found._replace(netloc=netloc).geturl(),
            "bigquery_rest": f"http://{HOST}:{rest.port}",
            "bigquery_grpc": f"{HOST}:{grpc.port}",
        }
    )
