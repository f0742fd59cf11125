"""Queries of a .sql file."""

from pathlib import Path

import pytest

from app.sinks.statements import load


def test_queries_are_found_by_name_with_their_comments(tmp_path: Path) -> None:
    file = tmp_path / "statements.sql"
    file.write_text("-- About the file.\n\n-- name: one\n-- Why.\nSELECT 1;\n\n-- name: two\nSELECT\n  2;\n")
    assert load(file) == {"one": "-- Why.\nSELECT 1", "two": "SELECT\n  2"}


@pytest.mark.parametrize("sink", ["timescale", "sqlite"])
def test_the_sinks_files_can_be_read(sink: str) -> None:
    statements = load(Path("app/sinks") / sink / "statements.sql")
    assert {"upsert", "known"} <= set(statements)
    assert all(statements.values())
