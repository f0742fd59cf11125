"""What one pipeline makes of a simulated chain, to compare stores with."""

import json
from datetime import datetime

import msgspec

from app.chain.extract import extract
from app.config import Settings
from app.labels.registry import builtin_labels
from app.model.keys import block_ts
from app.model.signal import SignalBatch
from app.pipeline.chain import Chain
from app.processors.registry import enabled_processors
from app.sources.simulator import CHAIN
from app.verify.run import verify
from app.verify.span import Asked
from tests.support.pipeline import View
from tests.support.stores import Key, Store

PROVIDER = "sigstream"
WITHIN_S = 180.0
"""Two pipelines at once take their time on a loaded machine."""
Content = tuple[float, float | None, object]
"""Value, score, metadata."""


def computed(settings: Settings, blocks: list[bytes]) -> dict[Key, Content]:
    """What one pipeline makes of the blocks in perfect order."""
    chain, found = Chain(enabled_processors(settings)), {}
    for number, value in enumerate(blocks, 1):
        features = extract(value, chain=CHAIN, isolated=False, labels=builtin_labels())
        for batch in chain.arrive(features, now_ms=number, version=number).batches:
            found.update(contents(batch))
    return found


def contents(batch: SignalBatch) -> dict[Key, Content]:
    return {
        (batch.provider, batch.symbol, batch.ts, s.name): (
            s.value or 0.0, s.score, json.loads(s.metadata_text() or "null")
        )
        for s in batch.signals
    }  # fmt: skip


async def stored(store: Store) -> dict[Key, Content]:
    """What the store holds, without what was taken back."""
    latest = await store.latest(PROVIDER)
    return {key: (row.value, row.score, row.metadata) for key, row in latest.items() if not row.retracted}


def in_range(expected: dict[Key, Content], blocks: list[bytes], first: int, end: int) -> set[Key]:
    headers = [msgspec.json.decode(value) for value in blocks[first:end]]
    wanted = {block_ts(header["time"], header["height"]) for header in headers}
    return {key for key in expected if key[2] in wanted}


async def at_rest_with(pipe: View, keys: set[Key]) -> None:
    """All of the keys are in every store, and nothing is on its way."""

    async def everywhere() -> bool:
        return all([keys <= set(await store.rows()) for store in pipe.stores.values()])

    await pipe.until(everywhere, f"{len(keys)} signals in every store", WITHIN_S)
    await pipe.at_rest(WITHIN_S)


async def differences(settings: Settings, since: datetime | None = None) -> set[tuple[str, str, int]]:
    """What `verify` finds of what came in: kind, where, and how many."""
    found = await verify(settings, Asked(since=since), lambda _what, _total: lambda _done: None)
    assert found.signals > 0
    assert found.complete is (since is None)
    return {(finding.kind, finding.where, finding.count) for finding in found.findings}
