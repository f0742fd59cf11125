"""With which sinks a replay that was stopped goes on."""

import pytest

from app.replay.run import left
from app.replay.store import Progress

NONE, STOPPED, DONE = Progress.NONE, Progress.STOPPED, Progress.DONE


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        ((NONE, NONE, NONE), "abc"),
        ((DONE, DONE, DONE), "abc"),
        ((STOPPED, NONE, NONE), "abc"),
        ((DONE, STOPPED, NONE), "bc"),
        ((STOPPED, DONE, DONE), "abc"),  # those behind it were done by an earlier one
        ((NONE, STOPPED, NONE), "abc"),
        ((DONE, NONE, NONE), "abc"),
    ],
)
def test_a_sink_that_was_not_begun_is_not_done(progress: tuple[Progress, ...], expected: str) -> None:
    assert left(dict(zip("abc", progress, strict=True))) == list(expected)
