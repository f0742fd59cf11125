"""`--from-offset`, `--from-time`, `--from-height` and `--to` of `sigstream replay`."""

from datetime import datetime

from app.cli.times import read_time
from app.errors import ConfigurationError, ContractError
from app.replay.asked import EARLIEST, Asked, Unit, say


def read_asked(offset: str | None, time: str | None, height: int | None, to: str | None) -> Asked:
    """The command line's options. Raises ContractError, ConfigurationError."""
    given = [unit for unit, value in zip(Unit, (offset, time, height), strict=True) if value is not None]
    if len(given) != 1:
        found = " and ".join(f"--from-{unit}" for unit in given) or "none"
        raise ConfigurationError(
            f"say where to begin by one of --from-offset, --from-time and --from-height, found {found}; "
            f"`--from-offset {EARLIEST}` takes all there is"
        )
    unit = given[0]
    first: int | datetime | None = height
    if offset is not None:
        first = None if offset == EARLIEST else _number("--from-offset", offset)
    elif time is not None:
        first = read_time("--from-time", time)
    last = read_time("--to", to) if unit is Unit.TIME else None if to is None else _number("--to", to)
    _check_order(unit, first, last)
    return Asked(unit, first, last)


def _number(option: str, text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return int(text)
    also = f" or `{EARLIEST}`" if option == "--from-offset" else ", as what it begins with is one"
    raise ContractError(f"{option} is {text!r}: write a number of at most 15 digits{also}")


def _check_order(unit: Unit, first: int | datetime | None, last: int | datetime | None) -> None:
    if first is None or last is None:
        return
    beyond = first > last if unit is Unit.HEIGHT else first >= last  # type: ignore[operator]
    if beyond:
        included = "included" if unit is Unit.HEIGHT else "not included"
        raise ConfigurationError(
            f"--from-{unit} {say(first)} leaves nothing before --to {say(last)} ({included}): "
            "--to must be later"
        )


def check_alone(warm_up: int | None, *, allow_cold: bool) -> None:
    """Raises ConfigurationError for options that only a recomputation has."""
    if warm_up is not None or allow_cold:
        option = "--allow-cold" if warm_up is None else "--warm-up"
        raise ConfigurationError(f"{option} belongs to --recompute: add it, or leave {option} out")
