"""What a changed settings file leads to: all of it, or nothing and a line that says why."""

import asyncio
import os
import re
import signal
from collections.abc import Callable, Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from app.config import RELOADABLE, Settings, load_settings, settings, variable
from app.errors import ConfigurationError
from app.pipeline.rules import Rules
from app.reload import Reloader
from app.stamp import Watched
from tests.support.settings_file import SettingsFile

Logs = list[MutableMapping[str, Any]]
DOCS = Path(__file__).parents[2] / "docs" / "reload.md"


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logs]:
    """What is logged meanwhile, by a logger that no test has bound to a log of its own before."""
    structlog.reset_defaults()
    monkeypatch.setattr("app.reload.log", structlog.get_logger())
    with capture_logs() as captured:
        yield captured
    structlog.reset_defaults()


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SettingsFile:
    """Empty, and in use."""
    for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
        monkeypatch.delenv(name)
    path = tmp_path / "settings.env"
    monkeypatch.setenv("SIGSTREAM_CONFIG_FILE", str(path))
    return SettingsFile(path)


@pytest.fixture
def reloader(file: SettingsFile) -> Reloader:
    found = Reloader(settings.__wrapped__())
    found.put(found.prepare(), quiet=True)
    return found


def read(reloader: Reloader) -> None:
    """As after a change."""
    reloader.put(reloader.prepare())


def test_what_has_changed_is_said_and_in_use(file: SettingsFile, reloader: Reloader, logs: Logs) -> None:
    used: list[int] = []
    reloader.use(lambda changed: lambda: used.append(changed.sink_batch_signals))
    file.set(sink_batch_signals="7", processors="whale, miner")
    read(reloader)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("settings reloaded", "info")
    assert line["changed"] == (
        "SIGSTREAM_PROCESSORS: mempool,miner,whale,exchange,treasury,predictive -> whale,miner; "
        "SIGSTREAM_SINK_BATCH_SIGNALS: 5000 -> 7"
    )
    assert used == [7]
    assert reloader.settings.processors == ("whale", "miner")


def test_what_is_taken_out_of_the_file_has_its_default_again(file: SettingsFile, reloader: Reloader) -> None:
    file.set(gap_blocks="5")
    read(reloader)
    file.write("# nothing\n")
    read(reloader)
    assert reloader.settings.gap_blocks == 2000


REFUSED = {
    "not a number": ("SIGSTREAM_SINK_BATCH_BYTES=many", "SIGSTREAM_SINK_BATCH_BYTES is 'many': "),
    "out of range": ("SIGSTREAM_GAP_BLOCKS=0", "SIGSTREAM_GAP_BLOCKS is '0': "),
    "no level": ("SIGSTREAM_LOG_LEVEL=loud", "SIGSTREAM_LOG_LEVEL is 'loud': "),
    "not JSON": ("SIGSTREAM_PROCESSOR_PARAMS='{bad'", "SIGSTREAM_PROCESSOR_PARAMS is '{bad': not JSON"),
    "no such processor": ("SIGSTREAM_PROCESSORS=wale", "no processor 'wale' is installed"),
    "no such parameter": (
        """SIGSTREAM_PROCESSOR_PARAMS='{"whale": {"tears": 1}}'""",
        "processor 'whale' refuses its parameters",
    ),
    "no such file": ("SIGSTREAM_LABELS=/nowhere.csv", "/nowhere.csv can't be read"),
    "open quote": (
        "SIGSTREAM_KAFKA='a:1\nSIGSTREAM_CORE_PASSWORD='secret'",
        "settings.env line 2 can't be read",
    ),
    "no value": ("\nSIGSTREAM_KAFKA\n", "settings.env line 3 can't be read"),
    "not UTF-8": ("SIGSTREAM_KAFKA=\udcff", "settings.env is not UTF-8"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_wrong_changes_nothing(
    file: SettingsFile, reloader: Reloader, logs: Logs, name: str
) -> None:
    text, reason = REFUSED[name]
    rules = Rules(reloader.settings)
    before = (reloader.settings, rules.processors, rules.patience)
    reloader.use(rules.prepare)
    file.path.write_bytes(f"SIGSTREAM_GAP_WAIT_S=3\n{text}\n".encode(errors="surrogateescape"))
    read(reloader)
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("settings stay as they are", "error")
    assert reason in line["reason"]
    assert "secret" not in line["reason"]
    assert "\n" not in line["reason"]
    assert (reloader.settings, rules.processors, rules.patience) == before
    file.write("SIGSTREAM_GAP_WAIT_S=3\n")
    read(reloader)
    assert logs[-1]["changed"] == "SIGSTREAM_GAP_WAIT_S: 10.0 -> 3.0"
    assert rules.patience.wait_ms == 3000


def test_one_part_that_refuses_keeps_all_others_from_changing(
    file: SettingsFile, reloader: Reloader, logs: Logs
) -> None:
    swapped: list[str] = []

    def refuse(_: Settings) -> Callable[[], None]:
        raise KeyError("of a processor of somebody's own")

    reloader.use(lambda _: lambda: swapped.append("first"))
    reloader.use(refuse)
    file.set(gap_blocks="5")
    read(reloader)
    assert swapped == []
    assert reloader.settings.gap_blocks == 2000
    assert logs[-1]["reason"] == """KeyError("of a processor of somebody's own")"""


def test_a_file_that_is_gone_does_not_mean_defaults(
    file: SettingsFile, reloader: Reloader, logs: Logs
) -> None:
    file.set(gap_blocks="5")
    read(reloader)
    file.path.unlink()
    read(reloader)
    assert "is gone: put it back" in logs[-1]["reason"]
    assert reloader.settings.gap_blocks == 5


def test_what_needs_a_restart_is_said_without_its_value(
    file: SettingsFile, reloader: Reloader, logs: Logs
) -> None:
    file.set(namespace="other", timescale_dsn="postgresql://u:secret@h/d", log_level="warning")
    read(reloader)
    assert reloader.settings.namespace == "sigstream"
    assert logs[-1]["event"] == "settings need a restart"
    assert logs[-1]["settings"] == "SIGSTREAM_NAMESPACE, SIGSTREAM_TIMESCALE_DSN"
    assert "secret" not in str(logs)
    assert reloader.settings.log_level == "warning"


def test_the_environment_goes_first_and_that_is_said(
    file: SettingsFile, reloader: Reloader, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGSTREAM_GAP_BLOCKS", "9")
    monkeypatch.setenv("SIGSTREAM_GAP_WAIT_S", "4")
    file.set(gap_blocks="5", gap_wait_s="4.0", gab_blocks="5")
    read(reloader)
    assert reloader.settings.gap_blocks == 9
    said = {line["event"]: line.get("settings") for line in logs}
    assert said["environment goes before the settings file"] == "SIGSTREAM_GAP_BLOCKS"
    assert said["settings file names what is no setting"] == "SIGSTREAM_GAB_BLOCKS"


def test_a_named_file_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGSTREAM_CONFIG_FILE", str(tmp_path / "no.env"))
    with pytest.raises(ConfigurationError, match=r"SIGSTREAM_CONFIG_FILE is .*there is no such file"):
        load_settings()


def test_a_file_that_is_being_written_is_left_alone(file: SettingsFile) -> None:
    watched = Watched(file.path)
    assert not watched.settled()
    for size in range(3):
        file.set(sink_batch_signals=str(size))
        assert not watched.settled()
    assert watched.settled()
    watched.reading()
    assert not watched.settled()


def test_the_table_of_what_may_change_is_the_codes() -> None:
    rows = re.findall(r"^\| `(SIGSTREAM_\w+)` \|", DOCS.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(variable(name) for name in RELOADABLE)


async def test_a_look_that_fails_is_said_and_does_not_end_the_watch(
    file: SettingsFile, reloader: Reloader, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.reload.LOOK_S", 0.01)
    failed = asyncio.Event()

    def look() -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a look of somebody's own")

    used: list[int] = []
    reloader.use(lambda changed: lambda: used.append(changed.sink_batch_signals))
    reloader.look_after(look)
    watching = asyncio.create_task(reloader.watch())
    try:
        async with asyncio.timeout(5):
            await failed.wait()
            file.set(sink_batch_signals="7")
            while 7 not in used:
                await asyncio.sleep(0.01)
    finally:
        watching.cancel()
        asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
    (line,) = [line for line in logs if line["log_level"] == "error"]
    assert line["event"] == "settings not looked at"
    assert line["exc_info"]
