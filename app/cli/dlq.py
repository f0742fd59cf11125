"""`sigstream dlq`: what became a dead letter, why, and sending it again."""

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from app.cli.console import counter, err, out, print_json, quiet_logging, spinner
from app.cli.excerpt import Excerpt, excerpt, first_line, visible
from app.cli.times import read_time
from app.config import Settings
from app.dlq.marks import Place, parse_place
from app.dlq.restore import Limits, check, check_open
from app.dlq.work import Done, Report, drop, replay, sort_out
from app.errors import ConfigurationError
from app.query.dead_letters import Letter, Wanted, find_letters, read_letter
from app.query.kafka import open_reader
from app.streaming.dead_letters import original_headers
from app.streaming.record import MAX_DIGITS, number_in

Work = Callable[[Settings, Sequence[Letter], Report, Done], Coroutine[Any, Any, None]]

COLUMNS = ("place", "time (UTC)", "state", "stage", "class", "origin", "attempts", "replays", "key", "reason")
WIDE = {"class": 120, "origin": 100, "attempts": 140, "replays": 180, "key": 140}
"""Characters a line from which a column is shown beside the others."""
LEAST = {"key": 16, "reason": 24}
"""Characters a line of columns that have several lines where there is no room."""


def list_letters(settings: Settings, wanted: Wanted, limit: int, *, as_json: bool) -> None:
    """Print letters, oldest first. Raises Transient when Kafka does not answer."""
    found = _find(settings, wanted)
    shown = found[:limit]
    if as_json:
        print_json([_document(letter) for letter in shown])
        return
    what = "letters" if wanted.handled else "open letters"
    title = f"{len(shown)} of {len(found)} {what}, oldest first"
    out().print(_table(settings, title, shown, wanted.handled))


def show_letter(settings: Settings, place: str, *, as_json: bool) -> None:
    """Print all of one letter. Raises ContractError for a malformed place, Terminal for an unknown one."""
    wanted = parse_place(place)
    quiet_logging(settings)
    with spinner("reading the letter"):
        letter, value = asyncio.run(_read(settings, wanted))
    document, found = _document(letter), excerpt(value)
    if as_json:
        originals = {name: _text(text) for name, text in original_headers(letter.headers).items()}
        about = {"value_kind": found.kind, "value": found.text, "value_cut": found.cut}
        print_json({**document, "original_headers": originals, **about})
    else:
        _print_letter(letter, document, found)


def replay_letters(
    settings: Settings, wanted: Wanted, limit: int | None, limits: Limits, *, yes: bool
) -> bool:
    """Send letters to where they came from; False when one of them was refused."""
    letters = _find(settings, wanted)[:limit]
    return _do(settings, "replay", letters, replay, partial(check, settings, limits=limits), yes=yes)


def drop_letters(settings: Settings, wanted: Wanted, limit: int | None, *, yes: bool) -> bool:
    """Mark letters as handled; False when one of them was refused."""
    return _do(settings, "drop", _find(settings, wanted)[:limit], drop, check_open, yes=yes)


def wanted_of(
    places: Sequence[str],
    stage: str | None,
    reason: str | None,
    since: str | None,
    until: str | None,
    key: str | None,
    *,
    handled: bool,
) -> Wanted:
    """Which letters the command line asks for. Raises ContractError for a malformed place or time."""
    times = (read_time("--since", since), read_time("--until", until))
    return Wanted(tuple(map(parse_place, places)), stage, reason, *times, key, handled)


def _find(settings: Settings, wanted: Wanted) -> list[Letter]:
    async def find() -> list[Letter]:
        async with open_reader(settings) as reader:
            return await find_letters(settings, reader, wanted)

    quiet_logging(settings)
    with spinner("reading dead letters"):
        return asyncio.run(find())


async def _read(settings: Settings, place: Place) -> tuple[Letter, bytes | None]:
    async with open_reader(settings) as reader:
        return await read_letter(settings, reader, place)


def _do(
    settings: Settings,
    name: str,
    letters: Sequence[Letter],
    work: Work,
    may: Callable[[Letter], None],
    *,
    yes: bool,
) -> bool:
    """Ask, work, and say what became of each, also when it ends early."""
    report = Report()
    passed = sort_out(letters, may, report)
    try:
        if passed and (yes or _confirmed(name, passed)):
            with counter() as progress:
                task = progress.add_task("letters", total=len(passed))
                asyncio.run(work(settings, passed, report, lambda: progress.advance(task)))
        elif not letters:
            err().print("Nothing that is open matches.")
    finally:
        _print_report(report)
    return not report.refused


def _confirmed(name: str, letters: Sequence[Letter]) -> bool:
    """Ask at the terminal. Raises ConfigurationError where there is none."""
    topics = Counter(letter.text("origin-topic") for letter in letters)
    listed = ", ".join(f"{count} of {visible(topic)}" for topic, count in topics.items())
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"nobody can be asked whether to {name} {len(letters)} letters ({listed}), as there is no "
            "terminal: add --yes"
        )
    typer.echo(f"{name} {len(letters)} letters ({listed})? [y/N]: ", err=True, nl=False)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print_report(report: Report) -> None:
    for place, origin in report.replayed.items():
        _say(f"{place} replayed to {origin.topic}/{origin.partition}/{origin.offset}")
    for dropped in report.dropped:
        _say(f"{dropped} dropped")
    for place, reason in report.refused.items():
        err().print(f"{place} {visible(reason)}", highlight=False, markup=False, soft_wrap=True)


def _say(line: str) -> None:
    out().print(line, highlight=False, markup=False, soft_wrap=True)


def _table(settings: Settings, title: str, letters: Sequence[Letter], handled: bool) -> Table:
    console = out()
    shown = [name for name in COLUMNS if console.width >= WIDE.get(name, 0) and (handled or name != "state")]
    table = Table(title=title, title_justify="left")
    for column in shown:
        least = LEAST.get(column)
        table.add_column(column, no_wrap=least is None, overflow="fold", min_width=least)
    for letter in letters:
        cells = _cells(settings, letter)
        table.add_row(*(Text(visible(cells[column])) for column in shown))
    return table


def _cells(settings: Settings, letter: Letter) -> dict[str, str]:
    return {
        "place": str(letter.place),
        "time (UTC)": letter.at.strftime("%Y-%m-%d %H:%M:%S"),
        "state": letter.state,
        "stage": letter.text("stage"),
        "class": letter.text("class"),
        "origin": _origin(letter).removeprefix(f"{settings.namespace}."),
        "attempts": letter.text("attempts")[:MAX_DIGITS],
        "replays": str(letter.replays),
        "key": letter.key_text[:80],
        "reason": first_line(letter.text("reason"))[:200],
    }


def _origin(letter: Letter) -> str:
    origin = letter.origin
    return f"{origin.topic}/{origin.partition}/{origin.offset}" if origin else "?"


def _document(letter: Letter) -> dict[str, Any]:
    return {
        "place": str(letter.place),
        "time": letter.at,
        "state": letter.state,
        "handled_at": letter.mark.time if letter.mark else None,
        "stage": letter.text("stage"),
        "class": letter.text("class"),
        "reason": letter.text("reason"),
        "origin": _origin(letter) if letter.origin else None,
        "attempts": number_in(letter.headers, "attempts"),
        "replay_attempts": letter.replays,
        "correlation_id": letter.text("correlation-id") or None,
        "key": None if letter.key is None else letter.key_text,
        "value_bytes": letter.size,
        "left_at_origin": ", ".join(sorted(letter.left_at_origin)) or None,
    }


def _print_letter(letter: Letter, document: dict[str, Any], value: Excerpt) -> None:
    reason = document.pop("reason")
    for name, found in document.items():
        if found is not None:
            _say(f"{name}: {visible(str(found))}")
    _say("headers of the original:")
    for header, content in original_headers(letter.headers).items():
        _say(f"  {visible(header)}: {visible(_text(content))[:200]}")
    _say(f"reason:\n{visible(reason)}\n")
    _say(f"value ({value.kind}{', its begin' if value.cut else ''}):\n{value.text}")


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace")
