"""A record that no stage can make sense of."""

from uuid import uuid4

from tests.chaos.soak.rig import Rig
from tests.support.probe import tape

STAGES = ("blocks", "block-features", "mempool", "signals.raw", "signals", "signals.persisted")
"""Topics."""
POISON = (b"\xff\xfe\x00 neither JSON nor UTF-8", b"", b"[1, 2]", b'{"provider": 7}', None)


async def poison(rig: Rig, topic: str) -> str:
    """It becomes a dead letter; those behind it are not its concern."""
    value = rig.rng.choice(POISON)
    key = f"poison/{topic}/{uuid4().hex}".encode()
    partition = rig.rng.randrange(len(rig.probe.partitions(topic)))
    async with tape(rig.place.direct, "dead-letters") as seen:
        await rig.load.burst()
        rig.strangers += topic == "signals"
        await rig.probe.send(topic, [(key, value, partition, [])])
        await rig.load.burst()

        async def letters() -> list[bytes]:
            return [record.headers["stage"] for record in await seen.of("dead-letters") if record.key == key]

        found = await rig.until(letters, f"a dead letter for the poison on {topic}")
    return f"{value!r} became a dead letter of {', '.join(stage.decode() for stage in found)}"
