"""`sigstream verify` of all that the tests before this one have sent: corrections, repeats, poison."""

from app.verify.run import verify
from app.verify.span import Asked
from app.verify.topics import Step
from tests.support.pipeline import View
from tests.support.signals import batch_of, raw


async def test_nothing_differs_whatever_was_sent(pipe: View) -> None:
    n = pipe.settings.signal_partitions
    for message in [raw(batch_of(number, version=1), n) for number in (1, 2, 1)]:
        await pipe.send("signals.raw", message[1], message[0], message[2])
    key = raw(batch_of(3), n)
    assert key[2] is not None
    await pipe.send("signals.raw", key[1], key[0], (key[2] + 1) % n)  # to be moved
    await pipe.send("signals.raw", b"\xff", None, 0)
    await pipe.at_rest()
    stages: dict[str, list[int]] = {}

    def begin(what: str, total: int) -> Step:
        stages[what] = [total]
        return stages[what].append

    found = await verify(pipe.settings, Asked(), begin)
    assert {what: total for what, (total, *_) in stages.items()} == {
        what: sum(done) for what, (_, *done) in stages.items()
    }
    assert stages["reading topics"][0] > await records(pipe, "signals.raw", "signals", "signals.persisted")
    assert stages["reading stores"][0] >= len(pipe.stores)
    assert found.findings == []
    assert found.drained
    assert found.signals >= 12
    assert all(span.complete for span in found.spans)


async def records(pipe: View, *topics: str) -> int:
    """On all of these, dead letters and blocks apart."""
    return sum([await pipe.kafka.count(topic) for topic in topics])
