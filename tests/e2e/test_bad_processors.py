"""Processors of somebody's own package that raise, hang or return what no signal may be: the others'
signals are stored, and a metric and a log line with the block's height say what is missing."""

from functools import partial
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.config import Settings
from app.embedded.ports import free_port
from app.sources.simulator import CHAIN, simulate
from app.verify.run import verify
from app.verify.span import Asked
from tests.support.blocks import message
from tests.support.latest import shown
from tests.support.probe import probe, until
from tests.support.processes import ROOT, worker

PACKAGE = """
import time
from app.processors.base import Metric, Output

class Base:
    def process(self, features, history):
        return Output([Metric(f"{self.name}.a", 1.0), *self.more()])

class Raises(Base):
    name = "raises"
    every_block = True
    def more(self): raise ValueError("by design")

class Hangs(Base):
    name = "hangs"
    def more(self):
        while True: pass

class Sleeps(Base):
    name = "sleeps"
    def more(self): time.sleep(3600)

class NotANumber(Base):
    name = "nan"
    def more(self): return [Metric("nan.b", float("nan"))]

class Infinite(Base):
    name = "infinite"
    def more(self): return [Metric("infinite.b", float("inf"))]

class Twice(Base):
    name = "twice"
    def more(self): return [Metric("twice.a", 2.0)]
"""
BAD = {
    "raises": "Raises",
    "hangs": "Hangs",
    "sleeps": "Sleeps",
    "nan": "NotANumber",
    "infinite": "Infinite",
    "twice": "Twice",
}
BLOCKS = 5


def install(directory: Path) -> None:
    """As pip would: a module, and what says which processors are in it."""
    (directory / "bad_processors.py").write_text(PACKAGE)
    about = directory / "bad_processors-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: bad-processors\nVersion: 1.0\n")
    points = "\n".join(f"{name} = bad_processors:{kind}" for name, kind in BAD.items())
    (about / "entry_points.txt").write_text(f"[sigstream.processors]\n{points}\n")


def stored(file: Path) -> dict[int, set[str]]:
    """Names of signals by height."""
    found: dict[int, set[str]] = {}
    for height, name in shown(file, "block_height, name"):
        found.setdefault(height, set()).add(name)
    return found


def failures(port: int) -> dict[str, float]:
    """The metric, by processor."""
    text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = families["sigstream_processor_failures"].samples
    return {s.labels["processor"]: s.value for s in samples if s.name.endswith("_total")}


async def named_by_verify(settings: Settings) -> bool:
    """Once all is read; of those that left signals out, one has promised some for every block."""
    verdict = await verify(settings, Asked(), lambda _what, _total: lambda _done: None)
    found = [finding for finding in verdict.findings if finding.kind == "missing"]
    owed = [(f.where, e.key, e.name) for f in found for e in f.examples]
    return sorted(owed) == [("blocks", f"{CHAIN}|{height}", "raises") for height in range(BLOCKS)]


async def test_the_others_signals_are_stored_and_the_failure_is_told(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    port = free_port()
    settings = settings.model_copy(
        update={
            "sinks": ("sqlite",),
            "processors": ("raises", "hangs", "mempool", "sleeps", "nan", "infinite", "twice", "miner"),
            "processor_budget_s": 0.5,
        }
    )
    path = f"{ROOT}:{tmp_path}"
    async with probe(settings) as found:
        with (
            worker(settings, "blocks", PYTHONPATH=path, SIGSTREAM_METRICS_PORT=str(port)) as blocks,
            worker(settings, "dedupe"),
            worker(settings, "sink", "sqlite"),
        ):
            await found.send("blocks", map(message, simulate(BLOCKS, seed=1)))

            async def all_stored() -> bool:
                assert blocks.returncode is None, blocks.log
                return sorted(stored(settings.sqlite_file)) == list(range(BLOCKS))

            await until(all_stored, "a signal of every block", log=lambda: blocks.log)
            for names in stored(settings.sqlite_file).values():
                assert {name.partition(".")[0] for name in names} == {"mempool", "miner"}
            assert failures(port) == dict.fromkeys(BAD, float(BLOCKS))
            await until(partial(named_by_verify, settings), "verify names the one that owes each block")
    log = (settings.data_dir / "blocks.log").read_text()
    for name in BAD:
        for height in range(BLOCKS):
            assert any(
                f"processor={name} " in line and f"height={height} " in line
                for line in log.splitlines()
                if "processor failed" in line
            ), f"{name} at {height}: {log[-2000:]}"
