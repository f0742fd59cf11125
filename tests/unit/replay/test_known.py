"""What is known of signals where the store holds other versions than the topic."""

from pathlib import Path

from app.config import Settings
from app.model.signal import Signal, SignalBatch
from app.processors.run import PROVIDER
from app.replay.known import add_stored
from app.replay.spool import spool
from app.sinks.base import SinkRecord
from app.sinks.registry import build

TS, OTHER = "2026-01-01T00:00:00.000000Z", "2026-01-01T00:10:00.000000Z"


def signal(name: str, version: int) -> Signal:
    return Signal(name=name, value=float(version), version=version, digest=version)


async def store(settings: Settings, ts: str, *signals: Signal) -> None:
    sink = build("sqlite", settings)
    await sink.open()
    batch = SignalBatch(provider=PROVIDER, symbol="BTC", ts=ts, signals=[*signals])
    await sink.write([SinkRecord(0, 0, batch, 10)])
    await sink.close()


async def test_of_each_signal_the_larger_version_is_known(tmp_path: Path) -> None:
    settings = Settings(_env_file=None, data_dir=tmp_path)
    await store(settings, TS, signal("newer here", 5), signal("older here", 1), signal("only here", 2))
    await store(settings, OTHER, signal("not asked for", 1))
    with spool() as held:
        held.add_signals(TS, [signal("newer here", 3), signal("older here", 3), signal("only there", 3)])
        await add_stored(settings, "sqlite", "BTC", {TS}, held)
        found = {name: known.version for name, known in held.signals(TS).items()}
        assert held.times() == {TS}
    assert found == {"newer here": 5, "older here": 3, "only here": 2, "only there": 3}
