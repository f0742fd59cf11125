"""BigQuery, by the Storage Write API."""

from app.sinks.bigquery.config import BigQueryConfig
from app.sinks.bigquery.service import BigQuerySink

__all__ = ["BigQueryConfig", "BigQuerySink"]
