"""Jars of Apache Kafka: which ones is locked in `kafka-jars.lock.toml`, bytes and all.

`python -m app.embedded.jars 4.1.2` resolves a version's dependencies anew and writes the lock. Nothing
is resolved at run time: a jar that the cache lacks is fetched, and one whose SHA-256 is another is refused.
"""

import fcntl
import hashlib
import os
import ssl
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.embedded.cache import cache_dir
from app.errors import ConfigurationError, ServerDidNotStart

LOCK = Path(__file__).with_name("kafka-jars.lock.toml")
FETCHERS = 8
TRIES = 3
BUNDLES = (
    ssl.get_default_verify_paths().cafile,
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Arch
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/cert.pem",  # Alpine, macOS
)
"""Where systems keep the certificates they trust."""
EXTRA = ("org.apache.logging.log4j", "log4j-slf4j-impl")
"""Not among Kafka's own dependencies, but without it the broker's log goes nowhere."""


def classpath() -> list[Path]:
    """All jars, verified. Raises ServerDidNotStart when one can't be fetched or has other bytes."""
    locked = tomllib.loads(LOCK.read_text())["jars"]
    store = cache_dir() / "jars"
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as guard, _trust_of_this_machine(), ThreadPoolExecutor(FETCHERS) as pool:
        fcntl.flock(guard, fcntl.LOCK_EX)
        return list(pool.map(lambda item: _jar(store, *item), locked.items()))


@contextmanager
def _trust_of_this_machine() -> Iterator[None]:
    """jgo's client trusts the certificates of a Python package, not those that this machine's owner
    has added to the system's, as for a proxy that reads along: have it take the latter."""
    bundle = next((path for path in BUNDLES if path and Path(path).exists()), None)
    if bundle is None or "REQUESTS_CA_BUNDLE" in os.environ or "CURL_CA_BUNDLE" in os.environ:
        yield
        return
    os.environ["REQUESTS_CA_BUNDLE"] = bundle
    try:
        yield
    finally:
        del os.environ["REQUESTS_CA_BUNDLE"]


def _jar(store: Path, coordinate: str, sha256: str) -> Path:
    _, artifact, version = coordinate.split(":")
    path = store / f"{artifact}-{version}.jar"
    if not path.exists() or _sha256(path) != sha256:
        _fetch(coordinate, sha256, path)
    return path


def _fetch(coordinate: str, sha256: str, path: Path) -> None:
    """Into a directory of its own first: what is in the store has been verified."""
    with tempfile.TemporaryDirectory(dir=path.parent) as fresh:
        jar = _download(coordinate, Path(fresh))
        if (found := _sha256(jar)) != sha256:
            raise ServerDidNotStart(
                f"{coordinate} came with SHA-256 {found}, {LOCK.name} says {sha256}: something between "
                "here and the Maven repository changes files; find out what, then start again"
            )
        os.replace(jar, path)


def _download(coordinate: str, directory: Path) -> Path:
    group, artifact, version = coordinate.split(":")
    for left in reversed(range(TRIES)):
        context = _context(directory / str(left))
        try:
            found: Path = context.project(group, artifact).at_version(version).artifact().resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            if not left:
                raise ServerDidNotStart(
                    f"{coordinate} can't be fetched ({error}): the embedded Kafka needs the network the "
                    f"first time; its jars are then kept in {directory.parent}"
                ) from error
        else:
            return found
    raise AssertionError("unreachable")


def _context(repo_cache: Path) -> Any:
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "the embedded Kafka is not installed: `pip install sigstream[embedded]`, "
            "or set SIGSTREAM_KAFKA=host:port"
        ) from error
    return MavenContext(repo_cache=repo_cache, resolver=PythonResolver())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_lock(version: str) -> None:
    """Resolve Kafka `version` and write the lock; takes half a minute and the network."""
    with tempfile.TemporaryDirectory() as repository, _trust_of_this_machine():
        artifacts = _resolve(Path(repository), version)
        jars = {f"{a.groupId}:{a.artifactId}:{a.version}": _sha256(a.resolve()) for a in artifacts}
    lines = [f'"{coordinate}" = "{sha256}"' for coordinate, sha256 in sorted(jars.items())]
    head = f"# Written by `python -m app.embedded.jars {version}`: group:artifact:version = SHA-256.\n"
    LOCK.write_text(f'{head}kafka = "{version}"\n\n[jars]\n' + "\n".join(lines) + "\n")


def _resolve(repository: Path, version: str) -> list[Any]:
    from jgo.maven import Dependency

    context = _context(repository)
    kafka = Dependency(context.project("org.apache.kafka", "kafka_2.13").at_version(version).artifact())
    inputs, found = context.resolver.resolve([kafka])
    artifacts = [d.artifact for d in (*inputs, *found) if d.scope in (None, "compile", "runtime")]
    log4j = next(a.version for a in artifacts if a.artifactId == "log4j-api")
    if all(a.artifactId != EXTRA[1] for a in artifacts):
        artifacts.append(context.project(*EXTRA).at_version(log4j).artifact())
    return artifacts


if __name__ == "__main__":
    write_lock(sys.argv[1])
