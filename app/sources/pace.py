"""A rate limit: at most so many a second, evenly spaced."""

import asyncio


class Pace:
    """Turns `per_second` apart; None: as fast as it goes. No burst after a pause."""

    def __init__(self, per_second: float | None) -> None:
        self._interval_s = 1 / per_second if per_second else 0.0
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        if not self._interval_s:
            return
        now = asyncio.get_running_loop().time()
        at = max(now, self._next)
        self._next = at + self._interval_s
        await asyncio.sleep(at - now)
