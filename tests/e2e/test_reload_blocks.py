"""Processors that change while a blocks worker is at work: from the next block on, and none lost."""

import asyncio
import signal
from pathlib import Path

import orjson
import pytest

from app.config import Settings
from app.model.features import FEATURES_DECODER
from app.model.signal import BATCH_DECODER
from app.sources.simulator import simulate
from tests.support.blocks import message
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker
from tests.support.settings_file import SettingsFile

BLOCKS = 60


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    return SettingsFile(tmp_path / "settings.env", processors="mempool,whale", processor_params=tiers(100))


def tiers(*btc: int) -> str:
    return orjson.dumps({"whale": {"tiers_btc": btc}}).decode()


async def names_by_height(found: Probe) -> dict[int, list[set[str]]]:
    """Of each batch of a block, the names."""
    batches = [BATCH_DECODER.decode(r.value or b"") for r in await found.read("signals.raw")]
    by_height: dict[int, list[set[str]]] = {}
    for batch in batches:
        height = batch.signals[0].block_height
        assert height is not None
        by_height.setdefault(height, []).append({signal.name for signal in batch.signals})
    return by_height


async def test_new_parameters_count_from_a_block_on_and_none_is_lost_or_doubled(
    settings: Settings, file: SettingsFile
) -> None:
    chain = [message(value) for value in simulate(BLOCKS, seed=3)]
    async with probe(settings) as found:
        with file.worker(settings, "blocks") as blocks:

            async def feed() -> None:
                for each in chain:
                    await found.send("blocks", [each])
                    await asyncio.sleep(0.1)

            feeding = asyncio.create_task(feed())

            async def begun() -> bool:
                return len(await names_by_height(found)) > 3

            await until(begun, "the first blocks", log=lambda: blocks.log)
            file.set(processor_params=tiers(50, 500))
            await until(lambda: says(blocks, '{"whale":{"tiers_btc":[50,500]}}'), "a reload by the file")
            file.set(processors="mempool,whale,miner")
            blocks.signal(signal.SIGHUP)
            await until(lambda: says(blocks, "-> mempool,whale,miner"), "a reload by SIGHUP")
            await feeding

            async def all_there() -> bool:
                return len(await names_by_height(found)) == BLOCKS

            await until(all_there, "every block", log=lambda: blocks.log)
        by_height = await names_by_height(found)
        features = [FEATURES_DECODER.decode(r.value or b"") for r in await found.read("block-features")]
    assert sorted(by_height) == list(range(BLOCKS))
    assert all(len(batches) == 1 for batches in by_height.values())
    assert sorted(f.height for f in features) == list(range(BLOCKS))
    kinds = [kind_of(*by_height[height]) for height in range(BLOCKS)]
    assert kinds == sorted(kinds)
    assert set(kinds) == {1, 2, 3}


def kind_of(names: set[str]) -> int:
    """Which settings a block was computed by."""
    if any(name.startswith("miner.") for name in names):
        return 3
    return 2 if "whale.count:500btc" in names else 1


async def says(worker: Worker, text: str) -> bool:
    return text in worker.log
