"""What `--from-...` and `--to` ask for, and what they say when it can't be."""

from datetime import UTC, datetime

import pytest

from app.cli.asked import check_alone, read_asked
from app.errors import ConfigurationError, ContractError
from app.replay.asked import Asked, Unit
from tests.support.cli import Cli


def test_offsets_times_and_heights() -> None:
    assert read_asked("earliest", None, None, None) == Asked(Unit.OFFSET, None)
    assert read_asked("3", None, None, "9") == Asked(Unit.OFFSET, 3, 9)
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert read_asked(None, "2026-01-31T12:00:00Z", None, None) == Asked(Unit.TIME, noon)
    assert read_asked(None, None, 5, "5").heights == range(5, 6)
    assert read_asked(None, None, 5, None).heights == range(5, 2**31)
    assert Asked(Unit.OFFSET, 1).heights is None


def test_two_replays_are_the_same_when_what_they_ask_for_is() -> None:
    assert str(read_asked("3", None, None, "9")) == str(read_asked("3", None, None, "9"))
    assert str(read_asked("3", None, None, "9")) != str(read_asked(None, None, 3, "9"))
    assert str(read_asked("3", None, None, None)) == "offset 3 to the end"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((None, None, None, None), "found none"),
        (("1", None, 2, None), "found --from-offset and --from-height"),
        (("soon", None, None, None), "or `earliest`"),
        (("9" * 16, None, None, None), "at most 15 digits"),
        (("3", None, None, "2026-01-31T12:00:00Z"), "--to is '2026-01-31T12:00:00Z'"),
        (("3", None, None, "3"), "--to must be later"),
        ((None, "2026-01-31T12:00:00Z", None, "2026-01-30T12:00:00Z"), "--to must be later"),
        ((None, None, 8, "7"), "--to must be later"),
    ],
)
def test_what_can_not_be_asked_for(
    options: tuple[str | None, str | None, int | None, str], says: str
) -> None:
    with pytest.raises((ConfigurationError, ContractError), match=says):
        read_asked(*options)


def test_options_of_recomputations_alone() -> None:
    check_alone(None, allow_cold=False)
    with pytest.raises(ConfigurationError, match="--warm-up belongs to --recompute"):
        check_alone(0, allow_cold=True)
    with pytest.raises(ConfigurationError, match="--allow-cold belongs to --recompute"):
        check_alone(None, allow_cold=True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from-offset", "0", "--sink", "nonsense"], "there is no sink 'nonsense'"),
        (["--from-offset", "0"], "no Kafka"),
        (["--from-offset", "0", "--recompute", "--sink", "sqlite"], "--sink belongs to"),
        (["--from-offset", "0", "--recompute", "--chain", "btc"], "send 'BTC'"),
        (["--from-time", "noon"], "--from-time is 'noon', not RFC 3339"),
    ],
)
def test_an_error_is_one_line(cli: Cli, arguments: list[str], says: str) -> None:
    result = cli("replay", *arguments)
    assert result.exit_code == 1
    assert says in result.stderr
    assert "Error: " in result.stderr
