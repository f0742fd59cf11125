"""What a finished backfill leaves behind, taken away: its topics and its workers' directories."""

import shutil
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, for_code

from app.backfill.plan import plan_topic
from app.config import Settings
from app.errors import Transient
from app.kafka_client import client_options


async def clean(settings: Settings) -> int:
    """Delete them; how many topics. No worker of the namespace may run. Raises Transient.

    Kafka forgets what groups have committed on topics that are deleted. The plan goes last: while it is
    there, the same command does again what is missing.
    """
    admin = AIOKafkaAdminClient(**client_options(settings), client_id="sigstream-clean")
    try:
        await admin.start()
        names = [name for name in await admin.list_topics() if name.startswith(settings.topic(""))]
        plan = plan_topic(settings).name
        for some in ([name for name in names if name != plan], [name for name in names if name == plan]):
            if some:
                _check(await admin.delete_topics(some))
    except KafkaError as error:
        raise Transient(f"topics of {settings.namespace} are not deleted ({error!r}): try again") from error
    finally:
        await admin.close()
    for directory in (settings.data_dir / "workers").glob(f"{settings.namespace}.*"):
        shutil.rmtree(directory)
    return len(names)


def _check(answer: Any) -> None:
    """aiokafka gives what Kafka refused, and raises nothing."""
    for topic, code in answer.topic_error_codes:
        if code:
            raise for_code(code)(f"topic {topic}")
