"""A replay that Ctrl-C stops goes on where it was; two at once are refused."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta

import orjson

from app.backfill.plan import plan_topic
from app.config import Settings
from app.embedded.postgres import Postgres
from app.query.kafka import Reader, open_reader
from app.replay.asked import Asked, Unit, ranges_of
from app.replay.dry import dry_run
from app.replay.job import join_group, read_places
from app.replay.store import group_of
from app.sources.simulator import CHAIN, simulate
from app.streaming.topics import ensure_topics
from tests.support.blocks import message
from tests.support.commands import command
from tests.support.metrics import of, ports_in_a_row, scraped
from tests.support.probe import probe, until
from tests.support.processes import program, worker
from tests.support.signals import PROVIDER, forwarded
from tests.support.stores import PostgresStore, SqliteStore, empty_tables
from tests.support.watch import Silent

RECORDS = 1500
PROGRAM = (sys.executable, "-m", "app.main")
RECOMPUTE = ("replay", "--recompute", "--chain", CHAIN, "--from-height", "0", "--json")
BLOCKS = 300
BOTH = ("replay", "--from-offset", "earliest", "--json")
OPTIONS = (*BOTH, "--sink", "sqlite")


async def progress(settings: Settings) -> tuple[int, int]:
    """Records that are done, of how many."""
    async with open_reader(settings) as reader:
        partitions = await reader.partitions(settings.topic("signals"))
        places = (await read_places(settings, group_of(settings, "sqlite"), partitions)).values()
    return sum(p.position - p.mark.first for p in places), sum(p.mark.end - p.mark.first for p in places)


async def test_a_replay_goes_on_where_ctrl_c_stopped_it(settings: Settings, postgres: Postgres) -> None:
    store, second = SqliteStore(), PostgresStore(postgres)
    settings = await second.settings(await store.settings(settings))
    async with probe(settings) as kafka:
        await kafka.send("signals", forwarded(RECORDS, "sqlite", settings.signal_partitions, names=1))
        with worker(settings, "sink", "sqlite"), worker(settings, "sink", "timescale"):

            async def all_written() -> bool:
                lags = [await kafka.lag(f"sink.{name}", "signals") for name in settings.required_sinks]
                return sum(lags) == 0

            await until(all_written, "all records in the stores")
        before = await store.latest(PROVIDER)
        await empty_tables(settings)

    slow, port = settings.model_copy(update={"sink_batch_signals": 1}), ports_in_a_row(1)
    with program(slow, [*PROGRAM, *BOTH, "--metrics-port", str(port)], "replay") as running:

        async def begun() -> bool:
            assert running.returncode is None, running.log
            return (await progress(settings))[0] > 20

        await until(begun, "a replay that is under way")
        metrics = await asyncio.to_thread(scraped, port)
        code = running.interrupt()
        assert code == 130, running.log
        assert "the same command goes on" in running.log
    done, total = await progress(settings)
    assert 0 < done < total == RECORDS
    assert 0 < await store.count(PROVIDER) < RECORDS
    assert 20 < metrics[of("sigstream_replay_signals_total", target="sqlite", outcome="inserted")] <= done + 1
    assert RECORDS - done <= metrics[of("sigstream_replay_left", target="sqlite")] <= RECORDS - 20

    assert await second.count(PROVIDER) == 0
    other = await command(settings, *BOTH, "--to", "3", "--dry-run")
    assert other.code == 0, other.err
    assert (await progress(settings)) == (done, total)
    resumed = await command(settings, *BOTH)
    assert resumed.code == 0, resumed.err
    assert f"goes on where it stopped, {done} of {total} records are done" in resumed.err
    targets = orjson.loads(resumed.out)["targets"]
    assert targets["timescale"]["total"] == {"inserted": RECORDS}, "it was not begun"
    assert await second.latest(PROVIDER) == before
    outcomes = targets["sqlite"]["total"]
    assert sum(outcomes.values()) == total - done
    assert outcomes.get("unchanged", 0) <= 1  # written, and not marked before Ctrl-C
    assert await store.latest(PROVIDER) == before
    again = await command(settings, *OPTIONS)
    assert orjson.loads(again.out)["targets"]["sqlite"]["total"] == {"unchanged": RECORDS}
    assert "goes on" not in again.err

    group, topic = group_of(settings, "sqlite"), settings.topic("signals")
    async with open_reader(settings) as reader:
        partitions = await reader.partitions(topic)
        async with join_group(settings, reader, group, topic, partitions) as job:
            refused = await command(settings, *OPTIONS)
            await job.alive()  # not disturbed
        await by_times_and_heights(settings, reader)
    assert refused.code == 1
    assert "another replay is running" in refused.err
    await refusals(settings.model_copy(update={"timescale_dsn": None}))


async def by_times_and_heights(settings: Settings, reader: Reader) -> None:
    now = datetime.now(UTC)
    for first, last, count in (
        (now - timedelta(hours=1), None, RECORDS),
        (now + timedelta(hours=1), None, 0),
        (now - timedelta(hours=1), now - timedelta(minutes=50), 0),
    ):
        ranges = await ranges_of(reader, settings.topic("signals"), Asked(Unit.TIME, first, last))
        assert sum(span.end - span.first for span in ranges) == count
    none = await dry_run(settings, reader, Asked(Unit.HEIGHT, 0), "sqlite", Silent())
    assert none.total() == {}  # these signals are of no block


async def refusals(settings: Settings) -> None:
    """What can't be replayed is said in one line."""
    for options, says in (
        (("--from-offset", "5000"), "ends at offset"),
        (("--from-offset", "earliest", "--sink", "timescale"), "SIGSTREAM_TIMESCALE_DSN is not set"),
        (("--from-height", "0", "--recompute"), "holds no block of BTC, but of nothing"),
    ):
        done = await command(settings, "replay", *options)
        assert done.code == 1
        assert says in done.err
        assert "Traceback" not in done.err
        assert "stopped: " not in done.err
    nobodys = settings.model_copy(update={"namespace": f"{settings.namespace}-x"})
    for recompute in ((), ("--recompute",)):
        done = await command(nobodys, "replay", "--from-height", "0", *recompute)
        assert done.code == 1
        assert "there is no topic" in done.err


async def test_what_a_sink_has_not_read_yet_is_its_own_to_write(settings: Settings) -> None:
    store = SqliteStore()
    settings = await store.settings(settings.model_copy(update={"sinks": ("sqlite",)}))
    messages = forwarded(40, "sqlite", settings.signal_partitions)
    async with probe(settings) as kafka:
        await kafka.send("signals", messages[:20])
        refused = await command(settings, *OPTIONS)
        assert refused.code == 1
        assert "start `sigstream worker sink sqlite` instead" in refused.err
        assert not settings.sqlite_file.exists()
        with worker(settings, "sink", "sqlite") as running:

            async def all_written() -> bool:
                return await kafka.lag("sink.sqlite", "signals") == 0

            await until(all_written, "all records in the store")
            assert running.stop() == 0
        await kafka.send("signals", messages[20:])
        done = await command(settings, *OPTIONS)
        assert orjson.loads(done.out)["targets"]["sqlite"]["total"] == {"unchanged": 60}
        assert await store.count(PROVIDER) == 60
        assert await kafka.lag("sink.sqlite", "signals") == 20


async def test_a_recomputation_goes_on_where_ctrl_c_stopped_it(settings: Settings) -> None:
    """Without a worker: nothing is known, all is sent."""
    group, arguments = settings.group(f"replay.recompute.{CHAIN}"), [*PROGRAM, *RECOMPUTE]
    async with probe(settings) as kafka, open_reader(settings) as reader:
        await kafka.send("blocks", map(message, simulate(BLOCKS, seed=3)))
        partitions = await reader.partitions(settings.topic("blocks"))

        async def place() -> int:
            places = await read_places(settings, group, partitions)
            return max((place.position for place in places.values()), default=0)

        with program(settings, arguments, "recompute") as running:

            async def begun() -> bool:
                assert running.returncode is None, running.log
                return await place() > 0

            await until(begun, "a recomputation that is under way")
            code = running.interrupt()
            assert code == 130, running.log
        stopped = await place()
        assert 0 < stopped < BLOCKS
        first = {record.key for record in await kafka.read("signals.raw")}
        assert stopped <= len(first) < BLOCKS

        resumed = await command(settings, *RECOMPUTE)
        assert resumed.code == 0, resumed.err
        assert f"goes on at height {stopped}, where it stopped" in resumed.err
        sent = [record.key for record in await kafka.read("signals.raw")]
        assert len(set(sent)) == BLOCKS
        assert len(sent) == BLOCKS + len(first) - stopped
        await in_a_backfill_s_namespace(settings)
        assert await kafka.count("signals.raw") == len(sent)


async def in_a_backfill_s_namespace(settings: Settings) -> None:
    await ensure_topics(settings, [plan_topic(settings)])
    refused = await command(settings, *RECOMPUTE)
    assert refused.code == 1
    assert f"namespace {settings.namespace} is a backfill's" in refused.err
    assert refused.err.count("\n") == 1
    dry = await command(settings, *RECOMPUTE, "--dry-run")
    assert dry.code == 0, dry.err
    assert "no store is at hand" in dry.err
