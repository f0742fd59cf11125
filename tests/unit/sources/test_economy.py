"""The simulated economy: coins that add up, and books that agree with the blocks they describe."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from app.chain.extract import extract, subsidy_sat
from app.errors import ConfigurationError
from app.labels.csv_file import read_csv
from app.model.block import BLOCK_DECODER, Block, Tx, satoshi
from app.sources.economy import EconomyScenario, labels_csv, simulate_flows
from app.sources.simulated.actors import IS_EXCHANGE, OUTSIDE
from app.sources.simulated.coins import MATURITY, YEAR_BLOCKS
from app.sources.simulated.transfers import AWKWARD
from app.sources.simulated.truth import BlockTruth, EntityTruth, TxTruth
from app.sources.simulator import CHAIN

ECONOMY = EconomyScenario(
    seed=3, blocks=180, reorgs=8, max_depth=4, equal_times=6, empty=4, full=4, transactions=(4, 40)
)
OWNERS = {label.address: label.entity for label in ECONOMY.labels}
BLOCKS = {block.hash: block for block in map(BLOCK_DECODER.decode, ECONOMY.perfect())}
MAIN = [BLOCKS[truth.hash] for truth in ECONOMY.main_truth]

Key = tuple[str, int]
Output = tuple[int, str | None, int, bool]
"""Value (sat), address, height, whether a coinbase made it."""


def outputs_of(block: Block) -> dict[Key, Output]:
    return {
        (tx.txid, n): (satoshi(o.value), o.scriptPubKey.address, block.height, number == 0)
        for number, tx in enumerate(block.tx)
        for n, o in enumerate(tx.vout)
    }


def branch(block: Block | None) -> list[Block]:
    """All blocks up to `block`, lowest first."""
    found: list[Block] = []
    while block is not None:
        found.append(block)
        block = BLOCKS.get(block.previousblockhash or "")
    return found[::-1]


def raw_inputs(value: bytes) -> list[list[Key]]:
    txs = orjson.loads(value)["tx"]
    return [[(i["txid"], i["vout"]) for i in tx["vin"] if "txid" in i] for tx in txs]


RAW = {truth: raw_inputs(value) for truth, value in zip(BLOCKS, ECONOMY.perfect(), strict=True)}


def replay(blocks: list[Block]) -> dict[Key, Output]:
    """Unspent outputs after `blocks`; every input is looked up among those before it."""
    unspent: dict[Key, Output] = {
        (c.txid, c.n): (c.value_sat, c.address, c.height, False) for c in ECONOMY.opening_coins
    }
    for block in blocks:
        made = outputs_of(block)
        for tx, keys in zip(block.tx, RAW[block.hash], strict=True):
            for key, txin in zip(keys, tx.vin if keys else [], strict=True):
                value, address, height, generated = unspent.pop(key)
                assert txin.prevout is not None
                found = satoshi(txin.prevout.value), txin.prevout.scriptPubKey.address, txin.prevout.height
                assert found == (value, address, height)
                assert not generated or block.height - height >= MATURITY
            unspent |= {(tx.txid, n): made[tx.txid, n] for n in range(len(tx.vout))}
    return unspent


def tips() -> list[Block]:
    parents = {block.previousblockhash for block in BLOCKS.values()}
    return [block for block in BLOCKS.values() if block.hash not in parents]


def test_every_input_spends_an_output_that_is_there_on_every_branch() -> None:
    assert len(tips()) > 4
    for tip in tips():
        replay(branch(tip))


def test_balances_are_what_the_coins_add_up_to_on_every_branch() -> None:
    for tip in tips():
        held: Counter[str] = Counter()
        for value, address, _, _ in replay(branch(tip)).values():
            held[OWNERS.get(address or "", OUTSIDE)] += value
        assert ECONOMY.truth[tip.hash].balances_sat == held


def test_balances_change_by_what_is_written_down() -> None:
    before = ECONOMY.opening_balances_sat
    for truth in ECONOMY.main_truth:
        after = truth.balances_sat
        assert sum(after.values()) - sum(before.values()) == truth.subsidy_sat
        for name in set(after) - {OUTSIDE}:
            entity = truth.entities.get(name, EntityTruth())
            assert after[name] - before[name] == entity.balance_change_sat
        before = after


def test_everything_adds_up_in_every_transaction() -> None:
    for truth in ECONOMY.truth.values():
        coinbase, *others = truth.transactions
        assert sum(coinbase.deltas_sat.values()) == truth.subsidy_sat + truth.fee_sat
        assert all(sum(tx.deltas_sat.values()) + tx.fee_sat == 0 for tx in others)
        assert all(tx.fee_sat >= 0 for tx in truth.transactions)


def test_the_books_agree_with_the_blocks() -> None:
    for block in BLOCKS.values():
        truth = ECONOMY.truth[block.hash]
        assert [tx.txid for tx in truth.transactions] == [tx.txid for tx in block.tx]
        for tx, book in zip(block.tx, truth.transactions, strict=True):
            assert deltas_of(tx) == {name: delta for name, delta in book.deltas_sat.items() if delta}
            assert old_of(tx, block.height) == {name: old for name, old in book.old_spent_sat.items() if old}


def deltas_of(tx: Tx) -> dict[str, int]:
    found: Counter[str] = Counter()
    for output in tx.vout:
        found[OWNERS.get(output.scriptPubKey.address or "", OUTSIDE)] += satoshi(output.value)
    for txin in tx.vin:
        if txin.prevout:
            found[OWNERS.get(txin.prevout.scriptPubKey.address or "", OUTSIDE)] -= satoshi(txin.prevout.value)
    return {name: delta for name, delta in found.items() if delta}


def old_of(tx: Tx, height: int) -> dict[str, int]:
    found: Counter[str] = Counter()
    for txin in tx.vin:
        if txin.prevout and txin.prevout.height is not None and height - txin.prevout.height > YEAR_BLOCKS:
            owner = OWNERS.get(txin.prevout.scriptPubKey.address or "", OUTSIDE)
            found[owner] += satoshi(txin.prevout.value)
    return dict(found)


def test_coins_that_stay_with_exchanges_neither_come_in_nor_go_out() -> None:
    for truth in ECONOMY.truth.values():
        inflow = outflow = inside = 0
        for tx in truth.transactions:
            nets = [delta for name, delta in tx.deltas_sat.items() if name in IS_EXCHANGE]
            gained, lost = sum(d for d in nets if d > 0), -sum(d for d in nets if d < 0)
            inside += min(gained, lost)
            inflow += gained - min(gained, lost)
            outflow += lost - min(gained, lost)
        assert truth.exchanges == (inflow, outflow, inside)
        assert sum(e.internal_out_sat for e in truth.entities.values()) == inside
    assert sum(truth.exchanges.internal_sat > 0 for truth in ECONOMY.main_truth) > 50


def test_an_internal_transfer_by_hand() -> None:
    deltas = {"Northgate": -100, "Kestrel": -50, "Bluewater": 61, "Ostara": 30, "Luxor": 40, OUTSIDE: 10}
    tx = TxTruth("t", "x", deltas, 9, {})
    found = BlockTruth(1, "h", 0, (tx,), {}).entities
    assert found["Northgate"] == EntityTruth(-100, 0, 39, 0, 61)
    assert found["Kestrel"] == EntityTruth(-50, 0, 20, 0, 30)
    assert found["Bluewater"] == EntityTruth(61, 0, 0, 61, 0)
    assert found["Luxor"] == EntityTruth(40, 40, 0, 0, 0)
    assert OUTSIDE not in found


def test_all_blocks_are_valid_and_claim_exactly() -> None:
    for value in ECONOMY.perfect():
        found = extract(value, chain=CHAIN, isolated=False)
        assert found.coinbase_value_sat == found.subsidy_sat + found.total_fee_sat
        assert found.total_fee_sat == ECONOMY.truth[found.hash].fee_sat
        assert found.subsidy_sat == subsidy_sat(found.height)


def test_every_awkward_transfer_is_there() -> None:
    purposes = Counter(tx.purpose for truth in ECONOMY.main_truth for tx in truth.transactions)
    assert {transfer.__name__ for transfer in AWKWARD} <= set(purposes)
    assert min(purposes.values()) >= 5


def txs_for(purpose: str) -> list[tuple[Block, Tx, TxTruth]]:
    pairs = [(block, ECONOMY.truth[block.hash]) for block in MAIN]
    return [
        (block, tx, book)
        for block, truth in pairs
        for tx, book in zip(block.tx, truth.transactions, strict=True)
        if book.purpose == purpose
    ]


def test_consolidations_and_own_transfers_cost_only_the_fee() -> None:
    for purpose in ("consolidation", "own_transfer"):
        for _, tx, book in txs_for(purpose):
            assert list(book.deltas_sat.values()) == [-book.fee_sat]
            assert len(tx.vin) == 50 or purpose == "own_transfer"


def test_coinjoins_have_equal_outputs_to_as_many_addresses() -> None:
    for _, tx, _ in txs_for("coinjoin"):
        value, count = Counter(output.value for output in tx.vout).most_common(1)[0]
        assert count >= 5
        assert len({o.scriptPubKey.address for o in tx.vout if o.value == value}) == count
        assert len({i.prevout.scriptPubKey.address for i in tx.vin if i.prevout}) >= count


def test_treasuries_spend_coins_older_than_a_year() -> None:
    for block, tx, book in txs_for("treasury_sells_old_coins"):
        heights = [i.prevout.height for i in tx.vin if i.prevout and i.prevout.height]
        assert min(block.height - height for height in heights) > YEAR_BLOCKS
        assert sum(book.old_spent_sat.values()) > 0


def test_several_entities_spend_in_one_transaction() -> None:
    spenders = [
        {OWNERS.get(i.prevout.scriptPubKey.address or "") for i in tx.vin if i.prevout} - {None}
        for _, tx, _ in txs_for("several_pay")
    ]
    assert max(map(len, spenders)) >= 3
    assert any(len(found & IS_EXCHANGE) >= 2 for found in spenders)


def test_change_goes_back_in_most_payments() -> None:
    pays = txs_for("between_exchanges")
    change = [tx for _, tx, _ in pays if len(tx.vout) == 2]
    assert len(change) > len(pays) / 2


def test_an_exchange_that_gets_back_what_it_spends_has_no_flow() -> None:
    for _, _, book in txs_for("even_exchange"):
        assert 0 in [delta for name, delta in book.deltas_sat.items() if name in IS_EXCHANGE]


def test_the_tree_is_the_scenarios() -> None:
    assert all(after.previousblockhash == before.hash for before, after in pairwise(MAIN))
    assert len(BLOCKS) == len(ECONOMY.main) + len(ECONOMY.orphans)
    assert len(ECONOMY.reorganisations) > 3
    assert set(ECONOMY.disturbed(1)) == set(ECONOMY.perfect())
    assert sum(len(block.tx) == 1 for block in MAIN) >= 4
    assert sum(after.time == before.time for before, after in pairwise(MAIN)) >= 6
    times = {block.height: block.time for block in MAIN}
    lost = [block for block in BLOCKS.values() if block not in MAIN]
    assert 0 < sum(times[block.height] == block.time for block in lost) < len(lost)


def test_the_labels_are_a_file_that_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text(labels_csv())
    claims = {address: owner.entity for address, owner in read_csv(file)}
    assert claims == OWNERS
    payouts = {block.tx[0].vout[0].scriptPubKey.address for block in MAIN}
    assert payouts <= set(claims)


def test_the_same_seed_gives_the_same_blocks_and_books() -> None:
    one, same, other = (simulate_flows(3, seed) for seed in (1, 1, 2))
    assert one.main == same.main != other.main
    assert one.main_truth == same.main_truth != other.main_truth


def test_too_low_a_start_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="start_height"):
        simulate_flows(3, 1, start_height=1000)


def test_an_economy_may_have_a_thousand_blocks() -> None:
    assert len(EconomyScenario(9, 1000, reorgs=40, transactions=(2, 20)).perfect()) > 1040
