"""The public facts that come with the product: pools, well-known exchanges, treasuries."""

from collections.abc import Iterator
from importlib.resources import files
from itertools import chain

from app.labels.csv_file import read_csv
from app.labels.owners import Claim
from app.labels.pools_file import read_pools


def builtin_claims() -> Iterator[Claim]:
    """All of them; where they are from stands in the data files."""
    data = files("app.labels") / "data"
    return chain(read_csv(data / "addresses.csv"), read_pools(data / "pools.json"))
