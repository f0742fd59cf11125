"""Rows to protobuf messages, with the lineage of their Kafka record."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from app.sinks.bigquery.schema import COLUMNS, RowMessage
from app.sinks.rows import Known, Row

MAX_REQUEST_BYTES = 9_000_000
"""Rows in one append; the service's limit is 10 MB with schema and framing."""
_ROW_OVERHEAD = 8
_REASON_CHARS = 500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIMESTAMPS = tuple(column.name for column in COLUMNS if column.sql_type == "TIMESTAMP")
_IDENTITY = (
    "signal_id", "provider", "symbol", "ts", "name", "version", "digest",
    "kafka_partition", "kafka_offset", "namespace", "inserted_at",
)  # fmt: skip
"""What a stub has, beside its reason."""


@dataclass(slots=True)
class Pending:
    """A row on its way into the table."""

    row: Row
    namespace: str
    payload: bytes = b""
    """The serialized protobuf message."""
    refused: str | None = None
    """Why it is a stub: lineage and identity without the content."""
    suspect: bool = False
    """Refused once, by an answer that does not say whether row or server is to blame."""

    @property
    def order(self) -> Known:
        """The larger one is the later version."""
        return self.row.version, self.row.digest

    def refuse(self, reason: str) -> None:
        """Make it a stub that says why."""
        self.refused = reason[:_REASON_CHARS]
        values = self._values()
        self.payload = _serialize({name: values[name] for name in _IDENTITY} | {"refused": self.refused})

    def encode(self) -> None:
        """Make the payload; a stub's, where the row can't be written as it is."""
        try:
            self.payload = _serialize(self._values())
        except (ValueError, TypeError) as error:
            self.refuse(f"not to be written as a row: {error}")
        if len(self.payload) > MAX_REQUEST_BYTES - _ROW_OVERHEAD:
            self.refuse(f"{len(self.payload)} bytes are more than one append takes ({MAX_REQUEST_BYTES})")

    def _values(self) -> dict[str, Any]:
        more = {"namespace": self.namespace, "processed": False, "inserted_at": datetime.now(UTC)}
        return self.row._asdict() | more


def pending(row: Row, namespace: str) -> Pending:
    """The row, encoded."""
    made = Pending(row, namespace)
    made.encode()
    return made


def _serialize(values: dict[str, Any]) -> bytes:
    present = {name: value for name, value in values.items() if value is not None}
    for name in _TIMESTAMPS:
        if name in present:
            present[name] = (present[name] - _EPOCH) // _MICROSECOND
    return bytes(RowMessage(**present).SerializeToString())


def requests(rows: Iterable[Pending], limit: int = MAX_REQUEST_BYTES) -> Iterator[list[Pending]]:
    """The rows in lists that fit into an append of `limit` bytes each."""
    chunk: list[Pending] = []
    size = 0
    for row in rows:
        needed = len(row.payload) + _ROW_OVERHEAD
        if chunk and size + needed > limit:
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += needed
    if chunk:
        yield chunk
