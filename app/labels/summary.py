"""Labels in figures: how many of each type and source, for people and for JSON."""

from collections import Counter
from typing import Any

from app.labels.files import Loaded
from app.labels.registry import Conflict, Kind, Owner


def summary(loaded: Loaded) -> dict[str, Any]:
    """Version, addresses by type and by source (most first), coinbase tags, files, conflicts."""
    labels = loaded.labels
    kinds: Counter[str] = Counter({kind.value: 0 for kind in Kind})
    sources: Counter[str] = Counter()
    for index, count in Counter(labels.by_address.values()).items():
        kinds[labels.owners[index].kind] += count
        sources[labels.owners[index].source] += count
    return {
        "version": labels.version,
        "addresses": len(labels.by_address),
        "coinbase_tags": len(labels.tags),
        "entities": len({owner.entity for owner in labels.owners}),
        "types": dict(kinds),
        "sources": dict(sorted(sources.items(), key=lambda item: (-item[1], item[0]))),
        "files": [
            {"path": str(f.path), "format": f.format, "labels": f.claims, "skipped": dict(f.skipped)}
            for f in loaded.files
        ],
        "conflicts": [conflict_document(conflict) for conflict in loaded.conflicts],
    }


def conflict_document(conflict: Conflict) -> dict[str, Any]:
    """A conflict as JSON has it."""
    return {
        "address": conflict.address,
        "kept": owner_document(conflict.kept),
        "dropped": owner_document(conflict.dropped),
    }


def owner_document(owner: Owner) -> dict[str, Any]:
    """An owner as JSON has it, with the names of the CSV's columns."""
    return {
        "entity": owner.entity,
        "type": owner.kind.value,
        "source": owner.source,
        "confidence": owner.confidence,
    }
