"""What a worker holds does not grow with what waits for it: nothing more is read, no memory filled.

The peak (VmHWM) of a process behind a large backlog, beside that of one behind a small one.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from random import Random
from uuid import uuid4

from app.config import Settings
from app.streaming.backlog import MOST_BYTES
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker
from tests.support.real_blocks import REAL_BLOCKS
from tests.support.signals import batch_of, forwarded, raw

LITTLE, MUCH = 1_000, 15_000
NAMES = 20
BLOCKS_LITTLE, BLOCKS_MUCH = 5, 60
BLOCK_BYTES = 4_000_000
BATCHES_LITTLE, BATCHES_MUCH = 50, 1_200
BATCH_BYTES = 200_000
RECORDS, RECORD_BYTES = 2_500, 70_000
MOST_MORE_MB = 60
"""More than a worker may hold (docs/limits.md) would be several hundred."""

Message = tuple[bytes | None, bytes | None, int | None, list[tuple[str, bytes]]]
Records = Iterable[Message]


async def test_a_sink_behind_a_large_backlog(settings: Settings) -> None:
    def backlog(records: int) -> Records:
        return forwarded(LITTLE, "sqlite", settings.signal_partitions, NAMES, records // LITTLE)

    little, much = [
        await peak_mb(settings, ("sink", "sqlite"), "signals", backlog(records), LITTLE)
        for records in (LITTLE, MUCH)
    ]
    assert much - little < MOST_MORE_MB, (little, much)


async def peak_mb(
    settings: Settings, name: tuple[str, ...], topic: str, records: Records, done: int
) -> float:
    """The largest resident size of a worker by the time it has committed `done` of the records."""
    own = settings.model_copy(update={"namespace": f"n{uuid4().hex[:10]}"})
    async with probe(own) as found:
        await found.send(topic, records)
        with worker(own, *name, tag=f"-{own.namespace}") as running:
            await until(lambda: taken(found, ".".join(name), topic, done), "as many", log=lambda: running.log)
            return high_water_mb(running)


def high_water_mb(running: Worker) -> float:
    status = Path(f"/proc/{running.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) / 1024


async def taken(found: Probe, stage: str, topic: str, records: int) -> bool:
    return sum((await found.committed(stage, topic)).values()) >= records


async def test_blocks_behind_a_large_backlog(settings: Settings) -> None:
    little, much = [
        await peak_mb(settings, ("blocks",), "blocks", large_blocks(count), BLOCKS_LITTLE)
        for count in (BLOCKS_LITTLE, BLOCKS_MUCH)
    ]
    assert much - little < MOST_MORE_MB, (little, much)


def large_blocks(count: int) -> Iterator[Message]:
    """A real block, made large by a field that nobody reads."""
    for number, padding in enumerate(paddings(count, BLOCK_BYTES)):
        yield b"%d" % number, padded(REAL_BLOCKS[0], padding), None, [("isolated", b"1")]


async def test_dedupe_behind_a_large_backlog(settings: Settings) -> None:
    """Of large records: Faust itself would hold some 3,000 of them."""

    def backlog(count: int) -> Records:
        batches = [raw(batch_of(number), settings.signal_partitions) for number in range(count)]
        return made_large(batches, BATCH_BYTES)

    little, much = [
        await peak_mb(settings, ("dedupe",), "signals.raw", backlog(count), BATCHES_LITTLE)
        for count in (BATCHES_LITTLE, BATCHES_MUCH)
    ]
    assert much - little < MOST_MORE_MB + MOST_BYTES / 1e6, (little, much)


async def test_receipts_behind_a_large_backlog(settings: Settings) -> None:
    """Of records that no sink has answered: each has an entry in the table, and its content is let go."""

    def backlog(count: int) -> Records:
        return made_large(forwarded(count, "sqlite", settings.signal_partitions), RECORD_BYTES)

    little, much = [
        await peak_mb(settings, ("receipts",), "signals", backlog(count), count)
        for count in (LITTLE // 10, RECORDS)
    ]
    assert much - little < MOST_MORE_MB + MOST_BYTES / 1e6, (little, much)


def made_large(messages: Sequence[Message], size: int) -> Iterator[Message]:
    """By a field that nobody reads."""
    for message, padding in zip(messages, paddings(len(messages), size), strict=True):
        key, value, partition, headers = message
        yield key, padded(value or b"", padding), partition, headers


def padded(value: bytes, padding: bytes) -> bytes:
    """A JSON object with one field more."""
    return value.rstrip()[:-1] + b',"padding":"' + padding + b'"}'


def paddings(count: int, size: int) -> Iterator[bytes]:
    """Letters that hardly can be compressed."""
    rng = Random(1)
    return (rng.randbytes(size // 2).hex().encode() for _ in range(count))
