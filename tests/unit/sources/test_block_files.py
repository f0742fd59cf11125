"""Blocks from files: what is read, and what each broken file is told."""

from pathlib import Path

import pytest
import zstandard

from app.errors import ConfigurationError, ContractError
from app.model.block import BLOCK_DECODER
from app.sources.files import block_files, headers_of, read_block_file
from app.sources.simulator import simulate
from app.streaming.topics import BLOCK_BYTES

FIXTURES = Path(__file__).parents[2] / "fixtures" / "blocks"
(BLOCK,) = simulate(1, seed=1, start_height=1000)
PACKED = zstandard.ZstdCompressor().compress(BLOCK)


def file_with(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def packed_as_a_stream(content: bytes) -> bytes:
    """Without the size in the frame, as `zstd` writes from a pipe."""
    packer = zstandard.ZstdCompressor().compressobj()
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", BLOCK),
        ("a.json.zst", PACKED),
        ("a.json.zst", packed_as_a_stream(BLOCK)),
        ("named-wrong.json", PACKED),
    ],
)
def test_a_block_is_read(tmp_path: Path, name: str, content: bytes) -> None:
    assert read_block_file(file_with(tmp_path, name, content)) == BLOCK


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.json", b"", "is empty"),
        ("empty.json.zst", b"", "is not zstd"),
        ("hollow.json.zst", zstandard.compress(b""), "is empty"),
        ("plain.json.zst", BLOCK, "is not zstd"),
        ("cut.json.zst", PACKED[:-100], "no whole zstd file"),
        ("tail.json.zst", PACKED + b"more", "no whole zstd file"),
        ("four.json.zst", PACKED[:4], "no whole zstd file"),
        ("bomb.json.zst", zstandard.compress(bytes(BLOCK_BYTES + 1)), "over 32,000,000 bytes"),
        ("pipe-bomb.json.zst", packed_as_a_stream(bytes(BLOCK_BYTES + 1)), "over 32,000,000 bytes"),
        ("large.json", bytes(BLOCK_BYTES + 1), "over 32,000,000 bytes"),
    ],
)
def test_a_broken_file_is_told_why(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message) as caught:
        read_block_file(file_with(tmp_path, name, content))
    assert name in str(caught.value)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_block_file(tmp_path / "none.json")
    with pytest.raises(ConfigurationError, match="directory"):
        read_block_file(tmp_path)


def test_files_come_as_named_and_those_of_a_folder_by_height(tmp_path: Path) -> None:
    names = ["9.json", "99.json.zst", "100.json", "block.json"]
    for name in [*reversed(names), "notes.txt"]:
        (tmp_path / name).touch()
    single = tmp_path / "notes.txt"
    assert [file.name for file in block_files([single, tmp_path])] == ["notes.txt", *names]


def test_a_folder_without_blocks_is_told(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(ConfigurationError, match=r"has no .json or .json.zst file"):
        block_files([tmp_path])


@pytest.mark.parametrize("value", [BLOCK, read_block_file(FIXTURES / "150013.json.zst")])
def test_headers_are_the_blocks(value: bytes) -> None:
    header, block = headers_of(value), BLOCK_DECODER.decode(value)
    assert (header.hash, header.height) == (block.hash, block.height)
    assert header.previousblockhash == block.previousblockhash


@pytest.mark.parametrize("value", [b"{}", b"[]", b"x", BLOCK.replace(b'"hash":"0', b'"hash":"Z', 1)])
def test_no_headers(value: bytes) -> None:
    with pytest.raises(ContractError, match="block"):
        headers_of(value)
