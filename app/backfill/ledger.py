"""What a backfill has done so far, by the receipts of its namespace. Pure."""

from collections import Counter, defaultdict
from contextlib import suppress

from app.errors import ContractError
from app.model.keys import read_ts
from app.model.receipt import RECEIPT_DECODER, SETTLED_DECODER, Outcome, Receipt, Settled
from app.model.wire import decode
from app.streaming.record import Record

TOPICS = ("signals.persisted", "signals.settled")
"""Short names of what it is told."""


class Ledger:
    """Takes records of `signals.persisted` and `signals.settled`, each partition in order, from the start."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[Outcome]] = defaultdict(Counter)
        """Stage -> what it did with so many signals; each record of `signals` counts once a sink."""
        self.signals = 0
        """In records that are settled."""
        self._heights: set[int] = set()
        self._answered: dict[tuple[str, int], int] = {}
        self._settled: dict[int, int] = {}

    @property
    def blocks(self) -> int:
        """Blocks whose signals are settled."""
        return len(self._heights)

    def take(self, record: Record) -> None:
        """One more; what is no receipt is none of ours, and a dead letter of the receipts agent."""
        with suppress(ContractError, ValueError):  # the latter: of a `ts` that is none
            if record.topic.endswith(TOPICS[0]):
                self._take_receipt(decode(RECEIPT_DECODER, record.value, "receipt"))
            else:
                self._take_settled(decode(SETTLED_DECODER, record.value, "settled"))

    def _take_receipt(self, receipt: Receipt) -> None:
        place = receipt.stage, receipt.origin.partition
        if receipt.origin.offset <= self._answered.get(place, -1):
            return  # a sink that was killed answers again, and finds its own rows
        self._answered[place] = receipt.origin.offset
        for outcome, names in receipt.outcomes.items():
            self.outcomes[receipt.stage][outcome] += len(names)

    def _take_settled(self, settled: Settled) -> None:
        # `ts` ends with the height: see `block_ts`. A backfill has fewer than a million blocks.
        self._heights.add(read_ts(settled.ts).microsecond)
        if settled.origin.offset > self._settled.get(settled.origin.partition, -1):
            self._settled[settled.origin.partition] = settled.origin.offset
            self.signals += settled.signals
