"""The BigQuery sink: fence, look, append, once for every signal and version."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import groupby

from google.api_core.exceptions import GoogleAPICallError
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient

from app.errors import Fenced, Transient
from app.sinks.base import Sink, SinkRecord, Written
from app.sinks.bigquery.appender import append_rows
from app.sinks.bigquery.config import BigQueryConfig
from app.sinks.bigquery.encode import Pending, pending
from app.sinks.bigquery.errors import translate
from app.sinks.bigquery.history import History, judge_all, missing
from app.sinks.bigquery.streams import PartitionStream
from app.sinks.bigquery.tables import Tables
from app.sinks.rows import answer, flatten


class BigQuerySink(Sink):
    """Appends to `<dataset>.<table>`; `<table>_latest` shows the latest version of each signal."""

    name = "bigquery"

    def __init__(self, config: BigQueryConfig) -> None:
        self._config = config
        self._tables = Tables(config)
        self._client: BigQueryWriteAsyncClient | None = None
        self._streams: dict[int, PartitionStream] = {}
        self._released: set[int] = set()

    async def open(self) -> None:
        """Connect; create dataset, table and view. Raises Transient and Terminal."""
        await self._tables.open()
        if self._client is None:
            try:
                self._client = self._config.write_client()
            except Exception as error:
                raise translate(error, "find credentials") from error

    async def acquire(
        self, partition: int, offset: int, state: str | None, save: Callable[[str], Awaitable[None]]
    ) -> None:
        """Fence the partition's former writer and open a stream of our own.

        Every write looks for its own signals, so `offset` is not needed: what the former writer left
        beyond it is found there.
        """
        self._released.discard(partition)
        stream = PartitionStream(self._write_client, self._config, partition, state, save)
        self._streams[partition] = stream
        await stream.ready()

    async def release(self, partitions: Sequence[int]) -> None:
        """Never write to these again; their next owner finalizes the streams."""
        self._released.update(partitions)
        for partition in partitions:
            self._streams.pop(partition, None)

    async def write(self, records: Sequence[SinkRecord]) -> list[list[Written]]:
        """Look what is there, append the rest. Raises Fenced when a partition has a new owner."""
        rows = [pending(row, self._config.namespace) for row in flatten(records)]
        streams = {record.partition: self._stream(record.partition) for record in records}
        # Ready before the look: once the fence is up, nothing can arrive behind our back.
        await _all(stream.ready() for stream in streams.values())
        history = await self._look(rows)
        new = sorted(missing(rows, history), key=_partition)
        await _all(
            append_rows(streams[partition], list(of_partition), self._look)
            for partition, of_partition in groupby(new, key=_partition)
        )
        return answer(records, judge_all(rows, history))

    async def health(self) -> None:
        """Asks both APIs for the table. Raises Transient without an answer."""
        await self._tables.health()
        try:
            await self._write_client.get_write_stream(
                name=f"{self._config.table_path}/streams/_default", retry=None, timeout=self._config.timeout_s
            )
        except GoogleAPICallError as error:
            raise translate(error, f"reach {self._config.table_id} by the Storage API") from error

    async def close(self) -> None:
        """Close both connections. The streams stay open for the next owner to finalize."""
        self._streams.clear()
        await self._tables.close()
        if self._client is not None:
            client, self._client = self._client, None
            await client.transport.close()  # type: ignore[no-untyped-call]

    @property
    def _write_client(self) -> BigQueryWriteAsyncClient:
        if self._client is None:
            raise Transient("BigQuery: not connected yet")
        return self._client

    async def _look(self, rows: Sequence[Pending]) -> History:
        return await self._tables.look([row.row for row in rows])

    def _stream(self, partition: int) -> PartitionStream:
        if partition in self._released:
            raise Fenced(f"BigQuery: partition {partition} was released: it is another worker's")
        if partition not in self._streams:  # written without a group: nobody to fence, nothing to save
            self._streams[partition] = PartitionStream(self._write_client, self._config, partition)
        return self._streams[partition]


def _partition(row: Pending) -> int:
    return row.row.kafka_partition


async def _all(tasks: Iterable[Awaitable[None]]) -> None:
    """Run all to their end, then raise the gravest failure: none is left running behind it."""
    failures = [e for e in await asyncio.gather(*tasks, return_exceptions=True) if e is not None]
    for kind in (Fenced, Exception):
        for failure in failures:
            if isinstance(failure, kind) and not isinstance(failure, Transient):
                raise failure
    for failure in failures:
        raise failure
