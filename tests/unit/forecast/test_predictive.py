"""The processor: what it says of a block, and whose state it continues."""

from collections.abc import Sequence

import msgspec
import pytest

from app.model.features import BlockFeatures
from app.processors.history import History, Past
from app.processors.predictive import PredictiveProcessor
from app.processors.registry import available
from app.processors.run import Enabled, run_processors
from tests.support.fee_market import block, market, scaled

NEXT = [
    "predictive.next_feerate_p25",
    "predictive.next_feerate_p50",
    "predictive.next_feerate_p75",
    "predictive.next_block_p25",
    "predictive.next_block_p75",
    "predictive.next_volatility",
]
SCORES = [
    "predictive.pinball_p25",
    "predictive.pinball_p50",
    "predictive.pinball_p75",
    "predictive.abs_error_p50",
    "predictive.abs_error_block_p25",
    "predictive.abs_error_block_p75",
    "predictive.abs_error_volatility",
    "predictive.coverage_p25_p75",
    "predictive.skill_p50",
    "predictive.skill_block_p25",
    "predictive.skill_block_p75",
    "predictive.skill_volatility",
]


def follow(blocks: Sequence[BlockFeatures], pasts: Sequence[Past] = ()) -> list[Past]:
    """What each block leaves behind, states gone through JSON as in the agents' table."""
    found = list(pasts)
    for features in blocks:
        ran = run_processors(
            [Enabled(PredictiveProcessor(), 60.0)], features, History(found), version=1, correlation_id=None
        )
        assert ran.failures == {}
        found.append(msgspec.json.decode(msgspec.json.encode(ran.past), type=Past))
    return found[len(pasts) :]


def test_it_is_installed() -> None:
    assert available()["predictive"].load() is PredictiveProcessor


def test_the_first_block_has_forecasts_and_the_next_their_scores() -> None:
    first, second, third, *_ = follow(market(3))
    assert list(first.values) == NEXT
    # Volatility of the first block is not known, and so is that of "same as last block" for the second.
    assert list(third.values) == NEXT + SCORES
    assert set(second.values) <= {*NEXT, *SCORES}


def test_scores_by_hand() -> None:
    blocks = market(50)
    pasts = follow(blocks)
    made, scored = pasts[-2].values, pasts[-1].values
    actual = blocks[-1].feerate_percentiles
    assert scored["predictive.abs_error_p50"] == abs(made["predictive.next_feerate_p50"] - actual[2])
    assert scored["predictive.pinball_p50"] == pytest.approx(scored["predictive.abs_error_p50"] / 2)
    low = made["predictive.next_feerate_p25"]
    share = 0.25 if actual[2] >= low else 0.75
    assert scored["predictive.pinball_p25"] == pytest.approx(share * abs(actual[2] - low))
    assert scored["predictive.abs_error_block_p75"] == abs(made["predictive.next_block_p75"] - actual[3])


def test_running_scores_begin_as_plain_means() -> None:
    blocks = market(12)
    pasts = follow(blocks)
    hits, errors, naive = [], [], []
    for made, before, after in zip(pasts, blocks, blocks[1:], strict=False):
        low, middle, high = (made.values[name] for name in NEXT[:3])
        actual = after.feerate_percentiles[2]
        hits.append(low <= actual <= high)
        errors.append(abs(middle - actual))
        naive.append(abs(before.feerate_percentiles[2] - actual))
    last = pasts[-1].values
    assert last["predictive.coverage_p25_p75"] == pytest.approx(sum(hits) / len(hits))
    assert last["predictive.skill_p50"] == pytest.approx(1 - sum(errors) / sum(naive))


def test_metadata_says_what_was_forecast_of_whom() -> None:
    blocks = market(10)
    pasts = follow(blocks[:-1])
    output = PredictiveProcessor().process(blocks[-1], History(pasts))
    found = {metric.name: metric.metadata for metric in output.metrics}
    assert found["predictive.next_feerate_p50"] == {"for_height": blocks[-1].height + 1}
    assert found["predictive.abs_error_p50"] == {
        "forecast": pasts[-1].values["predictive.next_feerate_p50"],
        "actual": blocks[-1].feerate_percentiles[2],
        "last_block": blocks[-2].feerate_percentiles[2],
    }


def test_a_block_out_of_context_has_no_signals() -> None:
    output = PredictiveProcessor().process(market(1)[0], None)
    assert (list(output.metrics), output.state) == ([], None)


def test_after_a_reorganisation_the_parents_state_goes_on() -> None:
    trunk, orphans = market(40), scaled(market(43, seed=4), 9.0)[40:]
    branch = market(43)[40:]
    pasts = follow(trunk)
    orphaned = follow(orphans, pasts)
    assert follow(branch, pasts) == follow(market(43))[40:] != orphaned


def test_a_state_is_not_changed_by_the_blocks_after_it() -> None:
    pasts = follow(market(20))
    before = msgspec.json.encode(pasts)
    follow(market(22)[20:], pasts)
    assert msgspec.json.encode(pasts) == before


def test_a_block_without_fees_between_others() -> None:
    blocks = market(12)
    blocks[6] = block(blocks[6].height, [])
    before, empty, after = follow(blocks)[5:8]
    assert list(empty.values) == NEXT
    assert [empty.values[name] for name in NEXT] == [before.values[name] for name in NEXT]
    assert set(after.values) == {*NEXT, *SCORES}


def test_parameters_are_keyword_arguments() -> None:
    PredictiveProcessor(learning_rate=0.1, half_lives=[4, 40], memory=500)
    with pytest.raises(ValueError, match="half_lives"):
        PredictiveProcessor(half_lives=[40, 4])
