"""Records that mean harm: text that is SQL somewhere."""

import msgspec
import pytest

from app.model.keys import batch_key
from app.query.signals import Wanted
from app.query.stores import open_store
from tests.support.pipeline import View

TS = "2024-03-01T14:30:00.000000Z"
SQL = (
    "'; DROP TABLE signals; --",
    '"; DROP TABLE signals; --',
    "`); DROP TABLE signals; --",
    "\\'; DROP TABLE signals; /*",
    "%s {0} $1 :name @name ?",
    "$$; DROP TABLE signals; $$",
)
SYMBOL = "'; DROP TABLE SIGNALS; --"


async def test_text_that_is_sql_is_stored_as_it_is(pipe: View) -> None:
    provider = "harmless"
    signals = [
        {
            "name": text,
            "value": 1.0,
            "signal_type": text,
            "canonical_key": text,
            "outcome": text,
            "correlation_id": text,
            "metadata": {text: [text, {"more": text}]},
        }
        for text in SQL
    ]
    value = {"provider": provider, "symbol": SYMBOL, "ts": TS, "signals": signals}
    key = batch_key(provider, SYMBOL, TS)
    await pipe.send("signals.raw", msgspec.json.encode(value), key)
    await pipe.until_settled(key)
    for sink, store in pipe.stores.items():
        found = await store.latest(provider)
        assert set(found) == {(provider, SYMBOL, TS, text) for text in SQL}, sink
        for (_, _, _, name), row in found.items():
            assert row.metadata == {name: [name, {"more": name}]}, sink
            assert row.correlation_id == name, sink


@pytest.mark.parametrize("field", ["provider", "name"])
async def test_a_question_that_is_sql_finds_what_it_names(pipe: View, field: str) -> None:
    asked = {"provider": f"{SQL[0]} {field}", "name": f"{SQL[0]} OR '1'='1"}
    value = {"provider": asked["provider"], "symbol": "SPY", "ts": TS, "name": asked["name"], "value": 2.0}
    key = batch_key(asked["provider"], "SPY", TS)
    await pipe.send("signals.raw", msgspec.json.encode(value), key)
    await pipe.until_settled(key)
    for sink in pipe.stores:
        found = await open_store(pipe.settings, sink).latest(Wanted("SPY", **{field: asked[field]}, limit=9))
        assert {row[field] for row in found} == {asked[field]}, sink
