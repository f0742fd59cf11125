"""What a command says when something is wrong, and with which exit code."""

import socket
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.support.cli import Cli

NOBODY = "127.0.0.1:1"
"""A port that nothing listens on."""
NOBODY_URL = f"http://{NOBODY}"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["worker", "dedupe"], "SIGSTREAM_KAFKA=host:port"),
        (["worker", "nonsense"], "choose blocks, dedupe, receipts, or sink NAME"),
        (["worker", "sink"], "choose bigquery, sqlite, timescale"),
        (["worker", "sink", "nonsense"], "there is no sink 'nonsense'"),
        (["worker", "dedupe", "sqlite"], "takes nothing more, found 'sqlite'"),
        (["status"], "no Kafka"),
        (["ingest", "simulate", "--blocks", "1"], "no Kafka"),
        (["ingest", "files", "missing.json", "--chain", "btc"], "send 'BTC'"),
        (["ingest", "files", "."], ". has no .json or .json.zst file"),
        (["backtest", "--source", "."], ". has no .json or .json.zst file"),
        (["ingest", "simulate", "--blocks", "9", "--depth", "2"], "--depth belongs to --reorgs"),
        (["ingest", "simulate", "--blocks", "9", "--labels-to", "a.csv"], "--labels-to belongs to --economy"),
        (
            ["ingest", "simulate", "--blocks", "9", "--economy", "--labels-to", "no/a.csv"],
            "no/a.csv can't be written",
        ),
        (["ingest", "simulate", "--blocks", "0"], "--blocks 0 sends nothing"),
        (["trace", "sigstream|BTC"], "has 2 of at least 3 parts"),
        (["trace", "sigstream|BTC|yesterday"], "`ts` is 'yesterday', not RFC 3339"),
        (["trace", "sigstream|btc|2024-01-01T00:00:00Z"], "`symbol` is 'btc', not upper case"),
        (["signals"], "signals.db does not exist"),
        (["signals", "--store", "nonsense"], "choose one of bigquery, sqlite, timescale"),
        (["signals", "--store", "timescale"], "SIGSTREAM_TIMESCALE_DSN is not set"),
        (["signals", "--store", "bigquery"], "SIGSTREAM_BIGQUERY_PROJECT is not set"),
        (["dlq", "list"], "no Kafka"),
        (["dlq", "show", "7"], "write PARTITION/OFFSET"),
        (["dlq", "drop", "0/1", "1:2"], "'1:2' names no dead letter"),
        (["dlq", "replay", "--since", "today"], "--since is 'today', not RFC 3339"),
        (["features", "missing.json"], "missing.json can't be read"),
    ],
)
def test_an_error_is_one_paragraph_and_exit_code_1(cli: Cli, arguments: list[str], says: str) -> None:
    result = cli(*arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


@pytest.mark.parametrize("source", [["core"], ["esplora", "--url", NOBODY_URL]])
def test_an_option_of_following_needs_it(cli: Cli, source: list[str]) -> None:
    result = cli("ingest", *source, "--from", "1", "--poll", "9")
    assert result.exit_code == 1
    assert result.stderr == "Error: --poll belongs to following: add --follow\n"


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["worker"], ["ingest", "simulate"], ["signals", "--limit", "0"], ["trace"]]
)
def test_wrong_usage_is_exit_code_2(cli: Cli, arguments: list[str]) -> None:
    assert cli(*arguments).exit_code == 2


def test_a_bad_setting_is_named_with_its_value(cli: Cli) -> None:
    cli.environment["SIGSTREAM_SIGNAL_PARTITIONS"] = "many"
    result = cli("worker", "dedupe")
    assert result.exit_code == 1
    assert "SIGSTREAM_SIGNAL_PARTITIONS is 'many'" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_processor_that_is_not_installed_is_named_by_the_worker(cli: Cli) -> None:
    cli.environment["SIGSTREAM_KAFKA"] = "127.0.0.1:1"
    cli.environment["SIGSTREAM_PROCESSORS"] = "mempool,moon"
    result = cli("worker", "blocks")
    assert result.exit_code == 1
    assert "no processor 'moon' is installed" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_port_for_metrics_that_is_taken_is_named_by_the_worker(cli: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("", 0))
        taken.listen()
        cli.environment["SIGSTREAM_KAFKA"] = NOBODY
        cli.environment["SIGSTREAM_METRICS_PORT"] = str(taken.getsockname()[1])
        result = cli("worker", "dedupe")
    assert result.exit_code == 1
    assert "set SIGSTREAM_METRICS_PORT to a port of this worker's own" in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_version_is_that_of_the_distribution(cli: Cli) -> None:
    assert cli("--version").stdout == version("sigstream") + "\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["status"],
        ["dlq", "list"],
        ["trace", "p|S|2024-01-01T00:00:00Z"],
        ["ingest", "simulate", "--blocks", "1"],
    ],
)
def test_a_kafka_that_does_not_answer_is_named(cli: Cli, arguments: list[str]) -> None:
    cli.environment["SIGSTREAM_KAFKA"] = NOBODY
    result = cli(*arguments)
    assert result.exit_code == 1
    assert f"Kafka at {NOBODY} does not answer" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_does_not_answer_is_named(cli: Cli) -> None:
    cli.environment["SIGSTREAM_TIMESCALE_DSN"] = f"postgresql://u:p@{NOBODY}/d"
    result = cli("signals", "--store", "timescale")
    assert result.exit_code == 1
    assert "PostgreSQL does not answer" in result.stderr


def test_a_file_that_is_no_database_is_named(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "signals.db"
    file.write_bytes(b"no database, but long enough to be read as one " * 100)
    cli.environment["SIGSTREAM_SQLITE_PATH"] = str(file)
    result = cli("signals", "--store", "sqlite")
    assert result.exit_code == 1
    assert str(file) in result.stderr


@pytest.mark.parametrize(
    "command", ["up", "demo", "worker", "ingest", "status", "signals", "trace", "features", "dlq"]
)
def test_every_command_explains_itself(cli: Cli, command: str) -> None:
    assert command in cli("--help").stdout
    assert cli(command, "--help").exit_code == 0
