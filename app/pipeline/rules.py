"""What blocks are computed by: processors, labels, and patience with gaps; all of it may change."""

from collections.abc import Callable

from app.chain.tracker import Patience
from app.config import Settings
from app.labels.registry import Labels
from app.labels.watch import LabelSource
from app.processors.registry import enabled_processors


class Rules:
    """Take what you need once a block: it is another as soon as settings or files of labels change."""

    def __init__(self, settings: Settings) -> None:
        """Labels are loaded at the first block: by then the log is set up. Raises ConfigurationError."""
        self.processors = enabled_processors(settings)
        self.patience = _patience(settings)
        self._paths = settings.labels
        self._source: LabelSource | None = None

    @property
    def labels(self) -> Labels:
        """Who owns an address. Raises ConfigurationError at the first use."""
        if self._source is None:
            self._source = LabelSource(self._paths)
        return self._source.current

    def look_at_labels(self) -> None:
        """Load files of labels again where they have changed."""
        if self._source is not None:
            self._source.reload_if_changed()

    def prepare(self, settings: Settings) -> Callable[[], None]:
        """What puts these settings in place. Raises ConfigurationError, and all stays as it is."""
        processors, patience = enabled_processors(settings), _patience(settings)
        same = settings.labels == self._paths
        source = self._source if same else LabelSource(settings.labels)

        def swap() -> None:
            self.processors, self.patience, self._paths = processors, patience, settings.labels
            if not same:
                self._source = source

        return swap


def _patience(settings: Settings) -> Patience:
    return Patience(int(settings.gap_wait_s * 1000), settings.gap_blocks, settings.first_height)
