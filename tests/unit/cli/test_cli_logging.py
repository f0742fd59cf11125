"""Logging as workers have it, in processes of their own: it is configured once a process."""

import re
import subprocess
import sys

import orjson
import pytest

PROGRAM = """
import logging, sys, structlog
from app.config import Settings
from app.observe.logging import configure_logging
log = structlog.get_logger()
configure_logging(Settings(_env_file=None, log_format=sys.argv[1], log_level=sys.argv[2]), "dedupe")
structlog.contextvars.bind_contextvars(correlation_id="c1", topic="t", partition=3, offset=7)
log.debug("fine")
log.info("of ours", count=2)
logging.getLogger("faust").info("chatter of a library")
logging.getLogger("aiokafka").warning("of a %s", "library")
structlog.contextvars.unbind_contextvars("correlation_id", "topic", "partition", "offset")
try:
    1 / 0
except ZeroDivisionError:
    log.exception("failed")
"""


def lines(log_format: str, level: str = "info") -> list[str]:
    """What the program writes to stderr."""
    command = [sys.executable, "-W", "error", "-c", PROGRAM, log_format, level]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == ""
    return done.stderr.splitlines()


def test_json_has_one_document_a_line_with_what_is_bound() -> None:
    ours, library, failed = (orjson.loads(line) for line in lines("json"))
    bound = {"correlation_id": "c1", "topic": "t", "partition": 3, "offset": 7, "worker": "dedupe"}
    assert ours.items() >= {"message": "of ours", "level": "info", "count": 2, **bound}.items()
    assert library.items() >= {"message": "of a library", "level": "warning", **bound}.items()
    assert "correlation_id" not in failed
    assert "ZeroDivisionError" in failed["exception"]
    for document in (ours, library, failed):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", document["timestamp"])


def test_console_has_the_same_for_people() -> None:
    found = lines("console")
    assert "of ours" in found[0]
    assert "correlation_id=c1" in found[0]
    assert "of a library" in found[1]
    assert found[-1] == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("level", "expected"), [("debug", 4), ("info", 3), ("warning", 2), ("error", 2)])
def test_the_level_is_of_our_own_events(level: str, expected: int) -> None:
    assert len(lines("json", level)) == expected
