"""A contender of bench/dedupe.py: the bare client. Consume, decode, look up in a dict, send.

`python bench/_dedupe_aiokafka.py BOOTSTRAP INPUT OUTPUT`. It remembers nothing over a restart and
loses what is in flight when it is killed: a bound of what Python with aiokafka can do, not a rival.
"""

import asyncio
import sys

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer


async def run(bootstrap: str, source: str, target: str) -> None:
    """Until killed."""
    consumer = AIOKafkaConsumer(
        source, bootstrap_servers=bootstrap, group_id=target, auto_offset_reset="earliest"
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=20)
    await producer.start()
    await consumer.start()
    seen: dict[tuple[str, str, str, str], float] = {}
    async for record in consumer:
        signal = orjson.loads(record.value)
        key = signal["provider"], signal["symbol"], signal["ts"], signal["name"]
        if seen.get(key) != signal["value"]:
            seen[key] = signal["value"]
            await producer.send(target, record.value, key=record.key, partition=record.partition)


async def main() -> None:
    """One task, so that its end is the program's."""
    await asyncio.create_task(run(*sys.argv[1:]))


if __name__ == "__main__":
    uvloop.run(main())
