"""A bootstrap address that swallows what it is sent does not throw a running worker out of its group."""

from app.config import Settings
from app.embedded.ports import HOST
from tests.support.faults.proxy import Proxy
from tests.support.probe import Probe, probe, until
from tests.support.processes import Worker, worker
from tests.support.signals import batch_of, raw

BATCHES = 200


async def test_a_rebalance_goes_on_where_kafka_is_not_recognised(settings: Settings) -> None:
    with Proxy() as front:
        front.target = int(settings.need_kafka().rpartition(":")[2])
        behind = settings.model_copy(update={"kafka": f"{HOST}:{front.port}"})
        async with probe(settings) as found:
            with worker(behind, "dedupe") as first:
                await handled(found, first, 0)
                front.stall()
                with worker(settings, "dedupe", tag="-2") as second:
                    await taken(first)
                    await handled(found, first, BATCHES)
                    assert len(await found.shares("dedupe", "signals.raw")) == 2, first.log
                    assert front.counts.stalled > 0
                    assert (first.stop(), second.stop()) == (0, 0), first.log + second.log


async def handled(found: Probe, first: Worker, begin: int) -> None:
    """Records on all partitions, and their commits."""
    n = found.settings.signal_partitions
    await found.send("signals.raw", (raw(batch_of(begin + number), n) for number in range(BATCHES)))

    async def nothing_left() -> bool:
        assert first.returncode is None, first.log
        forwarded = await found.count("signals") >= begin + BATCHES
        return forwarded and not await found.lag("dedupe", "signals.raw")

    await until(nothing_left, "dedupe without lag", log=lambda: first.log)


async def taken(first: Worker) -> None:
    """The worker has its new partitions, and no answer."""

    async def said() -> bool:
        assert first.returncode is None, first.log
        return "partitions taken before Kafka was recognised" in first.log

    await until(said, "an assignment without an answer", log=lambda: first.log)
