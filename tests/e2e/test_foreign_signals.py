"""Signals of other programs: corrected, taken back, flat, and bad ones among good ones."""

from collections import Counter
from typing import Any

import msgspec
from confluent_kafka import Producer

from app.model.receipt import Outcome
from app.model.signal import BATCH_DECODER
from tests.support.pipeline import View
from tests.support.stores import Key, Stored

TS = "2024-03-01T14:30:00.000000Z"


def encoded(provider: str, **fields: Any) -> bytes:
    """A record of `signals.raw`; the key of its batch is `key_of(provider)`."""
    return msgspec.json.encode({"provider": provider, "symbol": "SPY", "ts": TS, **fields})


def key_of(provider: str) -> bytes:
    return f"{provider}|SPY|{TS}".encode()


def signal_of(provider: str, name: str) -> Key:
    return provider, "SPY", TS, name


async def shown(pipe: View, provider: str) -> dict[str, dict[Key, Stored]]:
    """What every store's readers see of a provider."""
    return {sink: await store.latest(provider) for sink, store in pipe.stores.items()}


async def correct(pipe: View, provider: str, version: int, **fields: Any) -> list[dict[Outcome, list[str]]]:
    """Send a version of the one signal, wait until it is settled; what each sink did with it."""
    before = len(await pipe.settled(key_of(provider)))
    value = encoded(provider, signals=[{"name": "edge", "version": version, **fields}])
    await pipe.send("signals.raw", value, key_of(provider))
    await pipe.until_settled(key_of(provider), before + 1)
    return [(await pipe.outcomes(key_of(provider), sink))[-1] for sink in pipe.stores]


async def test_a_corrected_value_replaces_the_old_one_everywhere(pipe: View) -> None:
    provider = "corrected"
    edge = signal_of(provider, "edge")
    assert await correct(pipe, provider, 100, value=1.0) == [{Outcome.INSERTED: ["edge"]}] * 3
    assert await correct(pipe, provider, 200, value=2.0) == [{Outcome.UPDATED: ["edge"]}] * 3
    for sink, found in (await shown(pipe, provider)).items():
        assert {key: (row.value, row.version) for key, row in found.items()} == {edge: (2.0, 200)}, sink
    for sink, store in pipe.stores.items():
        kept = [(edge, 100), (edge, 200)] if sink == "bigquery" else [(edge, 200)]
        assert await store.versions(provider) == Counter(kept), sink


async def test_an_older_version_changes_nothing(pipe: View) -> None:
    provider = "belated"
    await correct(pipe, provider, 200, value=2.0, score=0.5)
    before = await shown(pipe, provider)
    rows = [await store.versions(provider) for store in pipe.stores.values()]

    older = encoded(provider, signals=[{"name": "edge", "version": 150, "value": 1.5, "score": 0.9}])
    await pipe.send("signals.raw", older, key_of(provider))
    await pipe.until_answered(key_of(provider), "dedupe")
    await pipe.at_rest()

    assert await pipe.outcomes(key_of(provider), "dedupe") == [{Outcome.OLDER: ["edge"]}]
    assert len(await pipe.taken(key_of(provider))) == 1
    assert await shown(pipe, provider) == before
    assert [await store.versions(provider) for store in pipe.stores.values()] == rows


async def test_a_signal_that_is_taken_back_is_shown_so(pipe: View) -> None:
    provider = "retracted"
    edge = signal_of(provider, "edge")
    await correct(pipe, provider, 200, value=2.0)
    assert not any(found[edge].retracted for found in (await shown(pipe, provider)).values())

    outcomes = await correct(pipe, provider, 300, value=2.0, retracted_at="2024-03-01T15:00:00Z")
    assert outcomes == [{Outcome.RETRACTED: ["edge"]}] * 3
    for sink, found in (await shown(pipe, provider)).items():
        assert (found[edge].retracted, found[edge].value, found[edge].version) == (True, 2.0, 300), sink


async def test_one_flat_signal_of_a_librdkafka_producer_reaches_all_stores(pipe: View) -> None:
    provider = "ibkr_primary"
    about = {"bar": "5m", "levels": [451.2, 449.8], "note": "naïve ₿"}
    value = encoded(provider, name="vwap_cross_up", value=1.0, score=0.85, metadata=about)
    producer = Producer({"bootstrap.servers": pipe.settings.kafka})
    producer.produce(pipe.settings.topic("signals.raw"), value)
    assert producer.flush(30) == 0
    await pipe.until_settled(key_of(provider))

    for sink, found in (await shown(pipe, provider)).items():
        (row,) = found.values()
        assert set(found) == {signal_of(provider, "vwap_cross_up")}, sink
        assert (row.value, row.score, row.metadata, row.retracted) == (1.0, 0.85, about, False), sink


async def test_bad_signals_of_a_batch_are_refused_and_the_good_ones_stored(pipe: View) -> None:
    provider = "careless"
    long = "n" * 300
    bad = [{"name": "nothing", "value": None}, {"name": "text", "value": "high"}, {"name": long, "value": 1}]
    good = [{"name": f"good{n}", "value": n / 4} for n in range(3)]
    mixed = [good[0], bad[0], good[1], bad[1], bad[2], good[2]]
    await pipe.send("signals.raw", encoded(provider, signals=mixed), key_of(provider))
    await pipe.until_settled(key_of(provider))

    (receipt,) = await pipe.receipts(key_of(provider), "dedupe")
    assert {outcome: sorted(names) for outcome, names in receipt.outcomes.items()} == {
        Outcome.REJECTED: sorted(["nothing", "text", long])
    }
    assert "null" in receipt.reasons["nothing"]
    assert 'found "high"' in receipt.reasons["text"]
    assert "300 characters" in receipt.reasons[long]
    (taken,) = await pipe.taken(key_of(provider))
    forwarded = BATCH_DECODER.decode(taken.value or b"")
    assert [signal.name for signal in forwarded.signals] == ["good0", "good1", "good2"]
    for sink, found in (await shown(pipe, provider)).items():
        values = {name: row.value for (_, _, _, name), row in found.items()}
        assert values == {"good0": 0.0, "good1": 0.25, "good2": 0.5}, sink
        assert await pipe.outcomes(key_of(provider), sink) == [{Outcome.INSERTED: sorted(values)}]
    assert await pipe.of_key("dead-letters", key_of(provider)) == []
