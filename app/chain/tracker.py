"""Which blocks are the chain, in which order: heights, gaps, reorganisations. Pure.

Blocks come in any order. A block whose parent is known and attached is attached behind it. Another one is
held: its parent may be on its way in another partition. Once nothing has come for a while, or too many
wait, the gap is passed: the lowest that waits is attached to the block below the gap. A block that comes
after that is put where it belongs, and what follows it is computed again.

The chain is the longest attached branch; of two equally long ones, the one that was there first.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from app.errors import ContractError

REACH = 1200
"""Heights below the tip in which blocks can be put."""
KEEP = REACH + 1008
"""Heights below the tip that are kept: the lowest block that can be put needs the longest window below it."""
FORGET_EVERY = 100
MAX_JUMP = 100_000
"""Heights (two years): what is further above the tip is no block of this chain."""
CONFIRMATIONS = 6
"""Blocks that must stand on one before a gap longer than `REACH` below it is passed: a stray block must
not end the chain."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a gap is waited for."""

    wait_ms: int = 10_000
    """Without any block of the chain; while blocks come, the missing one may be among them."""
    blocks: int = 2000
    """Most that wait: a backlog is read partition by partition, many may come before one in another."""
    begin: int = 0
    """Height of the chain's first block: nothing is waited for below it."""


PATIENCE = Patience()


class Node(msgspec.Struct, omit_defaults=True):
    """A block's place. Attached: `link` is its predecessor's hash, or it has none (`first`)."""

    height: int
    hash: str
    parent: str | None = None
    """`previousblockhash`."""
    link: str | None = None
    missing: int = 0
    """Heights between it and its predecessor that have not come."""
    first: bool = False
    """The chain's lowest block."""

    @property
    def attached(self) -> bool:
        """Whether its predecessor is settled."""
        return self.first or self.link is not None


@dataclass(slots=True)
class Plan:
    """What an event asks for."""

    retract: list[str] = field(default_factory=list)
    """Hashes that have left the chain, highest first."""
    apply: list[str] = field(default_factory=list)
    """Hashes to compute, in order: new on the chain, or with another history than before."""
    again: str | None = None
    """A block of the chain that came again."""
    touched: list[Node] = field(default_factory=list)
    """Nodes that changed without being computed: held ones, and blocks of other branches."""
    passed: int = 0
    """Heights that were given up."""
    undo: list[Node] = field(default_factory=list)
    """Nodes that were there before, as they were, where they have another place now."""
    too_late: bool = False
    """The block is further below the tip than blocks are kept: it can only be taken by itself."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A gap: heights `first` to `last` are missing below the block whose parent is `hash`."""

    first: int
    last: int
    hash: str | None


Step = tuple[str | None, int]
"""Predecessor, and the gap above it."""
Place = tuple[str | None, int, bool]
"""Link, missing and first of a node."""


class Tracker:
    """The tree of a chain's blocks within reach, and which branch is the chain."""

    def __init__(
        self,
        nodes: Iterable[Node] = (),
        tip: str | None = None,
        since_ms: int = 0,
        patience: Patience = PATIENCE,
        *,
        resolved: int = 0,
    ) -> None:
        self.nodes = {node.hash: node for node in nodes}
        self.tip = tip
        self.resolved = resolved
        """Version of the tick that has found that the lowest gap was waited for long enough; the next one
        passes it. Decided by the clock, so it must be remembered before anything is done: after a crash the
        clock would say something else, and earlier ticks come again."""
        self.patience = patience
        self._clock_ms = 0
        """The last tick's time."""
        self.since_ms = since_ms
        """When the last block came (the broker's time)."""
        self._children: dict[str, list[str]] = {}
        for node in self.nodes.values():
            self._add_child(node)
        for node in list(self.nodes.values()):
            if node.attached:
                self._attach_above(node)
        self._choose_tip()

    @property
    def height(self) -> int:
        """The tip's; -1 before the chain has begun."""
        return self.nodes[self.tip].height if self.tip else -1

    @property
    def waiting(self) -> bool:
        """Whether time alone may change something."""
        return self._next_to_pass() is not None

    def path(self, tip: str | None = None) -> Iterator[Node]:
        """Blocks of the chain (or of the branch that ends in `tip`), highest first."""
        at = self.nodes.get(tip or self.tip or "")
        while at is not None:
            yield at
            at = self.nodes.get(at.link or "")

    def arrive(self, height: int, hash: str, parent: str | None, now_ms: int) -> Plan:  # noqa: A002
        """A block came. Raises ContractError for one that can't be of this chain."""
        known = self.nodes.get(hash)
        if known is not None:
            return Plan(again=hash if known.attached and self._is_active(known) else None)
        if self.tip and height > self.height + MAX_JUMP:
            raise ContractError(
                f"height {height} is {height - self.height:,} above the chain's tip ({self.height}): not a "
                f"block of this chain; for another one set another `chain`, or use another namespace"
            )
        self._check_parent(height, hash, parent)
        if self.tip and height <= self.height - REACH:
            return Plan(too_late=True)
        self.since_ms = max(now_ms, self._clock_ms)  # a backlog's records are old
        self.resolved = 0
        node = Node(height, hash, parent)
        if parent is not None and parent == self.tip and hash not in self._children:
            return self._extend(node)
        before, places = self._steps(), self._places()
        self.nodes[hash] = node
        self._add_child(node)
        self._place(node)
        passed = self._pass_lowest() if self._held_count() > self.patience.blocks else 0
        plan = self._settle(before, places)
        plan.passed = passed
        if hash not in plan.apply:
            plan.touched.append(node)
        return plan

    def _check_parent(self, height: int, hash: str, parent: str | None) -> None:  # noqa: A002
        """Heights rise by one from parent to child, or links would lead in circles."""
        known = self.nodes.get(parent or "")
        children = [self.nodes[child] for child in self._children.get(hash, ())]
        if (known and known.height != height - 1) or any(c.height != height + 1 for c in children):
            beside = known or children[0]
            raise ContractError(
                f"height {height} of block {hash} contradicts block {beside.hash} at {beside.height}, its "
                f"{'parent' if known else 'child'}: send what `getblock <hash> 3` gives"
            )
        if parent == hash or (height == 0 and parent):
            raise ContractError(f"block {hash} at {height} can't have the parent {parent}")

    def _extend(self, node: Node) -> Plan:
        """The usual case: the next block of the chain, and nothing waits for it."""
        node.link, self.tip = node.parent, node.hash
        self.nodes[node.hash] = node
        self._add_child(node)
        return Plan(apply=[node.hash])

    def tick(self, now_ms: int, version: int) -> Plan:
        """Time has passed: the first tick after the patience resolves to pass a gap, the next one does."""
        first, self._clock_ms = not self._clock_ms, now_ms
        if self.resolved:
            return self.give_up() if version > self.resolved else Plan()
        if first:  # since the start: how long nobody looked is no waiting time
            self.since_ms = now_ms
        if self.waiting and now_ms - self.since_ms >= self.patience.wait_ms:
            self.resolved = version
        return Plan()

    def give_up(self) -> Plan:
        """Pass the lowest gap without waiting any longer."""
        self.resolved = 0
        before, places = self._steps(), self._places()
        passed = self._pass_lowest()
        plan = self._settle(before, places)
        plan.passed = passed
        return plan

    def redo(self, hash: str) -> Plan:  # noqa: A002
        """Compute a block of the chain, and what is built on it, once more."""
        above = takewhile(lambda node: node.hash != hash, self.path())
        return Plan(apply=[hash, *[node.hash for node in above][::-1]])

    def forget(self) -> list[Node]:
        """Blocks out of reach, now and then; the lowest that stay keep links that lead nowhere."""
        if len(self.nodes) <= KEEP + FORGET_EVERY:
            return []
        old = [node for node in self.nodes.values() if node.height <= self.height - KEEP]
        for node in old:
            del self.nodes[node.hash]
            self._children.pop(node.hash, None)
            siblings = self._children.get(node.parent or "")
            if siblings and node.hash in siblings:
                siblings.remove(node.hash)
        return old

    def wanted(self) -> list[Wanted]:
        """Gaps that somebody may fill: below blocks that wait, lowest first."""
        found = []
        for node in self._roots_of_held():
            below = max((n.height for n in self.path() if n.height < node.height), default=node.height - 2)
            found.append(Wanted(min(below + 1, node.height - 1), node.height - 1, node.parent))
        return sorted(found, key=lambda gap: gap.first)

    def _place(self, node: Node) -> None:
        """Attach it where that is certain: behind its parent, at height 0, or below a passed gap."""
        parent = self.nodes.get(node.parent or "")
        above = [self.nodes[child] for child in self._children.get(node.hash, ())]
        behind_gap = next((child for child in above if child.attached), None)
        if parent is not None and parent.attached:
            node.link = parent.hash
        elif node.height == self.patience.begin and not any(n.height < node.height for n in self.path()):
            node.first = True
        elif behind_gap is not None:
            self._put_into_gap(node, behind_gap)
        else:
            return
        self._attach_above(node)

    def _put_into_gap(self, node: Node, above: Node) -> None:
        """`above` was attached across a gap; `node` is the upper end of it, or lies within it.

        Its own parent is not known, so it stands on the highest block that can be below it.
        """
        lowest = above.height - above.missing - 1
        below = (
            next((n for n in self.path(above.link) if n.height < node.height - 1), None)
            if above.link
            else None
        )
        if below is not None:
            node.link, node.missing = below.hash, node.height - below.height - 1
        elif above.link is not None and lowest < node.height:  # leads out of reach
            node.link, node.missing = above.link, node.height - lowest - 1
        else:
            node.first = True
        above.link, above.missing, above.first = node.hash, above.height - node.height - 1, False

    def _attach_above(self, node: Node) -> None:
        """Children that waited for it, or that were attached across the gap it has closed."""
        stack = [node]
        while stack:
            at = stack.pop()
            for child in map(self.nodes.__getitem__, self._children.get(at.hash, ())):
                if child.link != at.hash:
                    child.link, child.missing, child.first = at.hash, 0, False
                    stack.append(child)

    def _pass_lowest(self) -> int:
        """Give up what is missing below the lowest block that waits; how many heights that is."""
        node = self._next_to_pass()
        if node is None:
            return 0
        above = self._gap_around(node)
        if above is not None:
            self._put_into_gap(node, above)
        else:
            self._attach_across(node)
        self._attach_above(node)
        return node.missing

    def _attach_across(self, node: Node) -> None:
        """To the highest block of the chain that can be its predecessor; its parent is not known."""
        below = next((n for n in self.path() if n.height < node.height - 1), None)
        if below is None:
            node.first = True
        else:
            node.link, node.missing = below.hash, node.height - below.height - 1

    def _next_to_pass(self) -> Node | None:
        """The lowest block that waits and matters: above the tip, or within a gap that was passed."""
        for node in sorted(self._roots_of_held(), key=lambda node: (node.height, node.hash)):
            if self._reach(node) > self.height or self._gap_around(node) is not None:
                return node if self._is_plausible(node) else None
        return None

    def _is_plausible(self, node: Node) -> bool:
        """A stray block far above the chain is none of it, until others stand on it."""
        far = self.tip is not None and node.height > self.height + REACH
        return not far or self._reach(node) >= node.height + CONFIRMATIONS

    def _gap_around(self, node: Node) -> Node | None:
        """The block of the chain above the gap that the height lies in."""
        for at in self.path():
            if at.height <= node.height:
                return None
            if at.height - at.missing <= node.height or (at.first and at.height > node.height):
                return at
        return None

    def _reach(self, node: Node) -> int:
        """Greatest height of what stands on it."""
        highest, stack = node.height, [node.hash]
        while stack:
            for child in self._children.get(stack.pop(), ()):
                highest = max(highest, self.nodes[child].height)
                stack.append(child)
        return highest

    def _roots_of_held(self) -> list[Node]:
        """Blocks that wait and whose parent is not there."""
        return [n for n in self.nodes.values() if not n.attached and (n.parent or "") not in self.nodes]

    def _held_count(self) -> int:
        return sum(not node.attached for node in self.nodes.values())

    def _is_active(self, node: Node) -> bool:
        return any(at.hash == node.hash for at in self.path())

    def _steps(self) -> dict[str, Step]:
        """The chain as hash -> (predecessor, gap)."""
        return {node.hash: (node.link, node.missing) for node in self.path()}

    def _places(self) -> dict[str, Place]:
        """Of all nodes."""
        return {node.hash: (node.link, node.missing, node.first) for node in self.nodes.values()}

    def _changed(self, places: Mapping[str, Place]) -> list[Node]:
        """Nodes whose place is another now, as they were."""
        found = []
        for hash_, place in places.items():
            node = self.nodes[hash_]
            if place != (node.link, node.missing, node.first):
                found.append(Node(node.height, hash_, node.parent, *place))
        return found

    def _settle(self, before: Mapping[str, Step], places: Mapping[str, Place]) -> Plan:
        """Choose the tip anew, and say what differs from before."""
        self._choose_tip()
        plan = Plan()
        now = list(self.path())
        changed = False
        for node in reversed(now):
            changed = changed or before.get(node.hash) != (node.link, node.missing)
            if changed:
                plan.apply.append(node.hash)
        kept = {node.hash for node in now}
        plan.retract = [hash_ for hash_ in before if hash_ not in kept]
        plan.undo = self._changed(places)
        return plan

    def _choose_tip(self) -> None:
        """The highest attached block; of several, the one that is the tip already, else one that does not
        depend on the order they came in: after a restart nobody knows it."""
        attached = (node for node in self.nodes.values() if node.attached)
        highest = min(attached, key=lambda node: (-node.height, node.hash), default=None)
        if highest is not None and highest.height > self.height:
            self.tip = highest.hash

    def _add_child(self, node: Node) -> None:
        if node.parent is not None:
            self._children.setdefault(node.parent, []).append(node.hash)
