"""The table of labels that blocks are attributed by, and how claims of several sources become one.

The same claims give the same labels, conflicts and version, in whatever order they come.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Literal, NamedTuple

from xxhash import xxh3_64_intdigest, xxh3_128_hexdigest, xxh3_128_intdigest

from app.labels.builtin import builtin_claims
from app.labels.owners import Claim, Kind, Owner

__all__ = ["NO_LABELS", "Basis", "Conflict", "Kind", "Labels", "Merged", "Owner", "builtin_labels", "merge"]

Basis = Literal["address", "tag", "none"]
"""What told the pool: a payout address, a tag in the coinbase, or nothing did."""
VERSION_DIGITS = 12


@dataclass(frozen=True, slots=True)
class Labels:
    """Who owns an address; never changed once built."""

    owners: tuple[Owner, ...] = ()
    """Each once, sorted."""
    by_address: dict[str, int] = field(default_factory=dict)
    """Address -> index into `owners`: a plain dictionary, for hot loops. Read only."""
    tags: tuple[tuple[bytes, int], ...] = ()
    """Text that pools leave in coinbases, and index into `owners`; the longest first."""
    version: str = "none"
    """Short hex digest of the content; `none` where there is none."""

    def find(self, address: str) -> Owner | None:
        """The owner of `address`, where one is known."""
        index = self.by_address.get(address)
        return None if index is None else self.owners[index]

    def pool_of(
        self, payout_addresses: Sequence[str], coinbase_script_hex: str
    ) -> tuple[Owner | None, Basis]:
        """Who found a block, and what told: the first payout address of a miner, else the longest tag.

        Only miners count: a pool that pays out to an exchange's address isn't that exchange. An address
        goes before a tag, as anybody can write a tag. Raises ValueError where the script isn't hex.
        """
        for address in payout_addresses:
            owner = self.find(address)
            if owner is not None and owner.kind is Kind.MINER:
                return owner, "address"
        script = bytes.fromhex(coinbase_script_hex)
        for tag, index in self.tags:
            if tag in script:
                return self.owners[index], "tag"
        return None, "none"


NO_LABELS = Labels()


class Conflict(NamedTuple):
    """Two sources name different owners of one address (or coinbase tag: `tag '/AntPool/'`)."""

    address: str
    kept: Owner
    dropped: Owner


class Merged(NamedTuple):
    """Labels, and what was decided on the way to them."""

    labels: Labels
    conflicts: tuple[Conflict, ...]
    """By address; none where two sources name the same entity, even if one is surer than the other."""


def merge(*sources: Iterable[Claim]) -> Merged:
    """One owner an address: the one claimed with the highest confidence.

    At equal confidence, the first by source, then by entity, then by kind, in the order of their
    characters. Raises what the sources raise while they are read.
    """
    table = _Table()
    for claims in sources:
        for key, owner in claims:
            table.add(key, owner)
    return table.finish()


@cache
def builtin_labels() -> Labels:
    """The public facts that come with the product, without any file."""
    return merge(builtin_claims()).labels


@dataclass(slots=True)
class _Table:
    owners: list[Owner] = field(default_factory=list)
    indexes: dict[Owner, int] = field(default_factory=dict)
    kept: dict[str | bytes, int] = field(default_factory=dict)
    dropped: set[tuple[str | bytes, int]] = field(default_factory=set)
    """Every claim that lost: whether it contradicts what is kept is known at the end."""

    def add(self, key: str | bytes, owner: Owner) -> None:
        index = self.indexes.get(owner)
        if index is None:
            index = self.indexes[owner] = len(self.owners)
            self.owners.append(owner)
        held = self.kept.setdefault(key, index)
        if held == index:
            return
        if _rank(owner) < _rank(self.owners[held]):
            self.kept[key] = index
            index = held
        self.dropped.add((key, index))

    def finish(self) -> Merged:
        conflicts = sorted(
            Conflict(_shown(key), kept, self.owners[index])
            for key, index in self.dropped
            if _contradict(kept := self.owners[self.kept[key]], self.owners[index])
        )
        return Merged(self._labels(), tuple(conflicts))

    def _labels(self) -> Labels:
        if not self.kept:
            return NO_LABELS
        owners, place = self._sorted_owners()
        tags = sorted((key for key in self.kept if isinstance(key, bytes)), key=lambda tag: (-len(tag), tag))
        tagged = tuple((tag, place[self.kept.pop(tag)]) for tag in tags)
        addresses: dict[str, int] = self.kept  # type: ignore[assignment]  # only addresses are left
        for address, index in addresses.items():
            addresses[address] = place[index]
        return Labels(owners, addresses, tagged, _version(owners, addresses, tagged))

    def _sorted_owners(self) -> tuple[tuple[Owner, ...], list[int]]:
        """Owners of anything, in order; and by index into `self.owners`, the index into those."""
        used = sorted(set(self.kept.values()), key=self.owners.__getitem__)
        place = [-1] * len(self.owners)
        for index, before in enumerate(used):
            place[before] = index
        return tuple([self.owners[index] for index in used]), place


def _shown(key: str | bytes) -> str:
    return key if isinstance(key, str) else f"tag {key.decode(errors='backslashreplace')!r}"


def _rank(owner: Owner) -> tuple[float, str, str, str]:
    """The smallest wins."""
    return (-owner.confidence, owner.source, owner.entity, owner.kind)


def _contradict(one: Owner, other: Owner) -> bool:
    """Whether they can't both be right; `other` as a kind says no more than that it isn't known."""
    if one.entity.casefold() != other.entity.casefold():
        return True
    return one.kind is not other.kind and Kind.OTHER not in (one.kind, other.kind)


def _version(owners: Sequence[Owner], addresses: dict[str, int], tags: Sequence[tuple[bytes, int]]) -> str:
    """A sum of digests, one a label: no order, and no need to sort a million addresses."""
    seeds = [xxh3_64_intdigest("\0".join(map(str, owner)).encode()) for owner in owners]
    total = 0
    for address, index in addresses.items():
        total += xxh3_128_intdigest(address.encode(), seeds[index])
    for tag, index in tags:
        total += xxh3_128_intdigest(b"\0" + tag, seeds[index])
    return xxh3_128_hexdigest(str(total).encode())[:VERSION_DIGITS]
