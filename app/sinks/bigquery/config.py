"""Settings of the BigQuery sink, and the clients that follow from them."""

from dataclasses import dataclass
from typing import Self

import grpc
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.bigquery_storage_v1.services.big_query_write import BigQueryWriteAsyncClient
from google.cloud.bigquery_storage_v1.services.big_query_write.transports import (
    BigQueryWriteGrpcAsyncIOTransport,
)

from app.config import Settings
from app.errors import ConfigurationError

# gRPC's own pause between two connects grows to two minutes; the worker's loop decides when to try.
_RECONNECT = [
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]


@dataclass(frozen=True, slots=True)
class BigQueryConfig:
    """Where the sink writes. `rest` and `grpc` are an emulator's addresses: both, or neither."""

    project: str
    dataset: str = "intel"
    table: str = "signals"
    rest: str | None = None
    """`http://host:port` of an emulator's REST API."""
    grpc: str | None = None
    """`host:port` of an emulator's Storage API."""
    namespace: str = "sigstream"
    """Lineage of the rows: the pipeline they come from."""
    timeout_s: float = 10.0
    """Of one call. The clients' own default is to try again for 600 s."""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises ConfigurationError when the project, or one of the emulator's two addresses, is missing."""
        if not settings.bigquery_project:
            raise ConfigurationError(
                "no BigQuery: SIGSTREAM_BIGQUERY_PROJECT is not set and no embedded servers run on "
                f"{settings.data_dir}/: set it to your Google Cloud project, or start `sigstream up`"
            )
        if bool(settings.bigquery_rest) != bool(settings.bigquery_grpc):
            raise ConfigurationError(
                "only one address of a BigQuery emulator is set: set both SIGSTREAM_BIGQUERY_REST and "
                "SIGSTREAM_BIGQUERY_GRPC, or neither to write to Google's service"
            )
        return cls(
            project=settings.bigquery_project,
            dataset=settings.bigquery_dataset,
            table=settings.bigquery_table,
            rest=settings.bigquery_rest,
            grpc=settings.bigquery_grpc,
            namespace=settings.namespace,
        )

    @property
    def table_id(self) -> str:
        """`project.dataset.table`, as SQL has it."""
        return f"{self.project}.{self.dataset}.{self.table}"

    @property
    def view_id(self) -> str:
        """The view of each signal's latest version."""
        return f"{self.table_id}_latest"

    @property
    def table_path(self) -> str:
        """The table as the Storage API names it."""
        return f"projects/{self.project}/datasets/{self.dataset}/tables/{self.table}"

    def rest_client(self) -> bigquery.Client:
        """Client of tables and queries. Looks for credentials, unless there is an emulator."""
        if self.rest is None:
            return bigquery.Client(project=self.project)
        return bigquery.Client(
            project=self.project,
            credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
            client_options=ClientOptions(api_endpoint=self.rest),
        )

    def write_client(self) -> BigQueryWriteAsyncClient:
        """Client of the Storage Write API; call it inside the event loop that will use it."""
        if self.grpc is None:
            return BigQueryWriteAsyncClient()
        channel = grpc.aio.insecure_channel(self.grpc, options=_RECONNECT)
        return BigQueryWriteAsyncClient(transport=BigQueryWriteGrpcAsyncIOTransport(channel=channel))
