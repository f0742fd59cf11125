"""The table of history: its columns, the view of the latest versions, and the rows' protobuf type."""

from typing import Any, NamedTuple

from google.cloud import bigquery
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_Proto = descriptor_pb2.FieldDescriptorProto


class Column(NamedTuple):
    """A nullable column."""

    name: str
    sql_type: str
    says: str


COLUMNS = (
    Column("signal_id", "STRING", "UUIDv5 of provider|symbol|ts|name"),
    Column("signal_type", "STRING", "mempool, exchange, miner, whale, treasury, predictive, or any other"),
    Column("block_height", "INT64", "Height of the block the signal is about"),
    Column("confidence", "FLOAT64", "0 to 1"),
    Column("metadata", "JSON", "What else the producer said"),
    Column("created_at", "TIMESTAMP", "When the producer made it"),
    Column("processed", "BOOL", "Whether a consumer has dealt with it; false as written"),
    Column("processed_at", "TIMESTAMP", "When a consumer dealt with it"),
    Column("provider", "STRING", "Key: who computed it"),
    Column("symbol", "STRING", "Key: instrument, upper case"),
    Column("ts", "TIMESTAMP", "Key: the time the signal is about"),
    Column("name", "STRING", "Key: which signal"),
    Column("value", "FLOAT64", "The signal's value"),
    Column("score", "FLOAT64", "The producer's score"),
    Column("block_hash", "STRING", "Hash of the block the signal is about"),
    Column("block_time", "TIMESTAMP", "Header time of that block"),
    Column("version", "INT64", "The larger one wins"),
    Column("digest", "INT64", "Of the content; breaks ties of version"),
    Column("first_seen_at", "TIMESTAMP", "When the pipeline first saw the signal"),
    Column("retracted_at", "TIMESTAMP", "Set: the signal was taken back"),
    Column("canonical_key", "STRING", "Case-sensitive name of the instrument"),
    Column("outcome", "STRING", "What became of the prediction, where the producer says so"),
    Column("correlation_id", "STRING", "Of the record that caused it"),
    Column("namespace", "STRING", "Lineage: the pipeline"),
    Column("kafka_partition", "INT64", "Lineage: partition of `signals`"),
    Column("kafka_offset", "INT64", "Lineage: offset in that partition"),
    Column("inserted_at", "TIMESTAMP", "When the sink made the row"),
    Column("refused", "STRING", "Why BigQuery did not take the signal; null for good rows"),
)

# BigQuery takes TIMESTAMP as int64 microseconds since 1970 and JSON as text.
_PROTO_TYPES = {
    "STRING": _Proto.TYPE_STRING,
    "JSON": _Proto.TYPE_STRING,
    "INT64": _Proto.TYPE_INT64,
    "TIMESTAMP": _Proto.TYPE_INT64,
    "FLOAT64": _Proto.TYPE_DOUBLE,
    "BOOL": _Proto.TYPE_BOOL,
}
# The REST API answers with the names of legacy SQL.
LEGACY_TYPES = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL"}


def _descriptor() -> descriptor_pb2.DescriptorProto:
    row = descriptor_pb2.DescriptorProto(name="SignalRow")
    for number, column in enumerate(COLUMNS, 1):
        row.field.add(
            name=column.name,
            number=number,
            type=_PROTO_TYPES[column.sql_type],
            label=_Proto.LABEL_OPTIONAL,
        )
    return row


def _message_class(row: descriptor_pb2.DescriptorProto) -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="sigstream_signal_row.proto", syntax="proto2")
    file.message_type.add().CopyFrom(row)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(row.name))


DESCRIPTOR = _descriptor()
"""Sent with each append: says what the rows' bytes mean."""
RowMessage = _message_class(DESCRIPTOR)
"""Protobuf message with a field a column."""


def fields() -> list[bigquery.SchemaField]:
    """The columns, as the REST API has them."""
    return [bigquery.SchemaField(c.name, c.sql_type, description=c.says) for c in COLUMNS]


def history_table(table_id: str) -> bigquery.Table:
    """The table to create.

    Partitioned by the day of writing, not of `ts`: the service refuses streamed rows whose partition
    lies years back, and blocks go back to 2009. `ts` is a clustering column instead.
    """
    table = bigquery.Table(table_id, schema=fields())
    table.description = "Every version of every signal, append-only; see the view <table>_latest"
    table.time_partitioning = bigquery.TimePartitioning(field="inserted_at")
    table.clustering_fields = ["provider", "symbol", "ts", "name"]
    return table


def latest_sql(table_id: str) -> str:
    """Query of the view: the latest version of each signal, without stubs and what was taken back."""
    return f"SELECT * FROM ({versions_sql(table_id)}) WHERE retracted_at IS NULL"  # noqa: S608


def versions_sql(table_id: str) -> str:
    """The latest version of each signal, retracted ones too, without stubs."""
    return (
        f"SELECT * EXCEPT (refused) FROM `{table_id}` WHERE refused IS NULL "  # noqa: S608
        "QUALIFY ROW_NUMBER() OVER "
        "(PARTITION BY signal_id ORDER BY version DESC, digest DESC, inserted_at DESC) = 1"
    )
