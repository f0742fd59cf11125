"""What is known of a chain's signals: the latest versions on `signals` and in a store."""

from collections.abc import Collection

from app.config import Settings
from app.errors import ConfigurationError, ContractError
from app.model.signal import BATCH_DECODER
from app.model.wire import decode
from app.processors.run import PROVIDER
from app.query.kafka import Reader
from app.query.signals import ts_of
from app.replay.spool import Spool
from app.replay.stored import can_be_asked, rows_of, signal_of
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
    """Signals of the chain's blocks at these times, up to now; of each the larger version, the topic's or
    the store's. Raises Transient, ConfigurationError."""
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
    lost = any(begin for begin, _ in bounds.values()) and bool(set(times) - spool.times())
    sink = next((name for name in settings.required_sinks if can_be_asked(settings, name)), None)
    if sink is not None:
        await add_stored(settings, sink, chain, times, spool)
    elif lost and not allow_cold:
        raise ConfigurationError(
            f"older records have left {settings.topic('signals')} (retention), and no store is at hand that "
            "says what they held: set the address of one of SIGSTREAM_SINKS, or say --allow-cold"
        )
    else:
        watch.say(
            f"no store is at hand: of what is stored only that is known which {settings.topic('signals')} "
            "holds; what a backfill, or a Kafka before this one, has brought is not"
        )


async def add_stored(settings: Settings, sink: str, chain: str, times: Collection[str], spool: Spool) -> None:
    """What a store has of these times, which may be newer than the topic's (a backfill's, in a namespace
    of its own), or all there is (of a Kafka before this one). Raises Transient, ConfigurationError."""
    async for row in rows_of(settings, sink, PROVIDER, chain, times):
        spool.add_signals(ts_of(row), [signal_of(row)])
