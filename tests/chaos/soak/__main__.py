"""`python -m tests.chaos.soak`: faults into a running pipeline, and a table of what they did."""

import asyncio
import secrets
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer

from tests.chaos.soak.faults import KINDS
from tests.chaos.soak.place import open_place
from tests.chaos.soak.report import as_table, write_table
from tests.chaos.soak.run import Course, soak
from tests.support.faults.disk import may_mount


def say(line: str) -> None:
    """At once, also into a file."""
    print(line, flush=True)


def main(
    faults: Annotated[int, typer.Option(help="How many.")] = 100,
    seed: Annotated[int | None, typer.Option(help="Decides all that is random; default: any.")] = None,
    only: Annotated[str, typer.Option(help="Kinds whose names hold one of these, comma separated.")] = "",
    logs: Annotated[Path | None, typer.Option(help="Directory where workers' logs are kept.")] = None,
    report: Annotated[Path | None, typer.Option(help="Markdown file whose table is written anew.")] = None,
) -> None:
    """Exit code 1 when anything was lost, doubled or left unanswered, or a fault did not happen."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # in order: the small disk is unmounted
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    kinds = [kind for kind in KINDS if not only or any(word in kind for word in only.split(","))]
    if "disk full" in kinds and not may_mount():
        kinds.remove("disk full")
        say("without `disk full`: mounting a small disk takes root, outside of most containers")
    say(f"seed {seed}, {faults} faults of {len(kinds)} kinds")

    def keep(course: Course) -> None:
        if report is not None:
            write_table(report, "soak", as_table(course, f"make soak FAULTS={faults} SEED={seed}"))

    with open_place(logs) as place:
        course = asyncio.run(soak(place, seed, faults, kinds, say, keep))
    say(f"{course.signals:,} signals; {'nothing lost, nothing doubled' if course.holds else 'NOT CLEAN'}")
    sys.exit(0 if course.holds else 1)


if __name__ == "__main__":
    typer.run(main)
