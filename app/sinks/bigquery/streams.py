"""One COMMITTED write stream a partition: fence, open, append at explicit offsets."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec
import structlog
from google.api_core.exceptions import GoogleAPICallError, NotFound
from google.cloud.bigquery_storage_v1 import types
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient

from app.errors import Fenced, Terminal, Transient
from app.sinks.bigquery.config import BigQueryConfig
from app.sinks.bigquery.errors import Fate, fate_of, fate_of_call, translate
from app.sinks.bigquery.schema import DESCRIPTOR

log = structlog.get_logger()

Save = Callable[[str], Awaitable[None]]


class StreamLost(Exception):
    """The stream is gone, or its offsets are not ours: start over, look what is there."""


class RowsRefused(Exception):
    """Nothing of an append was written. `rows` says which rows are to blame (index -> why), if known."""

    def __init__(self, reason: str, rows: dict[int, str] | None = None) -> None:
        super().__init__(reason)
        self.rows = rows or {}


class _State(msgspec.Struct):
    """What is saved beside the group's committed offset."""

    stream: str


class PartitionStream:
    """The stream that this worker writes a partition's rows to.

    `sound` is False whenever an append's outcome is not known; the next `ready` then starts over from
    the fence, so that what is found in the table afterwards is all there will ever be of it.
    """

    def __init__(
        self,
        client: BigQueryWriteAsyncClient,
        config: BigQueryConfig,
        partition: int,
        state: str | None = None,
        save: Save | None = None,
    ) -> None:
        self._client = client
        self._config = config
        self._partition = partition
        self._name = _stream_of(state)
        self._save = save
        self._offset = 0
        self.sound = False

    async def ready(self) -> None:
        """Fence, open, save; nothing where the stream is sound.

        Raises Fenced when the group refuses to save: the partition is somebody else's.
        """
        if self.sound:
            return
        await self._fence()
        try:
            opened = await self._client.create_write_stream(
                parent=self._config.table_path,
                write_stream=types.WriteStream(type_=types.WriteStream.Type.COMMITTED),
                retry=None,
                timeout=self._config.timeout_s,
            )
        except NotFound as error:
            raise Transient(
                f"BigQuery: table {self._config.table_id} is gone: it will be made again"
            ) from error
        except GoogleAPICallError as error:
            raise translate(error, f"open a write stream on {self._config.table_id}") from error
        if self._save is not None:
            await self._save(msgspec.json.encode(_State(opened.name)).decode())
        self._name, self._offset, self.sound = opened.name, 0, True

    async def append(self, payloads: Sequence[bytes]) -> None:
        """Append serialized rows, all or none; durable and visible on return.

        Raises RowsRefused, StreamLost, Fenced, Transient and Terminal.
        """
        if self._name is None or not self.sound:
            raise StreamLost
        self.sound = False  # also when cancelled in the middle
        try:
            answer = await self._exchange(self._request(payloads))
        except GoogleAPICallError as error:
            self._fail(fate_of_call(error), error.message or str(error), error)
            raise
        if answer.error.code:
            self._fail(fate_of(answer.error.code, answer.error.details), answer.error.message, None, answer)
        self._offset += len(payloads)
        self.sound = True

    async def _fence(self) -> None:
        # A stream on another table can't write into ours, and may be out of our reach.
        if self._name is None or not self._name.startswith(f"{self._config.table_path}/"):
            return
        try:
            await self._client.finalize_write_stream(
                name=self._name, retry=None, timeout=self._config.timeout_s
            )
        except NotFound:
            # bqemulator 1.4.0 forgets its streams when it stops: nobody can append to this one again.
            log.info("write stream is gone", stream=self._name, partition=self._partition)
        except GoogleAPICallError as error:
            raise translate(error, f"finalize {self._name}") from error

    def _request(self, payloads: Sequence[bytes]) -> types.AppendRowsRequest:
        return types.AppendRowsRequest(
            write_stream=self._name,
            offset=self._offset,
            proto_rows=types.AppendRowsRequest.ProtoData(
                writer_schema=types.ProtoSchema(proto_descriptor=DESCRIPTOR),
                rows=types.ProtoRows(serialized_rows=list(payloads)),
            ),
        )

    async def _exchange(self, request: types.AppendRowsRequest) -> types.AppendRowsResponse:
        # One call a request: bqemulator 1.4.0 keeps a thread of a small pool for each call that is open.
        async def once() -> AsyncIterator[types.AppendRowsRequest]:
            yield request

        call = await self._client.append_rows(once(), retry=None, timeout=self._config.timeout_s)
        async for answer in call:
            return answer
        raise Transient("BigQuery closed the stream without an answer to an append")

    def _fail(
        self,
        fate: Fate,
        message: str,
        cause: Exception | None,
        answer: types.AppendRowsResponse | None = None,
    ) -> None:
        """Raise what the append's failure means."""
        where = f"append to {self._config.table_id}, partition {self._partition}"
        match fate:
            case Fate.FENCED:
                raise Fenced(f"BigQuery: {where}: the stream was finalized by another worker ({message})")
            case Fate.LOST:
                raise StreamLost(message) from cause
            case Fate.REFUSED | Fate.UNCLEAR:
                self.sound = fate is Fate.REFUSED and answer is not None
                raise RowsRefused(message, _row_errors(answer)) from cause
            case Fate.STOP if cause is None:
                raise Terminal(f"BigQuery refused to {where}: {message}")
            case Fate.WAIT if cause is None:
                raise Transient(f"BigQuery could not {where} now: {message}")
        assert cause is not None
        raise translate(cause, where) from cause


def _row_errors(answer: types.AppendRowsResponse | None) -> dict[int, str]:
    return {} if answer is None else {error.index: error.message for error in answer.row_errors}


def _stream_of(state: str | None) -> str | None:
    if not state:
        return None
    try:
        return msgspec.json.decode(state, type=_State).stream
    except msgspec.MsgspecError as error:
        raise Terminal(
            f"the group's committed metadata is {state[:80]!r}, not this sink's: its writer can't be fenced; "
            "use another SIGSTREAM_NAMESPACE, or commit the group's offsets anew without metadata"
        ) from error
