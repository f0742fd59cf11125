"""A guess about the next write, from the last ones."""

_LONGEST_RUN = 64


class Expectation:
    """Whether a write will hold new keys only.

    COPY straight into the table takes two thirds of the time of COPY and merge, but a single key that
    is there already fails it as a whole, and leaves its rows for vacuum to clear. So it takes a run of
    writes with new keys only to expect another one; each disappointment doubles the run, up to 64, and
    each success shortens it by one.
    """

    def __init__(self) -> None:
        self._run = 0
        self._needed = 1

    @property
    def all_new(self) -> bool:
        """The guess."""
        return self._run >= self._needed

    def saw(self, *, all_new: bool) -> None:
        """What a write turned out to be."""
        if all_new:
            self._needed = max(1, self._needed - self.all_new)
            self._run += 1
        else:
            self._needed = min(_LONGEST_RUN, self._needed * (1 + self.all_new))
            self._run = 0
