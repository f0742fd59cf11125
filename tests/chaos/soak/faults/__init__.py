"""Every kind of fault, by name."""

from functools import partial

from tests.chaos.soak.faults import broker, clock, disk, poison, processes, stores
from tests.chaos.soak.rig import Fault

AGENTS = ("blocks", "dedupe", "receipts")
SINKS = ("sink.sqlite", "sink.timescale", "sink.bigquery")
STAGES = (*AGENTS, *SINKS)

KINDS: dict[str, Fault] = {
    **{f"kill {stage}": partial(processes.kill, stage=stage) for stage in STAGES},
    **{f"stop {stage}": partial(processes.stop, stage=stage) for stage in STAGES},
    **{f"rebalance {stage}": partial(processes.rebalance, stage=stage) for stage in STAGES},
    **{f"zombie {stage}": partial(processes.zombie, stage=stage) for stage in STAGES},
    "broker restarts": broker.restart,
    "broker slow": broker.slow,
    **{f"{sink} down": partial(stores.down, sink=sink) for sink in ("timescale", "bigquery")},
    **{f"{sink} slow": partial(stores.slow, sink=sink) for sink in ("timescale", "bigquery")},
    **{f"{sink} cuts": partial(stores.cuts, sink=sink) for sink in ("timescale", "bigquery")},
    "sqlite locked": stores.locked,
    "disk full": disk.full,
    **{f"poison {topic}": partial(poison.poison, topic=topic) for topic in poison.STAGES},
    **{f"clock {stage}": partial(clock.jump, stage=stage) for stage in STAGES},
}
"""What the name says, and where."""
