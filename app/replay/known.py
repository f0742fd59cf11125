"""What is known of a chain's signals: the latest versions on `signals`."""

from collections.abc import Collection

from app.config import Settings
from app.errors import ContractError
from app.model.signal import BATCH_DECODER
from app.model.wire import decode
from app.processors.run import PROVIDER
from app.query.kafka import Reader
from app.replay.spool import Spool
from app.replay.watch import Watch


async def read_known(
    settings: Settings, reader: Reader, chain: str, times: Collection[str], spool: Spool, watch: Watch
) -> None:
    """Signals of the chain's blocks at these times, up to now. Raises Transient."""
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
