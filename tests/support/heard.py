"""A `Watch` for tests."""


class Heard:
    """What a source told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.ranges: list[tuple[int, int]] = []
        self.heights: list[int] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def begin(self, first: int, last: int) -> None:
        self.ranges.append((first, last))

    def done(self, height: int) -> None:
        self.heights.append(height)
