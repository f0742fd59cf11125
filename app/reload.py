"""Settings that change while a worker runs: by its settings file, or by SIGHUP."""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import structlog

from app.config import RELOADABLE, Loaded, Settings, as_text, load_settings, settings_path, variable
from app.errors import ConfigurationError, SigstreamError
from app.observe import metrics
from app.observe.logging import LEVELS, set_level
from app.process_signals import end_by_hangup, has_terminal
from app.settings_file import PREFIX
from app.stamp import Watched

log = structlog.get_logger()

LOOK_S = 1.0
"""Between two looks at the file; it is read once it is the same at two of them."""

IMMUNE = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
"""Started with nohup: a terminal that closes is nothing to this process. Looked at before anybody sets it."""

Swap = Callable[[], None]
User = Callable[[Settings], Swap]
"""Makes ready, in a thread, what new settings ask for, or raises; what it returns puts that in place, in no
time and without fail, on the thread that handles records."""


class Ready(NamedTuple):
    """New settings that nobody refuses."""

    loaded: Loaded
    settings: Settings
    """The old ones, with what may change."""
    changed: Mapping[str, tuple[Any, Any]]
    """Field -> old and new."""
    restart: tuple[str, ...]
    """Fields that have changed, and may not."""
    swaps: tuple[Swap, ...]


class Reloader:
    """The reloadable settings of this process. All or nothing: one that is refused leaves all as they are."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._file = Watched(settings_path())
        self._said: frozenset[str] = frozenset()
        self._users: list[User] = []
        self._looks: list[Callable[[], object]] = []
        self._wake = asyncio.Event()
        self._terminal = has_terminal() and not IMMUNE

    def use(self, user: User) -> User:
        """Ask `user` whenever settings change."""
        self._users.append(user)
        return user

    def look_after(self, look: Callable[[], object]) -> None:
        """Call it, in a thread, at every look at the file: it has files of its own."""
        self._looks.append(look)

    def hangup(self) -> None:
        """SIGHUP: read the file now. A terminal that closes sends it, too, and ends the program, as ever."""
        if self._terminal and not has_terminal():
            end_by_hangup()
        self._wake.set()

    async def watch(self) -> None:
        """Until cancelled. The first reading finds what has changed since the process began."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.hangup)
        turn = self._first
        while True:
            try:
                await turn()
            except Exception:  # a fault of ours, or of a look: the next one may go well
                log.exception("settings not looked at")
            turn = self._turn

    async def _first(self) -> None:
        self.put(await asyncio.to_thread(self.prepare), quiet=True)

    async def _turn(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), LOOK_S)
        asked = self._wake.is_set()
        self._wake.clear()
        if self._file.settled() or asked:
            self.put(await asyncio.to_thread(self.prepare))
        for look in self._looks:
            await asyncio.to_thread(look)

    def poll(self) -> None:
        """One look, for programs without an event loop."""
        if self._file.settled() or self._wake.is_set():
            self._wake.clear()
            self.put(self.prepare())

    def prepare(self) -> Ready | None:
        """Read the file; None, and a line in the log, where anything is wrong with it."""
        try:
            return self._ready()
        except SigstreamError as error:
            reason = str(error)
        except Exception as error:  # of a processor of somebody's own
            reason = repr(error)
        metrics.settings_reloads.labels("refused").inc()
        metrics.settings_refused.set(1)
        log.error("settings stay as they are", file=str(self._file.path), reason=reason)
        return None

    def _ready(self) -> Ready:
        self._file.reading()
        if self._said and not self._file.path.exists():
            raise ConfigurationError(f"{self._file.path} is gone: put it back, or an empty one for defaults")
        loaded = load_settings()
        changed = _differences(RELOADABLE, self.settings, loaded.settings)
        fixed = (self._said | loaded.file) & Settings.model_fields.keys() - RELOADABLE - {"config_file"}
        restart = tuple(sorted(_differences(fixed, self.settings, loaded.settings)))
        settings = self.settings.model_copy(update={name: new for name, (_, new) in changed.items()})
        swaps = tuple(user(settings) for user in self._users)
        return Ready(loaded, settings, changed, restart, swaps)

    def put(self, ready: Ready | None, *, quiet: bool = False) -> None:
        """In place, with a line in the log; `quiet`: only where anything has changed."""
        if ready is None:
            return
        before, self.settings, self._said = self.settings, ready.settings, ready.loaded.file
        for swap in ready.swaps:
            swap()
        metrics.settings_refused.set(0)
        if quiet and not ready.changed:
            return
        metrics.settings_reloads.labels("ok").inc()
        set_level(min(before.log_level, ready.settings.log_level, key=LEVELS.index))
        log.info("settings reloaded", changed=_shown(ready.changed))
        set_level(ready.settings.log_level)
        _warn(ready)


def _differences(names: Iterable[str], old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    pairs = {name: (getattr(old, name), getattr(new, name)) for name in sorted(names)}
    return {name: (before, after) for name, (before, after) in pairs.items() if before != after}


def _shown(changed: Mapping[str, tuple[Any, Any]]) -> str:
    """None of these is secret."""
    found = [f"{variable(name)}: {as_text(old)} -> {as_text(new)}" for name, (old, new) in changed.items()]
    return "; ".join(found) or "nothing"


def _warn(ready: Ready) -> None:
    """Of what the file asks for in vain; names alone, as among these are secrets."""
    shadowed = [variable(name) for name in ready.loaded.shadowed]
    restart = [variable(name) for name in ready.restart]
    unknown = [f"{PREFIX}{name}".upper() for name in ready.loaded.file - Settings.model_fields.keys()]
    if restart:
        log.warning("settings need a restart", settings=", ".join(restart))
    if shadowed:
        log.warning("environment goes before the settings file", settings=", ".join(shadowed))
    if unknown:
        log.warning("settings file names what is no setting", settings=", ".join(sorted(unknown)))
