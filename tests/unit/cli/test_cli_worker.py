"""`sigstream worker` becomes the worker's own process."""

import os
import sys

import pytest

from app.cli.worker import AGENTS, SINKS, command_of
from tests.support.cli import Cli


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_a_faust_worker_without_its_web_server(name: str) -> None:
    command = command_of(name)
    assert command[:4] == [sys.executable, "-P", "-m", "faust"]
    assert command[command.index("-A") + 1] == f"topologies.{name}"
    assert command[-2:] == ["worker", "--without-web"]


@pytest.mark.parametrize("name", SINKS)
def test_a_sink_is_its_topology_module(name: str) -> None:
    assert command_of("sink", name) == [sys.executable, "-P", "-m", "topologies.sinks", name]


def test_the_process_is_replaced(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "execv", lambda program, command: ran.append((program, command)))
    cli.environment["SIGSTREAM_KAFKA"] = "127.0.0.1:1"
    assert cli("worker", "sink", "sqlite").exit_code == 0
    assert ran == [(sys.executable, command_of("sink", "sqlite"))]
