"""The Faust app of a topology module: safe delivery, guarded agents, its own data directory."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NoReturn

import faust
import structlog
from faust.app.base import BootStrategy

from app.config import Settings, settings
from app.errors import DeliveryFailed, SigstreamError, StateFailed
from app.kafka_client import security_options
from app.model.receipt import Origin
from app.observe import metrics
from app.observe.logging import configure_logging, library_config
from app.reload import Reloader
from app.streaming.attempts import MOST, Attempts
from app.streaming.backlog import Backlog
from app.streaming.dead_letters import dead_letter, explain
from app.streaming.delivery import Delivery, HeldState, SafeTransport, stop_worker
from app.streaming.epoch import own_epoch
from app.streaming.garbage import keep_what_is_there
from app.streaming.membership import Membership
from app.streaming.record import HANDLING, Headers, Record, of_faust
from app.streaming.recovery import BulkTables
from app.streaming.sizes import check_sizes
from app.streaming.slot import claim
from app.streaming.topics import (
    BLOCK_BYTES,
    DEAD_LETTER_BYTES,
    FETCH_BYTES,
    SIGNAL_BYTES,
    changelog,
    ensure_topics,
    pipeline_topics,
)

log = structlog.get_logger()

Handler = Callable[[Any, Record], Awaitable[None]]
"""What an agent does with one record; the event is what tables need."""

ROCKSDB_OPTIONS = {"block_cache_size": 8 << 20, "write_buffer_size": 32 << 20, "max_write_buffer_number": 2}
"""The defaults are a 2 GiB cache and 3 x 64 MB of buffers a partition."""


class _NoWeb(BootStrategy):
    """`faust worker` ignores web_enabled=False and opens 0.0.0.0:6066: a second worker would die."""

    enable_web = False


class _PlainWorker(faust.Worker):
    """`faust worker` turns stderr into a logger whatever the app's setting is; ours writes to stderr.

    Its spinner writes control codes into logs.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "redirect_stdouts": False})
        self.spinner = None


class SafeApp(faust.App):
    """A Faust app that loses nothing: see app/streaming/delivery.py."""

    BootStrategy = _NoWeb

    def __init__(self, stage: str, config: Settings, **options: Any) -> None:
        super().__init__(config.group(stage), **options)
        self.stage = stage
        self.settings = config
        self.delivery = Delivery(on_failure=self._stop)
        self.backlog = Backlog()
        self.membership = Membership(SESSION_S, on_loss=stop_worker)
        self.reloader = Reloader(config)
        self.states: list[HeldState] = []
        self._handling = 0
        self._changelogs: list[tuple[str, int]] = []

    def _new_transport(self) -> Any:
        return SafeTransport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Any:
        return SafeTransport(self.conf.broker_producer, self)

    def held_table(self, name: str, partitions: int) -> HeldState:
        """A table of raw bytes, as many partitions as the topics that write to it."""
        options = dict(ROCKSDB_OPTIONS) if self.settings.dedupe_store == "rocksdb" else None
        table = self.Table(name, key_type=bytes, value_type=bytes, partitions=partitions, options=options)
        state = HeldState(table, self.delivery)
        self.states.append(state)
        self._changelogs.append((name, partitions))
        return state

    def process(self, *topics: str) -> Callable[[Handler], Any]:
        """Make a handler an agent of the topics: in order a partition, one record at a time.

        It answers for every record: what it raises makes a dead letter of the record, and only a
        failure of delivery or state stops the worker.
        """

        def decorate(handler: Handler) -> Any:
            channel = self.topic(
                *(self.settings.topic(name) for name in topics),
                key_type=bytes,
                value_type=bytes,
                key_serializer="raw",
                value_serializer="raw",
            )

            async def run(stream: Any) -> None:
                async for event in stream.events():
                    await self._guard(handler, event)

            run.__name__ = run.__qualname__ = handler.__name__
            return self.agent(channel, concurrency=1)(run)

        return decorate

    async def _guard(self, handler: Handler, event: Any) -> None:
        record = of_faust(event.message)
        HANDLING.set(record)
        structlog.contextvars.bind_contextvars(
            topic=record.topic, partition=record.partition, offset=record.offset,
            correlation_id=record.correlation_id,
        )  # fmt: skip
        self._handling += 1
        try:
            await self._answer(handler, event, record)
        except asyncio.CancelledError:
            # Faust acks the record all the same: what is committed from here on may be unhandled.
            self.delivery.close()
            raise
        except Exception as error:
            self.delivery.fail(error, record.origin)
        finally:
            self._handling -= 1

    async def handled(self, timeout_s: float) -> None:
        """Wait for the handlers that are at a record, one an agent; bounded, as a rebalance is."""
        end = time.monotonic() + timeout_s
        while self._handling and time.monotonic() < end:
            await asyncio.sleep(0.01)
        if self._handling:
            log.warning("partitions left amid a record", handlers=self._handling, waited_s=timeout_s)

    async def _answer(self, handler: Handler, event: Any, record: Record) -> None:
        stops = self.attempts.count(record.origin)
        try:
            if stops >= MOST - 1:
                raise DeliveryFailed(f"the worker stopped {stops} times at this record; see its log")
            check_sizes(record, LIMITS.get(record.topic.rpartition(".")[2], SIGNAL_BYTES))
            await handler(event, record)
            if self.attempts.near(record.origin):
                await self.delivery.settle()
                self.attempts.passed(record.origin)
        except StateFailed:
            raise
        except Exception as error:
            await self.bury(record, error, stops + 1)

    async def bury(self, record: Record, error: BaseException, attempts: int = 1) -> None:
        """Send the record to the dead letters, with the reason."""
        log.error("dead letter", stage=self.stage, error_class=type(error).__name__, reason=explain(error))
        key, value, headers = dead_letter(record, self.stage, error, attempts)
        await self.forward("dead-letters", key, value, None, headers)
        if attempts > 1:
            self.attempts.buried(record.origin)

    async def forward(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None, headers: Headers
    ) -> asyncio.Future[Any]:
        """Send, in order; the future is done when Kafka has acknowledged. Raises DeliveryFailed."""
        limit = LIMITS.get(topic, SIGNAL_BYTES)
        if value is not None and len(value) > limit:
            raise ValueError(f"{len(value)} bytes are too many for topic {topic}: at most {limit}")
        cause = HANDLING.get()
        origin = cause.origin if cause else None
        try:
            sent = await self.producer.send(self.settings.topic(topic), key, value, partition, None, headers)
        except Exception as error:
            self.delivery.fail(error, origin)
            raise DeliveryFailed(f"{topic}: {error!r}") from error
        if not isinstance(sent, asyncio.Future):
            raise TypeError(f"the producer answered {sent!r}, not a future")
        self.delivery.track(sent, origin)
        return sent

    def _stop(self, error: BaseException, cause: Origin | None) -> None:
        if cause is not None:
            self.attempts.stopped(cause)
        stop_worker(error)

    def configure(self) -> None:
        """Before the first use of `conf`: logging, the slot, what depends on it."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the reloader asks for it
        configure_logging(self.settings, self.stage)
        slot = claim(self.settings.data_dir, self.settings.group(self.stage))
        self.slot = slot

    async def on_first_start(self) -> None:
        """Topics first: Faust would make them with its own settings. And state of this Kafka alone."""
        wanted = [changelog(self.settings, self.stage, name, n) for name, n in self._changelogs]
        try:
            self.epoch = await own_epoch(self.settings)
            await ensure_topics(self.settings, (*pipeline_topics(self.settings), *wanted))
        except SigstreamError as error:
            refuse_to_start(error)
        if (aside := self.slot.keep_state_of(self.epoch)) is not None:
            log.warning("Kafka was rebuilt, old state set aside", kept_in=str(aside))
        self.attempts = Attempts(self.slot.state)
        await super().on_first_start()
        self.membership.end_when_resumed()
        metrics.serve(self.settings)
        self.add_future(self.reloader.watch())
        keep_what_is_there()


SESSION_S = 8.0
"""How long Kafka waits for a sign of life before it gives a worker's partitions to another one."""
LONGEST_RECOVERY_S = 86_400.0
"""Nothing is polled while a table is filled from its changelog; by default a worker leaves after 1,000 s."""
LIMITS = {"blocks": BLOCK_BYTES, "block-features": BLOCK_BYTES, "dead-letters": DEAD_LETTER_BYTES}


def create_app(stage: str, config: Settings | None = None) -> SafeApp:
    """The app of a stage, for `faust -A topologies.<stage> worker`.

    Importing it touches nothing; the worker's directory, logging and Kafka's address are settled when
    Faust first asks for its configuration (ConfigurationError without Kafka).
    """
    config = config or settings()
    app = SafeApp(stage, config, **_options(config))
    app.on_before_configured.connect(partial(_before_configured, app), weak=False)
    app.on_configured.connect(partial(_configured, app), weak=False)
    return app


def _before_configured(app: SafeApp, *_: Any, **__: Any) -> None:
    app.configure()


def _configured(app: SafeApp, _sender: Any, conf: Any, **__: Any) -> None:
    servers = app.settings.need_kafka().split(",")
    conf.broker = ";".join(f"kafka://{server.strip()}" for server in servers)
    conf.broker_credentials = _credentials(app.settings)
    conf.Worker = _PlainWorker
    conf.logging_config = library_config(app.settings, app.stage)
    conf.datadir = app.slot.state
    conf.consumer_group_instance_id = app.slot.instance_id


def refuse_to_start(error: SigstreamError) -> NoReturn:
    """One line and exit code 1, before anything was read; Faust would show a traceback."""
    log.critical("worker stops", error=type(error).__name__, reason=str(error))
    os._exit(1)


def _credentials(config: Settings) -> Any:
    """Of `client_options`, as Faust takes them."""
    found = security_options(config)
    context = found.get("ssl_context")
    if "sasl_mechanism" in found:
        return faust.SASLCredentials(
            username=found["sasl_plain_username"],
            password=found["sasl_plain_password"],
            mechanism=found["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def _options(config: Settings) -> dict[str, Any]:
    return {
        "store": f"{config.dedupe_store}://",
        "TableManager": BulkTables,
        "processing_guarantee": "at_least_once",
        "broker_commit_every": 1000,
        "broker_commit_interval": 1.0,
        "broker_session_timeout": SESSION_S,
        "broker_heartbeat_interval": 2.0,
        "broker_max_poll_interval": LONGEST_RECOVERY_S,
        "consumer_auto_offset_reset": "earliest",
        "consumer_max_fetch_size": FETCH_BYTES,
        "producer_linger": 0.02,
        "producer_max_request_size": DEAD_LETTER_BYTES,
        "producer_compression_type": "zstd",
        "producer_max_batch_size": 1 << 18,
        "stream_wait_empty": False,
        "stream_recovery_delay": 0.0,
        "topic_disable_leader": True,
        "web_enabled": False,
    }
