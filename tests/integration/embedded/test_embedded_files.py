"""Where embedded servers find and keep their files: jars, places that another user can reach."""

import os
import shutil
from pathlib import Path

import asyncpg
import pytest

from app.embedded import jars, reach
from app.embedded.postgres import Postgres
from app.errors import ServerDidNotStart


def test_a_jar_with_other_bytes_than_locked_is_fetched_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jars, "LOCK", lock_of(tmp_path))
    [jar] = jars.classpath()
    content = jar.read_bytes()
    jar.write_bytes(content[:100])
    assert jars.classpath() == [jar]
    assert jar.read_bytes() == content


def test_a_jar_that_comes_with_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(jars, "LOCK", lock_of(tmp_path, sha256="0" * 64))
    with pytest.raises(ServerDidNotStart, match=r"jspecify:1.0.0 came with SHA-256 1fad.*says 0000"):
        jars.classpath()
    assert list((tmp_path / "sigstream" / "jars").glob("*.jar")) == []


def lock_of(directory: Path, sha256: str = "") -> Path:
    """The real lock's line of its smallest jar."""
    name, value = next(line.split(" = ") for line in jars.LOCK.read_text().splitlines() if "jspecify" in line)
    lock = directory / "one-jar.lock.toml"
    lock.write_text(f"[jars]\n{name} = {repr(sha256) if sha256 else value}\n")
    return lock


async def test_postgres_runs_below_a_directory_that_only_its_owner_may_enter(tmp_path: Path) -> None:
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    with Postgres(private / "postgres") as server:
        connection = await asyncpg.connect(server.dsn)
        place = Path(await connection.fetchval("SHOW data_directory"))
        await connection.close()
    if os.geteuid() == 0:
        assert place.parent == reach.stand_in(private / "postgres")
        shutil.rmtree(place.parent)
    else:
        assert place == private / "postgres" / "data"


def test_programs_out_of_reach_are_copied_once(tmp_path: Path) -> None:
    tree = tmp_path / "private" / "programs"
    tree.mkdir(parents=True, mode=0o700)
    (tree / "run").write_text("#!/bin/sh\n")
    (tree / "run").chmod(0o700)
    (tree / "data").write_text("data")
    libraries = tree.with_name("programs.libs")
    libraries.mkdir()
    (libraries / "library.so").write_text("library")
    tmp_path.chmod(0o700)
    assert not reach.reachable(tree / "run")
    copy = reach.reachable_copy(tree)
    assert reach.reachable(copy / "run")
    assert [(copy / name).stat().st_mode & 0o777 for name in ("run", "data")] == [0o755, 0o644]
    assert reach.reachable(copy.parent / "programs.libs" / "library.so")
    assert reach.reachable_copy(tree) == copy
    shutil.rmtree(copy.parent.parent)


def test_a_place_that_somebody_else_made_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "SHARED", tmp_path)
    place = reach.stand_in(tmp_path / "directory")
    place.rmdir()
    place.symlink_to("/")
    with pytest.raises(ServerDidNotStart, match="remove it"):
        reach.stand_in(tmp_path / "directory")
