"""One pipeline of all six workers for the tests that leave it as they found it.

Each of them has a provider, or a block, of its own.
"""

import asyncio
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from app.config import Settings
from app.embedded.bigquery import BigQuery
from app.embedded.postgres import Postgres
from app.streaming.topics import ensure_topics, pipeline_topics
from tests.support.pipeline import Pipeline, View, running, view, with_stores
from tests.support.stores import BigQueryStore, PostgresStore, SqliteStore


def _pipeline(
    kafka: str, postgres: Postgres, bigquery: BigQuery, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pipeline]:
    """All agents, and the sinks of all three stores."""
    directory = tmp_path_factory.mktemp("e2e")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SIGSTREAM_")]:
            patch.delenv(name)
        base = Settings(
            _env_file=None, namespace=f"t{uuid.uuid4().hex[:10]}", data_dir=directory, kafka=kafka
        )
        wanted = (SqliteStore(), PostgresStore(postgres), BigQueryStore(bigquery))
        settings, stores = asyncio.run(with_stores(base, wanted))
        asyncio.run(ensure_topics(settings, pipeline_topics(settings)))
        with running(settings, stores) as started:
            yield started


pipeline = pytest.fixture(scope="package", name="pipeline")(_pipeline)
pipeline_of_this_file = pytest.fixture(scope="module", name="pipeline_of_this_file")(_pipeline)
"""For tests that leave behind what no pipeline would."""


@pytest.fixture
async def pipe(pipeline: Pipeline) -> AsyncIterator[View]:
    """The shared pipeline, as of now."""
    async with view(pipeline) as found:
        yield found


@pytest.fixture
async def own_pipe(pipeline_of_this_file: Pipeline) -> AsyncIterator[View]:
    """The file's own pipeline, as of now."""
    async with view(pipeline_of_this_file) as found:
        yield found
