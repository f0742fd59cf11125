"""What a consumer group has committed, read so that "nothing" means nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from app.errors import Transient


async def committed_offsets(
    options: Mapping[str, Any], group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, OffsetAndMetadata]:
    """Offset (-1: none) and metadata of each partition; `options` as of `client_options`. Raises Transient.

    By the admin client, as a consumer drops the metadata. A broker answers for every partition it is
    asked for; aiokafka 0.14.0 overlooks the error of a coordinator that is loading or has moved, whose
    answer is empty, and a group would seem to have no commits.
    """
    admin = AIOKafkaAdminClient(**options, client_id=f"{group}-offsets")
    try:
        await admin.start()
        found = await admin.list_consumer_group_offsets(group, partitions=list(partitions))
    except KafkaError as error:
        raise Transient(f"Kafka does not tell the offsets of group {group}: {error!r}") from error
    finally:
        await admin.close()
    missing = set(partitions) - set(found)
    if missing:
        raise Transient(f"the coordinator of group {group} does not answer for {len(missing)} partitions yet")
    return dict(found)
