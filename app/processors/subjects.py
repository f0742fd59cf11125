"""What metrics say of labelled owners: names of subjects, sums, and how far the labels can be trusted."""

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from math import fsum

from app.model.features import BlockFeatures, EntityFlow

MAX_SUBJECT = 64
NO_LABELS = ("", "none")
"""Versions of the labels that know nobody."""


def subject(entity: str) -> str:
    """An owner's name as a part of a signal's: printable ASCII without `|`, at most 64 characters.

    A name that has to be changed for that ends in six digits of its digest, so that no two become one.
    """
    clean = "".join(char if " " <= char <= "~" and char != "|" else "_" for char in entity)
    if clean == entity.strip() and len(entity) <= MAX_SUBJECT:
        return clean
    return f"{clean[: MAX_SUBJECT - 7].strip()}~{sha256(entity.encode()).hexdigest()[:6]}"


def labelled(features: BlockFeatures) -> bool:
    """Whether addresses were attributed at all."""
    return features.labels not in NO_LABELS


def of_kind(features: BlockFeatures, kind: str) -> list[EntityFlow]:
    """The block's flows of owners of one kind, by name."""
    return [flow for flow in features.entities if flow.kind == kind]


def label_quality(flows: Sequence[EntityFlow], amount: Callable[[EntityFlow], int]) -> float:
    """Mean confidence of the owners' labels, weighted by `amount` (sat); 1 where nothing flows."""
    weights = [amount(flow) for flow in flows]
    total = sum(weights)
    if not total:
        return 1.0
    # fsum: Python 3.12 rounds a sum of floats other than 3.11, and confidences must be the same bits.
    return min(1.0, fsum(f.confidence * w for f, w in zip(flows, weights, strict=True)) / total)


def largest(flows: Iterable[EntityFlow], amount: Callable[[EntityFlow], int], most: int) -> list[EntityFlow]:
    """At most `most` of the flows whose `amount` is not 0: the largest, by name."""
    found = sorted((f for f in flows if amount(f)), key=lambda f: (-amount(f), f.entity))[:most]
    return sorted(found, key=lambda flow: flow.entity)
