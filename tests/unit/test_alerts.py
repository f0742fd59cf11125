"""Alerts and pages about metrics say what the code has."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import REGISTRY, Metric

from app.backfill import measures
from app.observe import metrics

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "deploy/prometheus/alerts.yml"
PAGES = (ROOT / "docs/metrics.md", ROOT / "docs/backfill.md")
MODULES = (metrics, measures)
"""Where metrics are registered."""
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def families() -> list[Metric]:
    return [family for family in REGISTRY.collect() if family.name.startswith("sigstream_")]


def series_of(family: Metric) -> set[str]:
    """Names that a query can ask for."""
    return {f"{family.name}{suffix}" for suffix in SUFFIXES.get(family.type, ("",))}


def exposed() -> set[str]:
    return {name for family in families() for name in series_of(family)}


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: str(rule["alert"]))
def test_an_alert_is_on_a_metric_that_is_there_and_says_what_to_do(rule: dict[str, Any]) -> None:
    asked = set(re.findall(r"\bsigstream_\w+", rule["expr"]))
    assert asked
    assert asked <= exposed()
    assert rule["labels"]["severity"] in {"warning", "critical"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in anchors(ROOT / page)


def test_every_metric_has_its_row_on_a_page() -> None:
    described = {
        name
        for page in PAGES
        for name in re.findall(r"^\| `(sigstream_\w+)`", page.read_text(), re.MULTILINE)
    }
    missing = {family.name for family in families() if not described & {family.name, *series_of(family)}}
    assert not missing
    assert described <= exposed() | {family.name for family in families()}
