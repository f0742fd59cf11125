"""Servers that say more than they should."""

import asyncio
from pathlib import Path

import pytest

from app.config import Settings
from app.errors import ConfigurationError, ContractError, Terminal
from app.labels.files import load_labels
from app.sources.bitcoin_etl import read_export
from app.sources.core_node import CoreNode
from app.sources.core_rpc import CoreRpc
from app.sources.core_zmq import MAX_MESSAGE_BYTES, wake_on_blocks
from app.sources.esplora import Esplora
from app.sources.pace import Pace
from tests.support.core_double import CoreDouble, ZmqPublisher
from tests.support.esplora_double import EsploraDouble
from tests.support.real_blocks import REAL_BLOCKS


async def test_a_long_answer_of_a_node_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.core_rpc.MAX_CORE_BYTES", 5_000)
    with CoreDouble(REAL_BLOCKS) as node:
        async with CoreRpc(node.settings(Settings(_env_file=None))) as rpc:
            core = CoreNode(rpc)
            tip = await core.tip()
            with pytest.raises(Terminal, match="answers with more than 5,000 bytes: is it the right server"):
                await core.block(tip.hash)


async def test_a_long_answer_of_esplora_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.esplora.MAX_ESPLORA_BYTES", 5_000)
    with EsploraDouble(REAL_BLOCKS) as server:
        async with Esplora(Settings(_env_file=None, source_retry_s=1), server.url, Pace(None)) as esplora:
            tip = await esplora.tip()
            with pytest.raises(Terminal, match=r"/txs/\d+ answers with more than 5,000 bytes"):
                await esplora.block(tip.hash)


async def test_a_long_zmq_message_ends_the_connection_and_wakes_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("app.sources.core_zmq.SILENCE_S", 1.0)
    wake = asyncio.Event()
    with ZmqPublisher() as publisher:
        listening = asyncio.create_task(wake_on_blocks(publisher.endpoint, wake))
        assert await asyncio.to_thread(publisher.wait_for_subscriber) == b"hashblock"
        publisher.publish("00" * (MAX_MESSAGE_BYTES + 1))
        assert await asyncio.to_thread(publisher.wait_for_subscriber) == b"hashblock"  # leaves
        assert not wake.is_set()
        assert await asyncio.to_thread(publisher.wait_for_subscriber) == b"hashblock"  # and comes back
        async with asyncio.timeout(20):
            while not wake.is_set():  # a message between two connections is lost
                publisher.publish("00" * 32)
                await asyncio.sleep(0.05)
        listening.cancel()
        await asyncio.wait([listening])


def test_a_large_file_of_labels_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.labels.files.MAX_BYTES", 10)
    file = tmp_path / "labels.csv"
    file.write_text("address,entity\n")
    with pytest.raises(ConfigurationError, match=r"labels.csv has 15 bytes, more than 10: divide it"):
        load_labels([file])


def test_a_long_line_of_an_export_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.sources.bitcoin_etl.BLOCK_BYTES", 10)
    file = tmp_path / "blocks.json"
    file.write_text("\n" + "x" * 100)
    with pytest.raises(ContractError, match=r"blocks.json line 2 is over 10 bytes"):
        list(read_export(file, file))
