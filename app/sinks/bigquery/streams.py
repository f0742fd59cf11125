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
            raise self._failed_call(error) from error
        if answer.error.code:
            raise self._refused(answer)
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

    def _failed_call(self, error: GoogleAPICallError) -> Exception:
        """What it means that a call ended without an answer."""
        fate = fate_of_call(error)
        return self._meaning(fate, error.message or str(error)) or translate(error, self._doing)

    def _refused(self, answer: types.AppendRowsResponse) -> Exception:
        """What an answer means that says no."""
        fate, message = fate_of(answer.error.code, answer.error.details), answer.error.message
        # The service has said that it took nothing: offsets are what they were.
        self.sound = fate is Fate.REFUSED
        if meaning := self._meaning(fate, message, {e.index: e.message for e in answer.row_errors}):
            return meaning
        if fate is Fate.STOP:
            return Terminal(f"BigQuery refused to {self._doing}: {message}")
        return Transient(f"BigQuery could not {self._doing} now: {message}")

    def _meaning(self, fate: Fate, message: str, rows: dict[int, str] | None = None) -> Exception | None:
        match fate:
            case Fate.FENCED:
                return Fenced(
                    f"BigQuery: {self._doing}: the stream was finalized by another worker: {message}"
                )
            case Fate.LOST:
                return StreamLost(message)
            case Fate.REFUSED | Fate.UNCLEAR:
                return RowsRefused(message, rows)
        return None

    @property
    def _doing(self) -> str:
        return f"append to {self._config.table_id}, partition {self._partition}"


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
