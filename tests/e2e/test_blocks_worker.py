"""What the blocks worker does beside blocks: labels that change, mempool snapshots, gaps asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from app.config import Settings
from app.model.block_request import BLOCK_REQUEST_DECODER
from app.model.features import FEATURES_DECODER
from app.model.mempool import MEMPOOL_ENCODER, FeerateBin, MempoolSnapshot
from app.model.signal import BATCH_DECODER
from app.sources.simulator import CHAIN, simulate
from tests.support.blocks import message
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker

HEADER = "address,entity,type,source,confidence\n"


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    labels = tmp_path / "labels.csv"
    labels.write_text(f"{HEADER}1BoatSLRHtKNngkdXEeobR76b53LETtpyT,One,exchange,test,1\n")
    return settings.model_copy(update={"labels": (labels,)})


@pytest.fixture
def blocks(settings: Settings) -> Iterator[Worker]:
    with worker(settings, "blocks") as running:
        yield running


async def versions(found: Probe) -> list[str]:
    records = await found.read("block-features")
    return [FEATURES_DECODER.decode(r.value or b"").labels for r in records if "tick" not in r.headers]


async def test_labels_that_change_count_from_then_on(settings: Settings, blocks: Worker) -> None:
    (file,) = settings.labels
    chain = simulate(1000, seed=1)
    async with probe(settings) as found:
        await found.send("blocks", [message(next(chain))])
        (before,) = await until(lambda: versions(found), "the first block's features", log=lambda: blocks.log)
        file.write_text(f"{HEADER}1BoatSLRHtKNngkdXEeobR76b53LETtpyT,Two,exchange,test,1\n")

        async def another_version() -> bool:
            await found.send("blocks", [message(next(chain))])
            return any(version != before for version in await versions(found))

        await until(another_version, "features by the new labels", log=lambda: blocks.log)


async def test_a_mempool_snapshot_becomes_signals(settings: Settings, blocks: Worker) -> None:
    snapshot = MempoolSnapshot(
        chain=CHAIN,
        time=datetime(2026, 1, 2, 3, 4, 5, 6, UTC),
        tx_count=3,
        vsize=2_500_000,
        total_fee_sat=1,
        min_fee=1.0,
        histogram=[FeerateBin(2.0, 1_000_000, 1), FeerateBin(10.0, 600_000, 1), FeerateBin(20.0, 900_000, 1)],
        estimates={"1": 12.0},
    )
    async with probe(settings) as found:
        await found.send("mempool", [(CHAIN.encode(), MEMPOOL_ENCODER.encode(snapshot), 0, [])])
        (record,) = await until(lambda: found.read("signals.raw"), "a batch", log=lambda: blocks.log)
    batch = BATCH_DECODER.decode(record.value or b"")
    assert (batch.provider, batch.symbol, batch.ts) == ("sigstream", CHAIN, "2026-01-02T03:04:05.000006Z")
    values = {signal.name: signal.value for signal in batch.signals}
    assert values == {"mempool.backlog_blocks": 2.5, "mempool.fee_floor": 10.0}


async def test_a_missing_block_is_asked_for(settings: Settings, blocks: Worker) -> None:
    values = list(simulate(6, seed=2))
    async with probe(settings) as found:
        await found.send("blocks", map(message, [*values[:3], *values[4:]]))
        record, *_ = await until(
            lambda: found.read("block-requests"), "a request for the block", log=lambda: blocks.log
        )
        request = BLOCK_REQUEST_DECODER.decode(record.value or b"")
        assert (request.chain, request.first, request.last) == (CHAIN, 3, 3)
        assert request.hash == msgspec.json.decode(values[3])["hash"]
        await found.send("blocks", [message(values[3])])

        async def complete() -> bool:
            return len({r.key for r in await found.read("signals.raw")}) == len(values)

        await until(complete, "every block's batch", log=lambda: blocks.log)
