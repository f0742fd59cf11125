"""What every bench shares: rounds taken in turn, medians, and one JSON line at the end.

A figure is a ratio of two medians measured side by side, as absolute times say little on another machine.
"""

import json
from collections.abc import Callable, Mapping
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
