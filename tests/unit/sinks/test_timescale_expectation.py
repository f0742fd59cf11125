"""The guess whether a write holds new keys only."""

from app.sinks.timescale.expectation import Expectation


def lengths_of_runs(expectation: Expectation, disappointments: int) -> list[int]:
    """How many writes with new keys only it takes each time until it expects another one."""
    lengths = []
    for _ in range(disappointments):
        length = 0
        while not expectation.all_new:
            expectation.saw(all_new=True)
            length += 1
        lengths.append(length)
        expectation.saw(all_new=False)
    return lengths


def test_nothing_is_expected_of_the_first_write() -> None:
    assert not Expectation().all_new


def test_each_disappointment_doubles_the_run() -> None:
    assert lengths_of_runs(Expectation(), 9) == [1, 2, 4, 8, 16, 32, 64, 64, 64]


def test_what_was_not_expected_is_no_disappointment() -> None:
    expectation = Expectation()
    for _ in range(5):
        expectation.saw(all_new=False)
    assert lengths_of_runs(expectation, 1) == [1]


def test_success_shortens_it_again() -> None:
    expectation = Expectation()
    lengths_of_runs(expectation, 5)
    for _ in range(100):
        expectation.saw(all_new=True)
    assert lengths_of_runs(expectation, 2) == [0, 2]
