"""Where embedded servers find and keep their files: jars, places that another user can reach."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import asyncpg
import pytest
from jgo.maven import MavenContext

from app.embedded import jars, reach
from app.embedded.postgres import Postgres
from app.errors import ServerDidNotStart

JAR = b"the bytes of a jar"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where jars are kept, empty; they come from a Maven repository with one jar."""
    folder = tmp_path / "maven" / "org" / "example" / "tool" / "1.0"
    folder.mkdir(parents=True)
    (folder / "tool-1.0.jar").write_bytes(JAR)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "maven"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        here = {"here": f"http://127.0.0.1:{server.server_port}"}
        monkeypatch.setattr("jgo.maven.MavenContext", partial(MavenContext, remote_repos=here))
        monkeypatch.setattr(jars, "LOCK", tmp_path / "jars.lock.toml")
        Thread(target=server.serve_forever).start()
        yield tmp_path / "sigstream" / "jars"
        server.shutdown()


def lock(sha256: str, name: str = "org.example:tool:1.0") -> None:
    jars.LOCK.write_text(f'[jars]\n"{name}" = "{sha256}"\n')


def test_a_jar_with_other_bytes_than_locked_is_fetched_anew(store: Path) -> None:
    lock(hashlib.sha256(JAR).hexdigest())
    [jar] = jars.classpath()
    assert jar == store / "tool-1.0.jar"
    jar.write_bytes(JAR[:5])
    assert jars.classpath() == [jar]
    assert jar.read_bytes() == JAR


def test_a_jar_that_comes_with_other_bytes_is_refused(store: Path) -> None:
    lock("0" * 64)
    found = hashlib.sha256(JAR).hexdigest()
    with pytest.raises(ServerDidNotStart, match=rf"tool:1.0 came with SHA-256 {found}, jars.* says 0000"):
        jars.classpath()
    assert list(store.glob("*.jar")) == []


def test_a_jar_that_can_not_be_fetched_is_named(store: Path) -> None:
    lock("0" * 64, name="org.example:missing:1.0")
    with pytest.raises(ServerDidNotStart, match=r"missing:1\.0 can't be fetched"):
        jars.classpath()


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
