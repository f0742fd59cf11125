"""Blocks in files: `getblock <hash> 3` as JSON, plain or packed with zstd."""

from collections.abc import Iterable
from pathlib import Path

import zstandard

from app.errors import ConfigurationError, ContractError
from app.model.block import HEADER_DECODER, BlockHeader
from app.model.wire import decode
from app.streaming.topics import BLOCK_BYTES

ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"


def block_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are named; of a folder its .json and .json.zst files, those named by height in order.

    Raises ConfigurationError for a folder that has none.
    """
    return [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]


def _inside(folder: Path) -> list[Path]:
    files = [*folder.glob("*.json"), *folder.glob("*.json.zst")]
    if not files:
        raise ConfigurationError(f"{folder} has no .json or .json.zst file: name a folder of blocks")
    return sorted(files, key=lambda file: (len(file.name.partition(".")[0]), file.name))


def read_block_file(path: Path) -> bytes:
    """A block's JSON, unpacked. Raises ConfigurationError when there is no such file or it can't be read,
    ContractError when it is empty, over 32 MB, or not zstd although its name ends so."""
    try:
        if path.stat().st_size > BLOCK_BYTES:
            raise _too_large(path)
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    if content.startswith(ZSTD_MAGIC):
        content = _unpack(content, path)
    elif path.suffix == ".zst":
        raise ContractError(f"{path} is not zstd, it starts with {content[:8]!r}: pack it, or rename it")
    if not content:
        raise ContractError(f"{path} is empty: write the result of `getblock <hash> 3` into it")
    return content


def headers_of(value: bytes) -> BlockHeader:
    """Hash, height and previous hash of a block's JSON: key and headers of its record on `blocks`.

    The transactions are skipped, not checked. Raises ContractError.
    """
    return decode(HEADER_DECODER, value, "block")


def _unpack(content: bytes, path: Path) -> bytes:
    try:
        size = zstandard.get_frame_parameters(content).content_size
        if size != zstandard.CONTENTSIZE_UNKNOWN and size > BLOCK_BYTES:
            raise _too_large(path)
        return zstandard.ZstdDecompressor().decompress(
            content, max_output_size=BLOCK_BYTES, allow_extra_data=False
        )
    except zstandard.ZstdError as error:
        # Where the frame does not say its size, zstd has one message for "cut off" and for "too large".
        raise ContractError(
            f"{path} is no whole zstd file, or over {BLOCK_BYTES:,} bytes unpacked ({error}): pack it anew"
        ) from None


def _too_large(path: Path) -> ContractError:
    return ContractError(
        f"{path} holds over {BLOCK_BYTES:,} bytes: leave out witness, hex and asm of its transactions"
    )
