"""What a backfill is: which blocks, from where, and what its signals may replace."""

from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from app.config import RELOADABLE, Settings
from app.errors import ConfigurationError
from app.kafka_client import client_options
from app.model.wire import decode
from app.processors.history import MOST, YEAR
from app.query.kafka import Reader
from app.streaming.topics import SIGNAL_BYTES, Topic

TOPIC = "backfill"
"""Short name of the topic whose first record is the plan."""
GAP_WAIT_S = 60.0
"""A worker that was killed is back before a gap is passed."""
PATIENT = 30
"""Times the budget of a processor: it is wall-clock time, and a process of low priority waits a lot."""
BATCH_SIGNALS = 1000
"""Of the sinks: small writes let the live pipeline's in between."""
ERA_S = 3_000_000_000
"""January 2065, in seconds since 1970: see `versions_from`."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """As it was when the backfill began; written once. Heights are included."""

    chain: str
    first: int
    """Lowest block whose signals are sent."""
    last: int
    begin: int
    """Lowest block that is read: those below `first` warm up."""
    replace: bool
    source: str

    @property
    def blocks(self) -> int:
        """Whose signals are sent."""
        return self.last - self.first + 1


class Begun(NamedTuple):
    """A plan, and when it was written (the broker's time)."""

    plan: Plan
    at_ms: int


_DECODER = msgspec.json.Decoder(Plan)


def versions_from(begun: Begun) -> int:
    """Where the versions of a backfill begin; one more for each record of `block-features`.

    `replace`: at the time it began, in microseconds. So it replaces what was stored by then, and what the
    live pipeline writes later wins. Otherwise below every broker's time, and lower the later it began: what
    is stored stays, also what an earlier backfill has stored.
    """
    if begun.plan.replace:
        return begun.at_ms * 1000
    return (ERA_S - begun.at_ms // 1000) * 1_000_000


def warm_up_of(replace: bool) -> int:
    """Blocks before the range unless told otherwise: the longest window of single blocks; and where signals
    of the live pipeline are replaced, what sums reach back to, so that none is replaced by less."""
    return YEAR if replace else MOST


def settings_of(live: Settings, namespace: str, begun: Begun, metrics_port: int) -> Settings:
    """Of the backfill's workers: a namespace of their own, the stores of the live pipeline.

    What may change in the live pipeline's settings file is fixed here: one range, one formula.
    """
    fixed = {name: getattr(live, name) for name in RELOADABLE - {"log_level"}}
    own = fixed | {
        "namespace": namespace,
        "sinks": live.required_sinks,
        "metrics_port": metrics_port + 1 if metrics_port else 0,
        "first_height": begun.plan.begin,
        "emit_from_height": begun.plan.first,
        "versions_from": versions_from(begun),
        "gap_wait_s": GAP_WAIT_S,
        "processor_budget_s": PATIENT * live.processor_budget_s,
        "sink_batch_signals": min(BATCH_SIGNALS, live.sink_batch_signals),
    }
    return live.model_copy(update=own)


def plan_topic(settings: Settings) -> Topic:
    """Where the plan is kept for as long as the namespace's topics are."""
    return Topic(settings.topic(TOPIC), 1, None, SIGNAL_BYTES)


async def read_plan(settings: Settings, reader: Reader) -> Begun | None:
    """The namespace's plan; None: there is none."""
    for tp, (begin, end) in (await reader.bounds(await reader.partitions(plan_topic(settings).name))).items():
        async for record in reader.read(tp, begin, end):
            return Begun(decode(_DECODER, record.value, "backfill's plan"), record.timestamp_ms)
    return None


async def write_plan(settings: Settings, plan: Plan) -> None:
    """Into its topic, which must be there."""
    producer = AIOKafkaProducer(**client_options(settings), acks="all")
    await producer.start()
    try:
        await producer.send_and_wait(plan_topic(settings).name, msgspec.json.encode(plan), key=b"plan")
    finally:
        await producer.stop()


def check_same(namespace: str, begun: Begun, wanted: Plan) -> None:
    """Raises ConfigurationError where the namespace holds another backfill."""
    if begun.plan == wanted:
        return
    when = datetime.fromtimestamp(begun.at_ms / 1000, UTC).isoformat(timespec="seconds")
    raise ConfigurationError(
        f"namespace {namespace} holds another backfill, begun {when}: {_say(begun.plan)}; asked for is "
        f"{_say(wanted)}. Repeat its command to go on with it, or take another --namespace"
    )


def _say(plan: Plan) -> str:
    mode = ", replacing" if plan.replace else ""
    return f"{plan.chain} {plan.first} to {plan.last} from block {plan.begin} on, {plan.source}{mode}"
