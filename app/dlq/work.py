"""Replaying and dropping: one letter after the other, each marked before the next."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from app.config import Settings
from app.dlq.marks import Place, State
from app.dlq.restore import headers_of, original_of
from app.dlq.sender import open_sender
from app.errors import ContractError
from app.model.receipt import Origin
from app.query.dead_letters import Letter, read_records
from app.query.kafka import open_reader

Done = Callable[[], None]


@dataclass(slots=True)
class Report:
    """What became of the letters; `refused` says why one is as it was."""

    replayed: dict[Place, Origin] = field(default_factory=dict)
    """Where the record is now."""
    dropped: list[Place] = field(default_factory=list)
    refused: dict[Place, str] = field(default_factory=dict)


def sort_out(letters: Iterable[Letter], check: Callable[[Letter], None], report: Report) -> list[Letter]:
    """Those that pass; why the others don't goes into the report."""
    passed = []
    for letter in letters:
        try:
            check(letter)
            passed.append(letter)
        except ContractError as error:
            report.refused[letter.place] = str(error)
    return passed


async def replay(settings: Settings, letters: Sequence[Letter], report: Report, done: Done) -> None:
    """Send each to where it came from, then mark it: a crash in between leaves it open.

    Raises DeliveryFailed and Transient; what is in the report by then is done.
    """
    by_place = {letter.place: letter for letter in letters}
    async with open_sender(settings) as sender, open_reader(settings) as reader:
        async for place, record in read_records(settings, reader, by_place):
            letter = by_place.pop(place)
            try:
                original = await original_of(reader, letter, record.value)
                count = letter.replays + 1
                headers = headers_of(original, count)
                now_at = await sender.send(original.origin, record.key, original.value, headers)
            except ContractError as error:
                report.refused[place] = str(error)
            else:
                await sender.mark(letter, State.REPLAYED, count)
                report.replayed[place] = now_at
            done()
    report.refused.update(dict.fromkeys(by_place, "is gone: letters are kept for 30 days"))


async def drop(settings: Settings, letters: Sequence[Letter], report: Report, done: Done) -> None:
    """Mark each as handled. Raises DeliveryFailed and Transient."""
    async with open_sender(settings) as sender:
        for letter in letters:
            await sender.mark(letter, State.DROPPED, letter.replays)
            report.dropped.append(letter.place)
            done()
