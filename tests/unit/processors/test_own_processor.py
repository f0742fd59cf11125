"""The example package, installed as anybody's would be: found by its entry point, run like the built-in."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[3]
EXAMPLE = REPOSITORY / "examples" / "own_processor"
BLOCK = REPOSITORY / "tests" / "fixtures" / "blocks" / "757739.json.zst"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH that holds the package; nothing is downloaded."""
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    offline = ["--no-build-isolation", "--no-index", "--target", str(target), str(EXAMPLE)]
    subprocess.run([*pip, *offline], check=True, capture_output=True, text=True, timeout=120)
    return target


def python(installed: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(installed), str(REPOSITORY)])
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, "PYTHONPATH": path, **variables},
        cwd=installed,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_its_signals_stand_beside_the_others(installed: Path) -> None:
    ran = python(
        installed,
        *("app.main", "features", str(BLOCK), "--json"),
        SIGSTREAM_PROCESSORS="mempool,batching",
        SIGSTREAM_PROCESSOR_PARAMS='{"batching": {"half": 2.5}}',
    )
    assert ran.returncode == 0, ran.stderr
    found = {signal["name"]: signal for signal in json.loads(ran.stdout)["signals"]}
    outputs = found["batching.outputs_per_tx"]
    assert outputs["score"] == pytest.approx(outputs["value"] / (outputs["value"] + 2.5))
    assert "mempool.fullness" in found


def test_its_own_tests_pass(installed: Path) -> None:
    tests = ("pytest", "-q", "-p", "no:cacheprovider", "-p", "no:bqemulator", str(EXAMPLE / "tests"))
    ran = python(installed, *tests)
    assert ran.returncode == 0, ran.stdout + ran.stderr
