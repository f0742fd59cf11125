"""What a transaction looks like: a payment, coins moved among one's own, swept together, or mixed. Pure.

Rules of thumb, as nobody writes intentions into a block; each with where it comes from:

- *Self-transfer*: every output goes to an owner of an input (same address, or the same labelled owner).
- *CoinJoin*: at least 5 outputs of one value, each to an address of its own, and inputs from at least as
  many addresses. That every equal output needs a participant with an input of their own is the rule of
  BlockSci (Kalodner et al., "BlockSci: Design and applications of a blockchain analysis platform", USENIX
  Security 2020, `isCoinjoin`); 5 is the number of Whirlpool's equal outputs, its round being the smallest
  of the common mixers' (Wasabi 1.x has dozens). Transactions that spend a labelled owner's coins are none:
  exchanges pay equal amounts, too.
- *Consolidation*: one or two outputs, and at least 5 inputs to each: the ratio from which mempool.space's
  explorer calls a transaction a consolidation (`backend/src/api/common.ts`).
"""

from collections import Counter
from collections.abc import Container, Set

from app.model.block import Tx
from app.model.features import Shape

MIN_PARTICIPANTS = 5
INPUTS_TO_AN_OUTPUT = 5
MAX_OUTPUTS = 2
"""Of a consolidation: the second is change, or who is paid by the way."""
MIN_INPUTS = min(MIN_PARTICIPANTS, INPUTS_TO_AN_OUTPUT)
"""With fewer, a transaction can only be a transfer, or a self-transfer."""


def shape_of(tx: Tx, owners: Set[str | None], labelled: Container[str | None]) -> Shape:
    """Shape of a transaction that moves something; `owners` are its inputs' addresses.

    `labelled`: addresses whose owner is known.
    """
    if _mixes(tx, owners, labelled):
        return Shape.COINJOIN
    if len(tx.vout) <= MAX_OUTPUTS and len(tx.vin) >= INPUTS_TO_AN_OUTPUT * len(tx.vout):
        return Shape.CONSOLIDATION
    return Shape.TRANSFER


def _mixes(tx: Tx, owners: Set[str | None], labelled: Container[str | None]) -> bool:
    if min(len(tx.vout), len(owners)) < MIN_PARTICIPANTS:
        return False
    value, equal = Counter(output.value for output in tx.vout if output.value).most_common(1)[0]
    if not MIN_PARTICIPANTS <= equal <= len(owners):
        return False
    places = {output.scriptPubKey.address for output in tx.vout if output.value == value}
    return len(places) == equal and not any(owner in labelled for owner in owners)
