"""The real blocks among the fixtures, and what is the same of a block wherever it comes from."""

from pathlib import Path
from typing import Any

import msgspec

from app.chain.extract import extract
from app.sources.files import read_block_file

FOLDER = Path(__file__).parents[1] / "fixtures" / "blocks"
REAL_BLOCKS = [read_block_file(FOLDER / f"{height}.json.zst") for height in (150013, 757739)]

OF_AGES = {"age_completeness", "aged_sat", "coin_days_destroyed", "old_spent_sat"}
"""Features that need the heights of spent outputs."""


def features(value: bytes) -> dict[str, Any]:
    """All features of a block's JSON."""
    found: dict[str, Any] = msgspec.to_builtins(extract(value, chain="BTC", isolated=True))
    return found
