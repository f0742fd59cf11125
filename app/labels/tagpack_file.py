"""GraphSense TagPacks: YAML with a list of `tags`, each inheriting the fields of the header.

Format, categories and confidence ids: github.com/graphsense/graphsense-tagpack-tool (`tagpack_schema.yaml`,
`concepts.yaml`, `confidence.csv` below `src/tagpack`).
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from app.errors import ConfigurationError
from app.labels.owners import UNSTATED, Claim, Kind, checked_address, checked_owner

LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

CONFIDENCE = {
    "override": 1.0,
    "ownership": 1.0,
    "ledger_immanent": 1.0,
    "manual_transaction": 0.9,
    "service_api": 0.7,
    "forensic_investigation": 0.7,
    "authority_data": 0.6,
    "trusted_provider": 0.5,
    "service_data": 0.5,
    "forensic": 0.5,
    "untrusted_transaction": 0.4,
    "web_crawl": 0.2,
    "heuristic": 0.1,
    "unknown": 0.05,
}
"""GraphSense's id -> its level / 100, the levels of `confidence.csv`."""
UNSTATED_CONFIDENCE = "unknown"
"""GraphSense's own choice where a tag has none: the lowest."""
KINDS = {"exchange": Kind.EXCHANGE, "miner": Kind.MINER, "mining_service": Kind.MINER}
"""GraphSense's category -> kind; it has none for treasuries, and all others are `other`."""
CURRENCY = "BTC"


def read_tagpack(path: Path, skipped: Counter[str]) -> Iterator[Claim]:
    """Bitcoin addresses of the TagPack; who: the tag's `actor`, else its `label`.

    Tags of other currencies, and of what is no address (a transaction), are counted in `skipped`, by why.
    Raises ConfigurationError with the tag that is wrong.
    """
    document = _load(path)
    nested = document.pop("header", None)
    header = {**document, **nested} if isinstance(nested, dict) else document
    tags = header.pop("tags", None)
    if not isinstance(tags, list):
        raise ConfigurationError(
            f"{path} is no TagPack, it has {', '.join(map(str, header)) or 'nothing'} and no list `tags`: "
            "write the addresses below `tags:`"
        )
    for number, tag in enumerate(tags, 1):
        where = f"{path} tag {number}"
        if not isinstance(tag, dict):
            raise ConfigurationError(f"{where} is {tag!r}: write fields, such as `address: ...`")
        claim = _claim({**header, **tag}, where, skipped)
        if claim:
            yield claim


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            document = yaml.load(file, LOADER)  # noqa: S506 - a safe loader, in C where there is one
    except OSError as error:
        raise ConfigurationError(f"{path} can't be read: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigurationError(f"{path} is no YAML: {_one_line(error)}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{path} is no TagPack, it holds a {type(document).__name__}: write `title:`, `tags:` and so on"
        )
    return document


def _claim(tag: Mapping[str, Any], where: str, skipped: Counter[str]) -> Claim | None:
    currency = tag.get("network", tag.get("currency"))
    if not isinstance(currency, str):
        raise ConfigurationError(f"{where}: currency is {currency!r}: write `currency: {CURRENCY}`")
    if currency.upper() != CURRENCY:
        skipped[f"currency {currency.upper()}"] += 1
        return None
    if "address" not in tag:
        skipped["no address"] += 1
        return None
    owner = checked_owner(
        tag.get("actor") or tag.get("label"),
        _kind(tag),
        tag.get("source") or UNSTATED,
        _confidence(tag.get("confidence", UNSTATED_CONFIDENCE), where),
        where,
    )
    return checked_address(tag["address"], where), owner


def _kind(tag: Mapping[str, Any]) -> Kind:
    concepts = tag.get("concepts")
    for name in [tag.get("category"), *(concepts if isinstance(concepts, list) else [])]:
        if kind := KINDS.get(str(name).lower()):
            return kind
    return Kind.OTHER


def _confidence(name: object, where: str) -> float:
    level = CONFIDENCE.get(name) if isinstance(name, str) else None
    if level is None:
        raise ConfigurationError(f"{where}: confidence is {name!r}: write one of {', '.join(CONFIDENCE)}")
    return level


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
