"""`sigstream labels`: shown, checked, found."""

from pathlib import Path
from typing import Any

import pytest

from app.labels.registry import builtin_labels
from tests.support.cli import Cli

ONE = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"
BINANCE = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"


@pytest.fixture
def mine(tmp_path: Path, cli: Cli) -> Path:
    """A file of labels that is in use and contradicts the built-in facts once."""
    path = tmp_path / "mine.csv"
    path.write_text(f"address,entity,type,source\n{ONE},[red]A[/red],exchange,me\n{BINANCE},Me,exchange,me\n")
    cli.environment["SIGSTREAM_LABELS"] = str(path)
    return path


def document(cli: Cli, *arguments: str | Path) -> dict[str, Any]:
    """What a command of `labels` prints with --json."""
    found = cli.json("labels", *arguments)
    assert isinstance(found, dict)
    return found


def test_show_the_builtin_facts(cli: Cli) -> None:
    result = cli("labels", "show")
    assert result.exit_code == 0
    assert builtin_labels().version in result.stdout
    assert "Binance proof of reserves" in result.stdout
    found = document(cli, "show")
    assert found["addresses"] == sum(found["types"].values()) == sum(found["sources"].values())
    assert set(found["types"]) == {"exchange", "miner", "treasury", "other"}
    assert found["files"] == found["conflicts"] == []


def test_show_files_and_their_conflicts(cli: Cli, mine: Path) -> None:
    found = document(cli, "show")
    assert found["files"] == [{"path": str(mine), "format": "csv", "labels": 2, "skipped": {}}]
    assert found["sources"]["me"] == 1
    (conflict,) = found["conflicts"]
    assert (conflict["address"], conflict["kept"]["entity"], conflict["dropped"]) == (
        BINANCE,
        "Binance",
        {"entity": "Me", "type": "exchange", "source": "me", "confidence": 0.5},
    )
    text = cli("labels", "show").stdout
    assert "Conflicts" in text
    assert "Me (exchange, 0.5, me)" in text


def test_show_a_broken_file(cli: Cli, mine: Path) -> None:
    mine.write_text("address\n")
    result = cli("labels", "show")
    assert result.exit_code == 1
    assert "lacks entity" in result.stderr


def test_find_who_is_known(cli: Cli, mine: Path) -> None:
    assert "[red]A[/red]" in cli("labels", "find", ONE).stdout
    found = document(cli, "find", BINANCE)
    assert found["owner"]["entity"] == "Binance"
    assert [conflict["dropped"]["entity"] for conflict in found["conflicts"]] == ["Me"]
    text = cli("labels", "find", BINANCE).stdout
    assert "kept" in text
    assert "dropped" in text


def test_find_who_is_not_known(cli: Cli) -> None:
    result = cli("labels", "find", ONE)
    assert result.exit_code == 1
    assert "nobody known" in result.stdout
    wrong = cli("labels", "find", "0x12")
    assert wrong.exit_code == 1
    assert "ADDRESS: '0x12' is no Bitcoin address" in wrong.stderr


def test_check_says_of_each_file_what_is_wrong(cli: Cli, mine: Path, tmp_path: Path) -> None:
    broken, unknown = tmp_path / "broken.yaml", tmp_path / "what.txt"
    broken.write_text("tags: 1")
    result = cli("labels", "check", broken, mine, unknown)
    assert result.exit_code == 1
    assert f"Error: {broken} is no TagPack" in result.stderr
    assert f"Error: {unknown} ends in '.txt'" in result.stderr
    assert "Me (exchange, 0.5, me)" in result.stdout, "the good file is reported all the same"


def test_check_of_a_good_file(cli: Cli, mine: Path) -> None:
    found = document(cli, "check", mine)
    assert found["errors"] == []
    assert len(found["conflicts"]) == 1
    assert cli("labels", "check", mine).stderr == ""
