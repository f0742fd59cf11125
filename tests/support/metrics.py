"""A program's metrics, as Prometheus reads them."""

import random
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from app.embedded.ports import RANGE, is_free

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels."""


def scraped(port: int) -> Series:
    """All series that are served there. Raises URLError where nobody serves."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    """Key of a series."""
    return name, frozenset(labels.items())


def ports_in_a_row(count: int) -> int:
    """The first of so many free ones."""
    while True:
        first = random.choice(RANGE[:-count])
        if all(is_free(first + number) for number in range(count)):
            return first
