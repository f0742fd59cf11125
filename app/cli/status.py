"""`sigstream status`: topics, groups and what the sinks still owe."""

import asyncio
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Group
from rich.table import Table

from app.cli.console import out, print_json, quiet_logging, spinner
from app.config import Settings
from app.query.kafka import open_reader
from app.query.offsets import GroupStatus, TopicStatus, group_status, topic_status
from app.query.outstanding import outstanding


@dataclass(frozen=True, slots=True)
class Status:
    """The pipeline as of now; `outstanding` is None before the receipts agent has ever run."""

    topics: list[TopicStatus]
    groups: list[GroupStatus]
    outstanding: dict[str, int] | None

    @property
    def at_rest(self) -> bool:
        """Nothing on its way, and nothing owed."""
        return not any(group.total_lag for group in self.groups) and not any(
            (self.outstanding or {}).values()
        )


async def read_status(settings: Settings) -> Status:
    """Groups first: an idle pipeline must have been idle before its outstanding counts are read."""
    async with open_reader(settings) as reader:
        groups = await group_status(settings, reader)
        return Status(await topic_status(settings, reader), groups, await outstanding(settings, reader))


def show_status(settings: Settings, *, as_json: bool) -> None:
    """Print the status. Raises Transient when Kafka does not answer."""
    quiet_logging(settings)
    with spinner("reading topics and groups"):
        status = asyncio.run(read_status(settings))
    if as_json:
        print_json(_document(settings, status))
    else:
        out().print(f"Kafka at {settings.kafka}, namespace {settings.namespace}", highlight=False)
        out().print(Group(_topics(status), _groups(status), _outstanding(status)))


def _document(settings: Settings, status: Status) -> dict[str, Any]:
    groups = [{**asdict(group), "total_lag": group.total_lag} for group in status.groups]
    about = {"namespace": settings.namespace, "kafka": settings.kafka, "at_rest": status.at_rest}
    return {**about, **asdict(status), "groups": groups}


def _topics(status: Status) -> Table:
    table = Table("topic", title="Topics", title_justify="left")
    for column in ("partitions", "records"):
        table.add_column(column, justify="right")
    for topic in status.topics:
        records = f"{topic.records:,}" if topic.partitions else "does not exist"
        table.add_row(topic.name, str(topic.partitions), records)
    return table


def _groups(status: Status) -> Table:
    table = Table("stage", "group", "state", title="Consumer groups", title_justify="left")
    for column in ("members", "lag"):
        table.add_column(column, justify="right")
    for group in status.groups:
        lag = ", ".join(f"{topic} {count:,}" for topic, count in group.lag.items() if count)
        state = "never ran" if group.state == "Dead" else group.state
        table.add_row(group.stage, group.group, state, str(group.members), lag or "0")
    return table


def _outstanding(status: Status) -> Table:
    table = Table("sink", title="Records without the sink's receipt", title_justify="left")
    table.add_column("outstanding", justify="right")
    for sink, count in (status.outstanding or {}).items():
        table.add_row(sink, f"{count:,}")
    if not status.outstanding:
        table.add_row("none known" if status.outstanding is None else "none", "0")
    return table
