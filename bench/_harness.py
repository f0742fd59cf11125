"""What every bench shares: rounds taken in turn, medians, and one JSON line at the end.

A figure is a ratio of two medians measured side by side, as absolute times say little on another machine.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from statistics import median
from time import perf_counter


def interleave(rounds: int, tasks: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Milliseconds of each task, one a round: all tasks run once a round, so that a slow spell of the
    machine meets them alike. One more round before warms up and isn't counted. The garbage collector is
    left on, as in any program."""
    taken: dict[str, list[float]] = {name: [] for name in tasks}
    for counted in [False] + [True] * rounds:
        for name, task in tasks.items():
            begun = perf_counter()
            task()
            if counted:
                taken[name].append((perf_counter() - begun) * 1000)
    return taken


def medians(taken: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each task's times, in their unit."""
    return {name: median(times) for name, times in taken.items()}


def report(
    name: str, ratio: float, goal: float, *, at_most: bool = True, **figures: object
) -> dict[str, object]:
    """Print the result as the last line, one JSON object, and return it.

    `holds`: `ratio` is at most `goal`; with `at_most=False`, at least. `figures` stand beside them, with
    units in their names.
    """
    result: dict[str, object] = {
        "name": name,
        "ratio": round(ratio, 4),
        "goal": goal,
        "holds": ratio <= goal if at_most else ratio >= goal,
        **{key: round(v, 3) if isinstance(v, float) else v for key, v in figures.items()},
    }
    print(json.dumps(result), flush=True)
    return result


def in_turn(rounds: int, tasks: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """What each task returns, one a round; each round begins with another task. For long tasks that
    measure themselves: none is warmed up."""
    found: dict[str, list[float]] = {name: [] for name in tasks}
    names = list(tasks)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            value = tasks[name]()
            found[name].append(value)
            print(f"round {number + 1} {name}: {value:,.1f}", flush=True)
    return found


def steady_rate(done: Iterable[tuple[float, int]]) -> float:
    """Amount a second, from the moment the first of it was done to the moment the last was.

    `done` are times (s) and amounts. What was done at the first time is not counted: how long it took
    is not known.
    """
    at = sorted(done)
    first, last = at[0][0], at[-1][0]
    if last <= first:
        raise ValueError(f"all {len(at)} amounts were done at once: a rate needs a longer run")
    return sum(amount for when, amount in at if when > first) / (last - first)
