"""Labels that change while a worker runs."""

import os
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from app.errors import ConfigurationError
from app.labels.registry import builtin_labels
from app.labels.watch import LabelSource

ONE, OTHER = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"
Logs = list[MutableMapping[str, Any]]


@pytest.fixture
def logs() -> Iterator[Logs]:
    """What is logged meanwhile."""
    with capture_logs() as captured:
        yield captured
    structlog.reset_defaults()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of labels: `ONE` is A's."""
    found = tmp_path / "mine.csv"
    write(found, f"address,entity\n{ONE},A\n")
    return found


def write(path: Path, text: str) -> None:
    """New content, at a time of its own: clocks of file systems may be coarse."""
    later = path.stat().st_mtime_ns + 1_000_000 if path.exists() else None
    path.write_text(text)
    if later:
        os.utime(path, ns=(later, later))


def entity_of(source: LabelSource, address: str) -> str | None:
    """Who owns it now."""
    found = source.current.find(address)
    return found and found.entity


def test_without_files_there_are_the_builtin_facts(logs: Logs) -> None:
    source = LabelSource([])
    assert source.current == builtin_labels()
    assert not source.reload_if_changed()
    assert logs == []


def test_a_changed_file_is_loaded(path: Path, logs: Logs) -> None:
    source = LabelSource([path])
    before = source.current
    assert not source.reload_if_changed()
    write(path, f"address,entity\n{ONE},B\n{OTHER},C\n")
    assert source.reload_if_changed()
    assert (entity_of(source, ONE), entity_of(source, OTHER)) == ("B", "C")
    assert before.owners[before.by_address[ONE]].entity == "A", "who still works with the old ones may"
    assert logs == [
        {
            "event": "labels reloaded",
            "log_level": "info",
            "old_version": before.version,
            "new_version": source.current.version,
            "addresses": len(builtin_labels().by_address) + 2,
            "conflicts": 0,
        }
    ]
    assert not source.reload_if_changed()


def test_a_file_of_the_same_size_is_seen_by_its_time(path: Path) -> None:
    source = LabelSource([path])
    write(path, f"address,entity\n{ONE},B\n")
    assert source.reload_if_changed()
    assert entity_of(source, ONE) == "B"


def test_a_broken_file_keeps_the_old_labels_until_it_is_mended(path: Path, logs: Logs) -> None:
    source = LabelSource([path])
    version = source.current.version
    write(path, f"address,entity\n{ONE}\n")
    assert not source.reload_if_changed()
    assert not source.reload_if_changed()
    assert (source.current.version, entity_of(source, ONE)) == (version, "A")
    (event,) = logs
    assert (event["log_level"], event["version"]) == ("error", version)
    assert f"{path} line 2 has 1 fields, the header has 2" in event["error"]
    write(path, f"address,entity\n{ONE},B\n")
    assert source.reload_if_changed()
    assert entity_of(source, ONE) == "B"


def test_a_file_that_vanishes_for_a_while(path: Path, logs: Logs) -> None:
    source = LabelSource([path])
    content = path.read_text()
    path.unlink()
    assert not source.reload_if_changed()
    assert entity_of(source, ONE) == "A"
    assert "can't be read: No such file" in logs[0]["error"]
    path.write_text(content)
    assert not source.reload_if_changed(), "the same content is the same version"
    assert entity_of(source, ONE) == "A"


def test_conflicts_are_said(path: Path, logs: Logs) -> None:
    source = LabelSource([path])
    write(path, "address,entity\n34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo,Me\n")
    assert source.reload_if_changed()
    warning, info = logs
    assert (warning["log_level"], warning["conflicts"]) == ("warning", 1)
    assert (warning["first"], warning["kept"], warning["dropped"]) == (
        "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo",
        "Binance",
        "Me",
    )
    assert info["conflicts"] == 1


def test_a_worker_does_not_start_with_a_broken_file(path: Path) -> None:
    write(path, "address\n")
    with pytest.raises(ConfigurationError, match="lacks entity"):
        LabelSource([path])
