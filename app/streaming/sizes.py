"""How large a record may be, whoever sent it: the broker counts compressed bytes, and lets more through."""

from app.errors import ContractError
from app.streaming.record import CORRELATION_ID, MAX_CORRELATION_CHARS, Record

MAX_KEY_BYTES = 64_000
MAX_HEADERS_BYTES = 64_000
"""Names and values of all headers together."""


def check_sizes(record: Record, max_value_bytes: int) -> None:
    """Raises ContractError for a record of which a part is too large to be carried on."""
    headers = sum(len(name) + len(value or b"") for name, value in record.headers.items())
    correlation = len(record.headers.get(CORRELATION_ID) or b"")
    for what, found, most in (
        ("the value", len(record.value or b""), max_value_bytes),
        ("the key", len(record.key or b""), MAX_KEY_BYTES),
        ("all headers together", headers, MAX_HEADERS_BYTES),
        (f"header `{CORRELATION_ID}`", correlation, MAX_CORRELATION_CHARS),
    ):
        if found > most:
            raise ContractError(f"{what}: {found:,} bytes are more than {most:,}: send less in one record")
