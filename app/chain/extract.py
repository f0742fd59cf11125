"""Block -> features: every figure the processors use. Pure.

Amounts are integers in satoshi from the first line on. What contradicts itself (a fee that is not inputs
minus outputs, a coinbase that claims more than it may, an input from the future) is refused; what is
merely missing (prevouts) lowers the completeness.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from app.chain.flows import Flows, flows_of
from app.chain.histogram import histogram
from app.errors import ContractError
from app.labels.registry import NO_LABELS, Labels
from app.model.block import BLOCK_DECODER, SATOSHI_PER_BTC, Block, satoshi
from app.model.features import BlockFeatures, Pool, Shape, ShapeSum
from app.model.keys import canonical_symbol
from app.model.wire import decode

HALVING_BLOCKS = 210_000
BLOCKS_PER_DAY = 144
PERCENTILES = (10, 25, 50, 75, 90)
WITNESS_SCALE_FACTOR = 4
"""Weight units a virtual byte."""


def extract(value: bytes | None, *, chain: str, isolated: bool, labels: Labels = NO_LABELS) -> BlockFeatures:
    """Features of a record of `blocks`. Raises ContractError.

    `chain` is the symbol of the block's signals; `isolated` marks a block without its neighbours;
    `labels` say who owns an address.
    """
    symbol = canonical_symbol(chain)
    block = decode(BLOCK_DECODER, value, "block")
    return features_of(block, chain=symbol, isolated=isolated, labels=labels)


def features_of(block: Block, *, chain: str, isolated: bool, labels: Labels = NO_LABELS) -> BlockFeatures:
    """Features of a decoded block. Raises ContractError where it contradicts itself."""
    script = _coinbase_script(block)
    flows = flows_of(block.tx, block.height, labels)
    payouts = sorted(block.tx[0].vout, key=lambda output: output.value, reverse=True)
    addresses = [out.scriptPubKey.address for out in payouts if out.scriptPubKey.address is not None]
    features = BlockFeatures(
        chain=chain,
        height=block.height,
        hash=block.hash,
        previousblockhash=block.previousblockhash,
        time=block.time,
        labels=labels.version,
        isolated=isolated,
        completeness=_share(flows.inputs - flows.inputs_missing, flows.inputs),
        fee_completeness=_share(len(flows.fees_sat), len(block.tx) - 1),
        age_completeness=_share(flows.inputs - flows.inputs_missing - flows.inputs_ageless, flows.inputs),
        tx_count=len(block.tx),
        input_count=flows.inputs,
        output_count=sum([len(tx.vout) for tx in block.tx]),
        weight=block.weight,
        size=block.size,
        total_weight=sum([tx.weight for tx in block.tx[1:]]),
        total_fee_sat=sum(flows.fees_sat),
        subsidy_sat=subsidy_sat(block.height),
        coinbase_value_sat=sum(satoshi(output.value) for output in payouts),
        feerate_percentiles=feerate_percentiles(flows.fees_sat, flows.weights),
        coinbase_script=script,
        payout_addresses=addresses,
        pool=_pool(labels, addresses, script),
        transfer_sat=sum(flows.transfers_sat),
        shapes=_shapes(flows),
        transfers=histogram(flows.transfers_sat),
        large_transfers=sorted(flows.large, key=lambda large: (-large.value_sat, large.txid)),
        entities=flows.entities,
        top_exchange_inflows_sat=flows.top_exchange_inflows_sat,
        aged_sat=flows.aged_sat,
        old_spent_sat=flows.old_spent_sat,
        coin_days_destroyed=flows.coin_blocks_sat / (BLOCKS_PER_DAY * SATOSHI_PER_BTC),
    )
    _check_whole(block, features, flows)
    _check_claim(features)
    return features


def _pool(labels: Labels, payout_addresses: list[str], coinbase_script: str) -> Pool:
    owner, basis = labels.pool_of(payout_addresses, coinbase_script)
    return Pool() if owner is None else Pool(owner.entity, basis, owner.confidence)


def _shapes(flows: Flows) -> dict[Shape, ShapeSum]:
    shapes = dict(flows.shapes)
    if flows.transfers_sat:
        shapes[Shape.TRANSFER] = ShapeSum(len(flows.transfers_sat), sum(flows.transfers_sat))
    return {shape: shapes[shape] for shape in Shape if shape in shapes}


def subsidy_sat(height: int) -> int:
    """New coins of the block at `height`: 50 BTC, halved every 210,000 blocks, nothing from the 33rd on."""
    return (50 * SATOSHI_PER_BTC) >> (height // HALVING_BLOCKS)


def feerate_percentiles(fees_sat: Sequence[int], weights: Sequence[int]) -> list[float]:
    """Fee rates (sat/vB) below or at which 10, 25, 50, 75, 90 % of the weight pays; empty without fees.

    Bitcoin Core's `CalculatePercentilesByWeight`: in order of fee rate, the first transaction with which
    the weight so far reaches the share of the total. Core rounds each fee rate down; these are not
    rounded, and rounded down they are Core's.
    """
    if not fees_sat:
        return []
    rates = [fee * WITNESS_SCALE_FACTOR / weight for fee, weight in zip(fees_sat, weights, strict=True)]
    order = sorted(range(len(rates)), key=rates.__getitem__)
    reached = list(accumulate(map(weights.__getitem__, order)))
    least = (-(-reached[-1] * share // 100) for share in PERCENTILES)
    return [rates[order[bisect_left(reached, weight)]] for weight in least]


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0


def _coinbase_script(block: Block) -> str:
    vin = block.tx[0].vin
    script = vin[0].coinbase
    if script is None or len(vin) != 1:
        raise ContractError(
            f"block {block.height}: the first transaction, {block.tx[0].txid}, is no coinbase: send all "
            "transactions of the block in their order"
        )
    try:
        return bytes.fromhex(script).hex()
    except ValueError:
        raise ContractError(f"block {block.height}: `coinbase` is {script[:80]!r}, not hexadecimal") from None


def _check_whole(block: Block, features: BlockFeatures, flows: Flows) -> None:
    """A cut-off list of transactions, or weights that can't be, make every figure wrong."""
    if block.nTx is not None and block.nTx != len(block.tx):
        raise ContractError(
            f"block {block.height}: `nTx` is {block.nTx} and `tx` has {len(block.tx)} transactions: send all"
        )
    weight = features.total_weight + block.tx[0].weight
    if weight > block.weight:
        raise ContractError(
            f"block {block.height}: `weight` is {block.weight}, less than its transactions' {weight}"
        )
    moved = max(flows.spent_sat, flows.paid_sat + features.coinbase_value_sat)
    if moved > 2**63 - 1:
        raise ContractError(f"block {block.height} moves {moved} sat, more than 64 bits hold")


def _check_claim(features: BlockFeatures) -> None:
    """The coinbase may claim less than subsidy and fees, never more; true of regtest's subsidy as well."""
    allowed = features.subsidy_sat + features.total_fee_sat
    if features.fee_completeness == 1.0 and features.coinbase_value_sat > allowed:
        raise ContractError(
            f"block {features.height}: the coinbase claims {features.coinbase_value_sat} sat, more than "
            f"subsidy and fees, {allowed} sat: send what `getblock <hash> 3` gives"
        )
