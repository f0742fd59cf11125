"""What an event of a chain led to, for operators: log lines and metrics (docs/metrics.md)."""

import structlog

from app.errors import ContractError
from app.model.features import BlockFeatures
from app.observe import metrics
from app.pipeline.chain import Effects
from app.processors.run import Ran

log = structlog.get_logger()


def report(chain: str, effects: Effects) -> None:
    """Log and count what an event led to."""
    for features, ran in effects.ran:
        log.info("block", chain=chain, height=features.height, hash=features.hash,
                 signals=len(ran.batch.signals), isolated=features.isolated)  # fmt: skip
        _report_failures(features, ran)
    for features in effects.retracted:
        metrics.blocks_retracted.labels(chain).inc()
        log.warning("block left the chain", chain=chain, height=features.height, hash=features.hash)
    if effects.passed:
        metrics.blocks_missing.labels(chain).inc(effects.passed)
        log.error("gap passed", chain=chain, missing=effects.passed)
    if effects.too_late:
        metrics.blocks_too_late.labels(chain).inc()
        log.error("block too late, computed without history", chain=chain)


def _report_failures(features: BlockFeatures, ran: Ran) -> None:
    """What processors raised."""
    for name, error in ran.failures.items():
        metrics.processor_failures.labels(name).inc()
        trace = None if isinstance(error, ContractError) else error
        log.error("processor failed", processor=name, chain=features.chain, height=features.height,
                  reason=str(error), exc_info=trace)  # fmt: skip
    for name, seconds in ran.timings.items():
        metrics.processor_seconds.labels(name).observe(seconds)
