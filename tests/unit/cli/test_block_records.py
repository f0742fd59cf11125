"""Records of `blocks` as the producer makes them."""

import re
from pathlib import Path

import pytest

from app.errors import ContractError
from app.sources.files import read_block_file
from app.sources.ingest import Report, Sent, read_block
from app.streaming.topics import BLOCK_BYTES

BLOCK = Path(__file__).parents[2] / "fixtures" / "blocks" / "150013.json.zst"
HASH = "000000000000011f9791dcfdfe0e402b79a165a3b781bafcc918b6f2166d577c"


def test_the_value_is_what_came_and_the_headers_say_what_it_is() -> None:
    value = read_block_file(BLOCK)
    record = read_block(value, "BTC")
    headers = dict(record.headers("c1"))
    assert record.value is value
    assert (record.hash, record.height) == (HASH, 150013)
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT[\d:.]+Z", headers.pop("produced-at"))
    assert headers == {
        "chain": b"BTC",
        "height": b"150013",
        "previousblockhash": b"00000000000006d414b6c22492b1cc5fb56d42645616efe049f3aad7fa589de4",
        "correlation-id": b"c1",
        "content-type": b"application/json",
    }


def test_isolated_is_a_header_only_when_it_is_so() -> None:
    record = read_block(read_block_file(BLOCK), "BTC", isolated=True)
    assert dict(record.headers("c1"))["isolated"] == b"1"


@pytest.mark.parametrize(
    ("value", "chain", "says"),
    [
        (b"{}", "BTC", "missing required field `hash`"),
        (b"not json", "BTC", "not JSON"),
        (b" " * (BLOCK_BYTES + 1), "BTC", "more than 32,000,000"),
        (
            f'{{"hash":"{HASH}","height":"1"}}'.encode(),
            "BTC",
            'Expected `int`, got `str` - at `$.height`, found "1"',
        ),
    ],
)
def test_what_is_no_block_is_refused_with_the_reason(value: bytes, chain: str, says: str) -> None:
    with pytest.raises(ContractError, match=re.escape(says)):
        read_block(value, chain)


def test_a_report_sums_up_offsets_by_partition() -> None:
    sent = [Sent("x", "h", "c", partition, offset) for partition, offset in ((1, 5), (0, 2), (1, 3), (1, 4))]
    assert Report(sent).ranges() == {0: (1, 2, 2), 1: (3, 3, 5)}
