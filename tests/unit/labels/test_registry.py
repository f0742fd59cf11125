"""Who owns an address once all sources are heard, whatever order they speak in."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.chain.extract import extract
from app.labels.builtin import builtin_claims
from app.labels.owners import Claim
from app.labels.registry import (
    NO_LABELS,
    Conflict,
    Kind,
    Labels,
    Owner,
    builtin_labels,
    merge,
)
from app.sources.files import read_block_file
from tests.support.addresses import has_right_checksum

BLOCKS = Path(__file__).parents[2] / "fixtures" / "blocks"
ONE, OTHER = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"


def owner(entity: str = "A", kind: Kind = Kind.EXCHANGE, source: str = "s", confidence: float = 0.5) -> Owner:
    """An owner; what a test doesn't care about is filled in."""
    return Owner(entity, kind, source, confidence)


def test_no_labels_know_nobody() -> None:
    assert NO_LABELS.version == "none"
    assert NO_LABELS.find(ONE) is None
    assert NO_LABELS.pool_of([ONE], b"/ViaBTC/".hex()) == (None, "none")
    assert merge() == (NO_LABELS, ())
    assert merge([], []).labels.version == "none"


def test_an_address_has_its_owner() -> None:
    labels = merge([(ONE, owner("A")), (OTHER, owner("B"))], [(b"/B/", owner("B"))]).labels
    assert labels.find(ONE) == owner("A")
    assert labels.find(OTHER) == owner("B")
    assert labels.find("1Nobody") is None
    assert labels.owners == (owner("A"), owner("B"))
    assert {a: labels.owners[i] for a, i in labels.by_address.items()} == {ONE: owner("A"), OTHER: owner("B")}
    assert labels.tags == ((b"/B/", 1),)


@pytest.mark.parametrize(
    ("wins", "loses"),
    [
        pytest.param(owner("Z", confidence=0.6), owner("A", confidence=0.5), id="the surer one"),
        pytest.param(owner("Z", source="a"), owner("A", source="b"), id="then by source"),
        pytest.param(owner("A"), owner("B"), id="then by entity"),
        pytest.param(owner(kind=Kind.EXCHANGE), owner(kind=Kind.MINER), id="then by kind"),
    ],
)
def test_a_conflict_is_decided_and_reported(wins: Owner, loses: Owner) -> None:
    for claims in ([wins, loses], [loses, wins]):
        merged = merge(*([(ONE, claim)] for claim in claims))
        assert merged.labels.find(ONE) == wins
        assert merged.labels.owners == (wins,)
        assert merged.conflicts == (Conflict(ONE, wins, loses),)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(owner("a", source="t"), id="written otherwise"),
        pytest.param(owner("A", confidence=0.1), id="less sure"),
        pytest.param(owner("A", Kind.OTHER, confidence=0.1), id="of a type that isn't known"),
    ],
)
def test_sources_that_agree_are_no_conflict(other: Owner) -> None:
    merged = merge([(ONE, owner("A"))], [(ONE, other)])
    assert merged.conflicts == ()
    assert merged.labels.find(ONE) == owner("A")


def test_every_loser_is_reported_against_the_winner() -> None:
    first, second, third = (owner(name, confidence=c) for name, c in (("A", 0.9), ("B", 0.5), ("C", 0.1)))
    expected = (Conflict(ONE, first, second), Conflict(ONE, first, third))
    for order in ([first, second, third], [third, second, first], [second, first, third, second]):
        assert merge([(ONE, claim) for claim in order]).conflicts == expected


def test_a_conflict_of_tags_says_that_it_is_one() -> None:
    merged = merge([(b"/x/", owner("A")), (b"/x/", owner("B"))])
    assert [conflict.address for conflict in merged.conflicts] == ["tag '/x/'"]
    assert merged.labels.pool_of([], b"..../x/".hex()) == (owner("A"), "tag")


OWNERS = st.builds(
    Owner,
    st.sampled_from(["A", "B", "a"]),
    st.sampled_from(Kind),
    st.sampled_from(["s", "t"]),
    st.sampled_from([0.1, 0.5]),
)
CLAIMS = st.lists(st.tuples(st.sampled_from([ONE, OTHER, b"/x/", b"/xy/"]), OWNERS), max_size=12)


@given(CLAIMS, st.randoms(use_true_random=False), st.integers(0, 12))
def test_the_order_of_claims_and_files_changes_nothing(claims: list[Claim], rng: object, cut: int) -> None:
    shuffled = list(claims)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(claims) == merge(shuffled[:cut], shuffled[cut:])


def test_the_version_follows_the_content() -> None:
    def version(*claims: Claim) -> str:
        return merge(claims).labels.version

    base = version((ONE, owner()))
    assert len(base) == 12
    assert base == version((ONE, owner()), (ONE, owner("B", confidence=0.1))), "who lost doesn't count"
    others = [
        version((OTHER, owner())),
        version((ONE, owner("B"))),
        version((ONE, owner(kind=Kind.OTHER))),
        version((ONE, owner(source="t"))),
        version((ONE, owner(confidence=0.6))),
        version((ONE, owner()), (OTHER, owner())),
        version((ONE, owner()), (b"/x/", owner())),
        version((ONE.encode(), owner())),
    ]
    assert len({base, *others}) == len(others) + 1


def test_the_version_is_the_same_on_every_machine_and_day() -> None:
    assert merge([(ONE, owner()), (b"/x/", owner("B", Kind.MINER))]).labels.version == "6a22f4ca8a7d"


class TestPools:
    """Who found a block, as the built-in facts have it."""

    @pytest.mark.parametrize(
        ("addresses", "script", "expected"),
        [
            pytest.param(["1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY"], b"", ("F2Pool", "address"), id="address"),
            pytest.param(["x"], b"\x03abc/ViaBTC/Mined by me/", ("ViaBTC", "tag"), id="tag"),
            pytest.param(
                ["15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"], b"/ViaBTC/", ("MARA Pool", "address"), id="both"
            ),
            pytest.param(
                ["x", "15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"], b"", ("MARA Pool", "address"), id="second"
            ),
            pytest.param(
                ["1CK6KHY6MHgYvmRQ4PAafKYDrg1ejbH1cE", "15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"],
                b"",
                ("Braiins Pool", "address"),
                id="the first of two",
            ),
            pytest.param(
                ["34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"], b"/slush/", ("Braiins Pool", "tag"), id="not a pool's"
            ),
            pytest.param(["x"], "七彩神仙鱼".encode(), ("F2Pool", "tag"), id="not ascii"),
            # From the coinbases of the blocks 255018, 478558 and 866342.
            pytest.param(
                ["14cZMQk89mRYQkDEj8Rn25AnGoBi5H6uer"],
                b"\x05\x12Mined by BTC Guild,\xfa",
                ("BTC Guild", "tag"),
                id="255018",
            ),
            pytest.param(
                ["3NA8hsjfdgVkmmVS9moHmkZsVCoLxUkvvv"],
                b"Y/BTC.COM/NYA/",
                ("BTC.com", "address"),
                id="478558",
            ),
            pytest.param(
                ["15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB"],
                b"g| MARA Made in USA ",
                ("MARA Pool", "address"),
                id="866342",
            ),
            pytest.param([], b"", (None, "none"), id="nothing"),
        ],
    )
    def test_known_ones(self, addresses: list[str], script: bytes, expected: tuple[str | None, str]) -> None:
        assert named(builtin_labels(), addresses, script.hex()) == expected

    @pytest.mark.parametrize(
        ("height", "expected"), [(150013, (None, "none")), (757739, ("F2Pool", "address"))]
    )
    def test_of_real_blocks(self, height: int, expected: tuple[str | None, str]) -> None:
        block = extract(read_block_file(BLOCKS / f"{height}.json.zst"), chain="BTC", isolated=True)
        assert named(builtin_labels(), block.payout_addresses, block.coinbase_script) == expected

    def test_the_longest_tag_counts(self) -> None:
        labels = merge(
            [(b"/ViaBTC/", owner("ViaBTC")), (b"/ViaBTC/TATMAS Pool/", owner("TATMAS Pool"))]
        ).labels
        assert named(labels, [], b"./ViaBTC/TATMAS Pool/.".hex()) == ("TATMAS Pool", "tag")
        assert named(labels, [], b"./ViaBTC/.".hex()) == ("ViaBTC", "tag")

    def test_an_address_is_surer_than_a_tag(self) -> None:
        labels = builtin_labels()
        by_address, _ = labels.pool_of(["1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY"], "")
        by_tag, _ = labels.pool_of([], b"/F2Pool/".hex())
        assert by_address is not None
        assert by_tag is not None
        assert (by_address.confidence, by_tag.confidence) == (1.0, 0.9)


def named(labels: Labels, addresses: list[str], script: str) -> tuple[str | None, str]:
    """The pool's name and what told it."""
    found, basis = labels.pool_of(addresses, script)
    return found and found.entity, basis


class TestBuiltin:
    """The facts themselves."""

    def test_they_do_not_contradict_each_other(self) -> None:
        assert merge(builtin_claims()).conflicts == ()
        assert builtin_labels() is builtin_labels()

    @pytest.mark.parametrize(
        ("address", "expected"),
        [
            ("34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", ("Binance", Kind.EXCHANGE)),
            (
                "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97",
                ("Bitfinex", Kind.EXCHANGE),
            ),
            ("bc1qazcm763858nkj2dj986etajv6wquslv8uxwczt", ("US Government", Kind.TREASURY)),
            ("32ixEdVJWo3kmvJGMTZq5jAQVZZeuwnqzo", ("El Salvador", Kind.TREASURY)),
            ("1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY", ("F2Pool", Kind.MINER)),
            ("1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", ("Satoshi Nakamoto", Kind.OTHER)),
        ],
    )
    def test_some_of_them(self, address: str, expected: tuple[str, Kind]) -> None:
        found = builtin_labels().find(address)
        assert found is not None
        assert (found.entity, found.kind) == expected

    def test_every_address_has_a_right_checksum(self) -> None:
        wrong = [address for address in builtin_labels().by_address if not has_right_checksum(address)]
        assert wrong == []

    def test_the_checksum_finds_one_wrong_character(self) -> None:
        for address in ("34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", "bc1qazcm763858nkj2dj986etajv6wquslv8uxwczt"):
            assert has_right_checksum(address)
            assert not has_right_checksum(address[:-1] + ("p" if address[-1] != "p" else "q"))
