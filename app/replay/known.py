"""What is known of a chain's signals: the latest versions on `signals`, or in a store."""

from collections.abc import Collection

from app.config import Settings
from app.errors import ConfigurationError, ContractError
from app.model.signal import BATCH_DECODER
from app.model.wire import decode
from app.processors.run import PROVIDER
from app.query.kafka import Reader
from app.replay.spool import Spool
from app.replay.stored import can_be_asked, rows_of, signal_of, ts_of
from app.replay.watch import Watch


async def read_known(
    settings: Settings,
    reader: Reader,
    chain: str,
    times: Collection[str],
    spool: Spool,
    watch: Watch,
    *,
    allow_cold: bool,
) -> None:
    """Signals of the chain's blocks at these times, up to now; of times that have left the topic
    (retention), what a store has. Raises Transient, ConfigurationError."""
    prefix = f"{PROVIDER}|{chain}|".encode()
    bounds = await reader.bounds(await reader.partitions(settings.topic("signals")))
    watch.begin("reading signals", sum(end - begin for begin, end in bounds.values()))
    for tp, (begin, end) in bounds.items():
        async for record in reader.read(tp, begin, end):
            watch.advance(1)
            key = record.key or b""
            if not key.startswith(prefix) or key[len(prefix) :].decode(errors="replace") not in times:
                continue
            try:
                batch = decode(BATCH_DECODER, record.value, "signal batch")
            except ContractError:
                continue
            spool.add_signals(batch.ts, batch.signals)
    if any(begin for begin, _ in bounds.values()):
        unknown = set(times) - spool.times()
        await _read_store(settings, chain, unknown, spool, allow_cold=allow_cold)


async def _read_store(
    settings: Settings, chain: str, times: Collection[str], spool: Spool, *, allow_cold: bool
) -> None:
    if not times:
        return
    sink = next((name for name in settings.required_sinks if can_be_asked(settings, name)), None)
    if sink is None and allow_cold:
        return
    if sink is None:
        raise ConfigurationError(
            f"older records have left {settings.topic('signals')} (retention), and no store is at hand that "
            "says what they held: set the address of one of SIGSTREAM_SINKS, or say --allow-cold"
        )
    async for row in rows_of(settings, sink, PROVIDER, chain, times):
        spool.add_signals(ts_of(row), [signal_of(row)])
