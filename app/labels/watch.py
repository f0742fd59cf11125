"""Labels that follow their files, without a restart."""

from collections.abc import Sequence
from pathlib import Path

import structlog

from app.errors import SigstreamError
from app.labels.files import Loaded, load_labels
from app.labels.registry import Labels
from app.stamp import Stamp, stamp_of

log = structlog.get_logger()


class LabelSource:
    """The labels of some files, together with the built-in ones."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Loads them. Raises ConfigurationError with what is wrong in which file."""
        self.paths = tuple(paths)
        self._stamps = self._look()
        self._loaded = load_labels(self.paths)
        _warn_of_conflicts(self._loaded)

    @property
    def current(self) -> Labels:
        """The labels as of the last good load; take them once a block, not once an address."""
        return self._loaded.labels

    def reload_if_changed(self) -> bool:
        """Load again where a file's time or size changed; whether `current` is another version now.

        A broken file is reported in the log, once until it changes again, and the old labels stay. It
        may take seconds for a million labels: call it in a thread where others wait
        (`asyncio.to_thread`). One call at a time.
        """
        stamps = self._look()
        if stamps == self._stamps:
            return False
        # Before loading: what changes meanwhile is seen the next time.
        self._stamps = stamps
        try:
            loaded = load_labels(self.paths)
        except SigstreamError as error:
            log.error("labels stay as they are", version=self.current.version, error=str(error))
            return False
        return self._swap(loaded)

    def _swap(self, loaded: Loaded) -> bool:
        before, after = self.current.version, loaded.labels.version
        self._loaded = loaded
        _warn_of_conflicts(loaded)
        log.info(
            "labels reloaded",
            old_version=before,
            new_version=after,
            addresses=len(loaded.labels.by_address),
            conflicts=len(loaded.conflicts),
        )
        return after != before

    def _look(self) -> tuple[Stamp, ...]:
        return tuple(stamp_of(path) for path in self.paths)


def _warn_of_conflicts(loaded: Loaded) -> None:
    if not loaded.conflicts:
        return
    first = loaded.conflicts[0]
    log.warning(
        "sources of labels disagree, the surer one is kept",
        conflicts=len(loaded.conflicts),
        first=first.address,
        kept=first.kept.entity,
        dropped=first.dropped.entity,
        see="sigstream labels show",
    )
