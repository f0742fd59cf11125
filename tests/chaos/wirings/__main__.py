"""`python -m tests.chaos.wirings`: the same load and faults to stock Faust, to ours, and to ours in part."""

import asyncio
import tempfile
from itertools import product
from pathlib import Path
from typing import Annotated

import typer

from app.config import Settings
from tests.chaos.soak.place import quiet
from tests.chaos.soak.report import markdown, write_table
from tests.chaos.wirings.trial import ROUNDS, Outcome, Trial
from tests.support.faults.kafka import ProxiedKafka
from tests.support.faults.proxy import Proxy

WIRINGS = ("stock", "no-safe-commit", "no-hold", "no-safe-seek", "no-gap", "ours")
COLUMNS = (
    "wiring",
    "seed",
    "rounds",
    "signals",
    "lost",
    "lost in rounds of",
    "not handled",
    "forwarded twice",
    "doubled",
    "stalls",
)


def main(
    wiring: Annotated[str, typer.Option(help="Comma separated.")] = ",".join(WIRINGS),
    seeds: Annotated[str, typer.Option(help="Comma separated.")] = "1,2",
    rounds: Annotated[
        str, typer.Option(help="Comma separated: takeover, kill, rebalance, refuse.")
    ] = ",".join(ROUNDS),
    report: Annotated[Path | None, typer.Option(help="Markdown file whose table is written anew.")] = None,
) -> None:
    """Print what each wiring lost, of the same records under the same faults."""
    quiet()
    outcomes: list[tuple[int, Outcome]] = []
    with (
        tempfile.TemporaryDirectory(prefix="sigstream-wirings-") as directory,
        Proxy(kafka=True) as proxy,
        ProxiedKafka(Path(directory) / "kafka", proxy) as kafka,
    ):
        for seed, name in product(map(int, seeds.split(",")), wiring.split(",")):
            outcomes.append((seed, run(name, seed, kafka, proxy, rounds.split(","), Path(directory))))
            print(" | ".join(row(*outcomes[-1])), flush=True)
    if report is not None:
        write_table(report, "wirings", markdown(COLUMNS, [row(*found) for found in outcomes]))


def run(wiring: str, seed: int, kafka: ProxiedKafka, proxy: Proxy, rounds: list[str], place: Path) -> Outcome:
    """One trial."""
    name = f"{wiring}-{seed}"
    (place / name).mkdir()
    direct = Settings(_env_file=None, namespace=name, data_dir=place / name, kafka=kafka.bootstrap)
    proxied = direct.model_copy(update={"kafka": kafka.proxied})
    trial = Trial(wiring.replace("-", "_"), direct, proxied, proxy, rounds, seed)
    return asyncio.run(trial.run(lambda line: print(line, flush=True)))


def row(seed: int, found: Outcome) -> list[str]:
    """Of the table."""
    rounds = ", ".join(f"{fault} {lost:,}" for fault, lost in sorted(found.by_round.items()) if lost)
    counts = (found.lost, found.unhandled, found.forwarded_twice, found.doubled)
    lost, unhandled, twice, doubled = (f"{count:,}" for count in counts)
    name = found.wiring.replace("_", "-")
    return [
        name,
        str(seed),
        found.rounds,
        f"{found.signals:,}",
        lost,
        rounds or "-",
        unhandled,
        twice,
        doubled,
        str(found.stalls),
    ]


if __name__ == "__main__":
    typer.run(main)
