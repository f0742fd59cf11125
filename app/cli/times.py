"""Times on the command line."""

from datetime import datetime

from app.errors import ContractError


def read_time(option: str, text: str | None) -> datetime | None:
    """A time of the command line. Raises ContractError that names the option."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as error:
        raise ContractError(
            f"{option} is {text!r}, not RFC 3339 ({error}): write 2026-01-31T12:00:00Z"
        ) from None
    if when.tzinfo is None:
        raise ContractError(f"{option} is {text!r}, without a time zone: end it with Z or an offset")
    return when
