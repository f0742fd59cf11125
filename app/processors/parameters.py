"""Checks of processors' parameters; ValueError, which the registry turns into a configuration error."""

from app.processors.history import MOST


def positive(name: str, value: float) -> float:
    """`value`, when it is a number above 0."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise ValueError(f"{name} is {value!r}: give a number above 0")
    return value


def whole(name: str, value: int) -> int:
    """`value`, when it is a whole number above 0."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} is {value!r}: give a whole number above 0")
    return value


def window_of(name: str, value: int) -> int:
    """`value`, when it is a number of blocks that history has."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST:
        raise ValueError(f"{name} is {value!r}: give a whole number of blocks from 1 to {MOST}")
    return value


def ascending(name: str, values: object, least: float) -> tuple[float, ...]:
    """`values`, when they are one or more numbers from `least` on, each above the one before."""
    if not isinstance(values, list | tuple) or not values or [*values] != sorted({*values}):
        raise ValueError(f"{name} is {values!r}: give a list of numbers, each above the one before")
    if positive(name, values[0]) < least:
        raise ValueError(f"{name} begins with {values[0]!r}: the lowest that is kept is {least:g}")
    return tuple(positive(name, value) for value in values)
