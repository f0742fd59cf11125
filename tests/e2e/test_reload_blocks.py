"""Processors that change while a blocks worker is at work: from the next block on, and none lost."""

import signal
from pathlib import Path

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import Settings
from app.embedded.ports import free_port
from app.model.features import FEATURES_DECODER
from app.model.signal import BATCH_DECODER
from app.sources.simulator import simulate
from app.streaming.record import TICK
from tests.support.blocks import message
from tests.support.probe import Tape, probe, tape, until
from tests.support.settings_file import SettingsFile


@pytest.fixture
def file(tmp_path: Path) -> SettingsFile:
    return SettingsFile(tmp_path / "settings.env", processors="mempool,whale", processor_params=tiers(100))


def tiers(*btc: int) -> str:
    return orjson.dumps({"whale": {"tiers_btc": btc}}).decode()


async def kinds(seen: Tape) -> dict[int, list[int]]:
    """By height, for each batch of the block, by which settings it was computed."""
    found: dict[int, list[int]] = {}
    for record in await seen.of("signals.raw"):
        signals = BATCH_DECODER.decode(record.value or b"").signals
        height = signals[0].block_height
        assert height is not None
        found.setdefault(height, []).append(kind_of({signal.name for signal in signals}))
    return found


async def test_new_parameters_count_from_a_block_on_and_none_is_lost_or_doubled(
    settings: Settings, file: SettingsFile
) -> None:
    port, chain, sent = free_port(), simulate(100_000, seed=3), 0
    async with probe(settings) as found, tape(settings, "signals.raw", "block-features") as seen:
        with file.worker(settings, "blocks", SIGSTREAM_METRICS_PORT=str(port)) as blocks:

            async def fed_until(kind: int) -> None:
                """Blocks in, and more of them, until some come out by these settings."""

                async def reached() -> bool:
                    nonlocal sent
                    await found.send("blocks", [message(next(chain)), message(next(chain))])
                    sent += 2
                    return any([kind] == each for each in (await kinds(seen)).values())

                await until(reached, f"blocks by settings {kind}", log=lambda: blocks.log)

            async def logged(text: str) -> None:
                async def is_there() -> bool:
                    return text in blocks.whole_log

                await until(is_there, f"{text!r} in the log", log=lambda: blocks.log)

            await fed_until(1)
            file.set(processor_params=tiers(50, 500))
            await fed_until(2)
            file.set(processors="mempool,whale,wale", gap_blocks="1")
            await logged("no processor 'wale' is installed")
            assert reloads(port) == {"ok": 1, "refused": 1}
            file.set(processors="mempool,whale,miner", gap_blocks="2000")
            blocks.signal(signal.SIGHUP)  # at once: the file has not stood still yet
            await fed_until(3)
            assert reloads(port) == {"ok": 2, "refused": 1}

            async def all_there() -> bool:
                return len(await kinds(seen)) == sent

            await until(all_there, f"all {sent} blocks", log=lambda: blocks.log)
        by_height = await kinds(seen)
        computed = [r for r in await seen.of("block-features") if TICK not in r.headers]
        features = [FEATURES_DECODER.decode(r.value or b"") for r in computed]
    assert sorted(f.height for f in features) == list(range(sent))
    assert [len(by_height[height]) for height in range(sent)] == [1] * sent
    in_order = [by_height[height][0] for height in range(sent)]
    assert in_order == sorted(in_order)
    assert set(in_order) == {1, 2, 3}


def kind_of(names: set[str]) -> int:
    """Which settings a block was computed by."""
    if any(name.startswith("miner.") for name in names):
        return 3
    return 2 if "whale.count:500btc" in names else 1


def reloads(port: int) -> dict[str, float]:
    """The metric, by result."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["sigstream_settings_reloads"].samples
    return {s.labels["result"]: s.value for s in samples if s.name.endswith("_total")}
