"""SQL lives in .sql files beside its sink: queries under `-- name: <name>`, with their comments."""

import re
from pathlib import Path

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)


def load(file: Path) -> dict[str, str]:
    """Text of each query of the file, by name, without the final semicolon."""
    _, *parts = _NAME.split(file.read_text(encoding="utf-8"))
    return {name: text.strip().removesuffix(";") for name, text in zip(parts[::2], parts[1::2], strict=True)}
