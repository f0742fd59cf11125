"""`sigstream up` has its workers read the settings file, and gives them nothing that would shadow it."""

import asyncio
import signal
import sys
from pathlib import Path

from app.config import Settings
from tests.support.probe import until
from tests.support.processes import Worker, program
from tests.support.settings_file import SettingsFile

UP = [sys.executable, "-m", "app.main", "up"]
WORKERS = ("blocks", "dedupe", "receipts", "sink.sqlite")


async def test_up_passes_a_hangup_on_and_each_worker_takes_the_file_over(
    settings: Settings, tmp_path: Path
) -> None:
    settings = settings.model_copy(update={"sinks": ("sqlite",)})
    file = SettingsFile(tmp_path / "settings.env", gap_blocks="100", dedupe_expiry_days="9")
    with program(settings, UP, "up", SIGSTREAM_CONFIG_FILE=str(file.path)) as up:

        async def all_say(text: str, *, hangup: bool = False) -> None:
            async def said() -> bool:
                if hangup:
                    up.signal(signal.SIGHUP)
                    await asyncio.sleep(0.5)
                return who_says(up, text) == {"up", *WORKERS}

            await until(said, f"{text!r} of all", log=lambda: up.log)

        await until(lambda: ready(up), "all started", log=lambda: up.log)
        await all_say("settings reloaded changed=nothing", hangup=True)  # the file is as it was
        file.set(gap_blocks="200", dedupe_expiry_days="8")
        await all_say("SIGSTREAM_GAP_BLOCKS: 100 -> 200")
        restart = "settings need a restart settings=SIGSTREAM_DEDUPE_EXPIRY_DAYS"
        assert who_says(up, restart) == {"up"}
        assert up.stop() == 0


async def ready(up: Worker) -> bool:
    return "all started" in up.whole_log


def who_says(up: Worker, text: str) -> set[str]:
    """Workers, by the `worker` of their lines."""
    assert up.returncode is None, up.log
    lines = [" ".join(line.split()) for line in up.whole_log.splitlines()]
    return {line.rpartition("worker=")[2].split()[0] for line in lines if text in line}
