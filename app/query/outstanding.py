"""What the sinks still owe: the newest counts of the receipts agent, read from its table's changelog."""

from aiokafka import TopicPartition
from msgspec.json import Decoder

from app.config import Settings
from app.outstanding import Progress
from app.query.kafka import Reader
from app.streaming.topics import changelog

STAGE = "receipts"
TABLE = "outstanding"
META = b"meta"
"""How the key of a partition's Progress ends; entries of single records end with an offset."""
FIRST_STEP = 16
"""Records from the end that are looked at first; four times as many with each further look."""
PROGRESS = Decoder(Progress)


async def outstanding(settings: Settings, reader: Reader) -> dict[str, int] | None:
    """Records of `signals` that each sink has not answered yet; None: the agent has never run."""
    topic = changelog(settings, STAGE, TABLE, settings.signal_partitions).name
    partitions = await reader.partitions(topic)
    if not partitions:
        return None
    totals: dict[str, int] = {}
    for tp, (begin, end) in (await reader.bounds(partitions)).items():
        progress = await _newest(reader, tp, begin, end)
        for sink, count in progress.outstanding.items():
            totals[sink] = totals.get(sink, 0) + count
    return dict(sorted(totals.items()))


async def _newest(reader: Reader, tp: TopicPartition, begin: int, end: int) -> Progress:
    """The partition's newest Progress; it is written with every change, so it is near the end."""
    step, upto = FIRST_STEP, end
    while upto > begin:
        start = max(begin, end - step)
        found = None
        async for record in reader.read(tp, start, upto):
            if record.value and record.key and record.key.endswith(META):
                found = record.value
        if found is not None:
            return PROGRESS.decode(found)
        step, upto = step * 4, start
    return Progress()
