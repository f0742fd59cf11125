"""Tries at a server that is away for a while, and what is said of them meanwhile."""

from typing import Any

import stamina
import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from app.errors import Transient

log = structlog.get_logger()


def tries(timeout_s: float, *, wait_initial_s: float, wait_max_s: float) -> Any:
    """`async for attempt in tries(...): with attempt: ...`: again after what is Transient, with growing
    pauses, for up to `timeout_s`; then the last error is raised."""
    set_on_retry_hooks([_tell])
    return stamina.retry_context(
        on=Transient, attempts=None, timeout=timeout_s, wait_initial=wait_initial_s, wait_max=wait_max_s
    )


def _tell(details: RetryDetails) -> None:
    """At the 1st, 2nd, 4th, 8th ... try."""
    number = details.retry_num
    if number & (number - 1) == 0:
        log.warning(
            "source waits",
            reason=str(details.caused_by),
            tries=number,
            next_try_s=round(details.wait_for, 1),
            waited_s=round(details.waited_so_far, 1),
        )
