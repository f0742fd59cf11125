"""Who is told how far a replay is, in tests."""


class Silent:
    """A watch that says nothing."""

    def begin(self, what: str, total: int) -> None: ...

    def advance(self, count: int) -> None: ...

    def say(self, text: str) -> None: ...
