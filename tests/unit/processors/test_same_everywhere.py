"""The same blocks give the same bytes in every process, whatever the order of its sets."""

import os
import subprocess
import sys
from hashlib import sha256

import msgspec

from app.chain.extract import extract
from app.config import Settings
from app.labels.owners import Kind, Owner
from app.labels.registry import merge
from app.processors.history import History, Past
from app.processors.registry import enabled_processors
from app.processors.run import run_processors
from app.sources.economy import EconomyScenario
from app.sources.simulator import CHAIN


def digest() -> str:
    """Of all signals of a simulated chain, metadata and confidences included."""
    economy = EconomyScenario(blocks=15, seed=4)
    claims = [
        (row.address, Owner(row.entity, Kind(row.type), row.source, float(row.confidence)))
        for row in economy.labels
    ]
    known = merge(claims).labels
    processors = enabled_processors(Settings.model_construct())
    pasts: list[Past] = []
    found = sha256()
    for value in economy.main:
        block = extract(value, chain=CHAIN, isolated=False, labels=known)
        ran = run_processors(processors, block, History(pasts), version=1, correlation_id=None)
        assert ran.failures == {}
        pasts.append(ran.past)
        found.update(msgspec.json.encode(ran.batch))
    assert {signal.signal_type for signal in ran.batch.signals} == {p.processor.name for p in processors}
    assert any(signal.name.startswith("exchange.inflow_btc:") for signal in ran.batch.signals)
    return found.hexdigest()


def test_signals_do_not_depend_on_the_order_of_sets() -> None:
    command = [sys.executable, "-c", f"from {__name__} import digest; print(digest())"]
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": "."}
        run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert (run.stdout.strip(), run.stderr) == (digest(), "")
