"""A BigQuery API on one machine: `bqemulator`, on DuckDB. It proves the protocol, not Google's service."""

import fcntl
import importlib.util
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from app.embedded.cache import cache_dir
from app.embedded.ports import HOST
from app.embedded.probe import listens
from app.embedded.server import Server
from app.errors import ConfigurationError, ServerDidNotStart

PROJECT = "sigstream"


class BigQuery(Server):
    """REST and Storage API; tables outlive a restart, write streams do not."""

    name = "bigquery"
    port_names = ("rest", "grpc")

    def settings(self) -> dict[str, str]:
        """See Server."""
        return {
            "bigquery_project": PROJECT,
            "bigquery_rest": f"http://{HOST}:{self.ports['rest']}",
            "bigquery_grpc": f"{HOST}:{self.ports['grpc']}",
        }

    def _prepare(self) -> None:
        if importlib.util.find_spec("bqemulator") is None:
            raise ConfigurationError(
                "the embedded BigQuery emulator is not installed: `pip install sigstream[embedded]`, "
                "or set SIGSTREAM_BIGQUERY_PROJECT"
            )
        (self.directory / "data").mkdir(exist_ok=True)
        _install_spatial()

    def _environment(self) -> dict[str, str]:
        # DuckDB looks for its extensions below the home directory.
        # Without days of time travel there is no copy of the table for each append.
        travel = {"BQEMU_TIME_TRAVEL_RETENTION_DAYS": "0"}
        return {**super()._environment(), **travel, "HOME": str(_extensions_home())}

    def _command(self) -> list[str]:
        ports = [f"--rest-port={self.ports['rest']}", f"--grpc-port={self.ports['grpc']}"]
        data = ["--persistent", f"--data-dir={self.directory / 'data'}", f"--project={PROJECT}"]
        return [
            sys.executable,
            "-m",
            "app.embedded.bigquery_process",
            "start",
            *ports,
            *data,
            "--log-level=warning",
        ]

    def _answers(self) -> bool:
        return listens(self.ports["grpc"]) and _is_ready(f"{self.settings()['bigquery_rest']}/readyz")


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - http, on this machine
            return bool(json.load(response)["status"] == "ok")
    except (OSError, urllib.error.URLError):
        return False


def _extensions_home() -> Path:
    return cache_dir() / "duckdb"


def _install_spatial() -> None:
    """DuckDB's extension `spatial`, which the emulator wants, from a Python package: no download."""
    import duckdb
    from duckdb_extensions import import_extension

    home = _extensions_home()
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as guard, duckdb.connect() as connection:
        fcntl.flock(guard, fcntl.LOCK_EX)
        try:
            connection.execute(f"SET home_directory = '{home}'")
            import_extension("spatial", con=connection)
        except duckdb.Error as error:
            raise ServerDidNotStart(f"bigquery: DuckDB does not take its extension: {error}") from error
