"""What each format says, and what is said of a file that is wrong."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from app.errors import ConfigurationError
from app.labels.files import LabelFile, label_file, load_labels
from app.labels.owners import Claim
from app.labels.registry import Kind, Owner, builtin_labels

ONE, OTHER = "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG"
SEGWIT = "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"
HEADER = "address,entity,type,source,confidence\n"


def written(directory: Path, name: str, text: str | bytes) -> LabelFile:
    """A file of labels with this content."""
    path = directory / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return label_file(path)


def claims(directory: Path, name: str, text: str) -> list[Claim]:
    """What a file of this content says."""
    return list(written(directory, name, text).read())


class TestCsv:
    def test_all_columns(self, tmp_path: Path) -> None:
        text = HEADER + f'{ONE},"Some, Exchange",Exchange,me,0.8\n{OTHER}, Bank ,treasury,you,1\n'
        assert claims(tmp_path, "a.csv", text) == [
            (ONE, Owner("Some, Exchange", Kind.EXCHANGE, "me", 0.8)),
            (OTHER, Owner("Bank", Kind.TREASURY, "you", 1.0)),
        ]

    @pytest.mark.parametrize(
        "text",
        [
            f"address,entity\n{ONE},A\n",
            f"\ufeffentity,note,address\r\nA,what is this,{ONE}\r\n",
            f"# whose\naddress,entity,type\n\n# more\n{ONE},A,\n",
            f"Address, Entity\n {ONE} ,A",
        ],
    )
    def test_what_is_left_out_has_a_default(self, tmp_path: Path, text: str) -> None:
        assert claims(tmp_path, "a.CSV", text) == [(ONE, Owner("A", Kind.OTHER, "unstated", 0.5))]

    def test_addresses_are_written_as_the_node_does(self, tmp_path: Path) -> None:
        assert claims(tmp_path, "a.csv", f"address,entity\n{SEGWIT.upper()},A\n")[0][0] == SEGWIT

    def test_a_header_alone_says_nothing(self, tmp_path: Path) -> None:
        assert claims(tmp_path, "a.csv", HEADER) == []

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "line 0: the header is '' and lacks address and entity: write address,entity,type"),
            ("address;entity\n", "line 1: the header is 'address;entity' and lacks address and entity"),
            (HEADER + f"{ONE},A,other,me\n", "line 2 has 4 fields, the header has 5"),
            (HEADER + f"{ONE},A,other,me,1\n0x12,A,other,me,1\n", "line 3: '0x12' is no Bitcoin address"),
            (HEADER + f"{ONE},,other,me,1\n", "line 2: entity is '': write 1 to 200 printable characters"),
            (HEADER + f"{ONE},A\x00,other,me,1\n", "line 2: entity is 'A\\x00'"),
            (HEADER + f"{ONE},A,bank,me,1\n", "line 2: type is 'bank': write one of exchange, miner"),
            (HEADER + f"{ONE},A,other,me,80%\n", "line 2: confidence is '80%': write a number from 0 to 1"),
            (HEADER + f"{ONE},A,other,me,1.5\n", "line 2: confidence is '1.5'"),
            (HEADER + f"{ONE},A,other,me,nan\n", "line 2: confidence is 'nan'"),
            (HEADER + f'{ONE},"A"B,other,me,1\n', "line 2 is no CSV: ',' expected after '\"'"),
            (HEADER + f'{ONE},"A,other,me,1\n', "is no CSV: unexpected end of data"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape(says)) as error:
            claims(tmp_path, "a.csv", text)
        assert str(tmp_path / "a.csv") in str(error.value)

    def test_what_is_not_text_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is not UTF-8"):
            list(written(tmp_path, "a.csv", HEADER.encode() + b"\xff\xfe").read())


class TestPools:
    def test_addresses_and_tags(self, tmp_path: Path) -> None:
        pools = [
            {
                "id": 1,
                "name": "A",
                "addresses": [ONE, "tb1qmf7xdqc5nvzhturuzc46qtq5kywdf3p76cpq53"],
                "tags": ["/A/", "🐟"],
                "link": "https://a",
            },
            {"id": 2, "name": "B", "addresses": [], "tags": []},
        ]
        source = "mempool.space pools"
        assert claims(tmp_path, "pools-v2.json", json.dumps(pools)) == [
            (ONE, Owner("A", Kind.MINER, source, 1.0)),
            ("tb1qmf7xdqc5nvzhturuzc46qtq5kywdf3p76cpq53", Owner("A", Kind.MINER, source, 1.0)),
            (b"/A/", Owner("A", Kind.MINER, source, 0.9)),
            ("🐟".encode(), Owner("A", Kind.MINER, source, 0.9)),
        ]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("[", "is no list of pools: Input data was truncated"),
            (
                '{"coinbase_tags": {}, "payout_addresses": {}}',
                "is no list of pools: Expected `array`, got `object`; write what mempool.space's",
            ),
            ('[{"name": "A", "tags": "x"}]', "Expected `array`, got `str` - at `$[0].tags`"),
            ('[{"id": 1}]', "missing required field `name` - at `$[0]`"),
            ('[{"name": "A"}, {"name": "B", "addresses": ["?"]}]', "entry 2 (B): '?' is no Bitcoin address"),
            ('[{"name": "A", "tags": [""]}]', "entry 1 (A): a tag is empty"),
            ('[{"name": " "}]', "entry 1 ( ): entity is ' '"),
            (b"\xff\xfe", "is no list of pools"),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, text: str | bytes, says: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape(says)) as error:
            list(written(tmp_path, "a.json", text).read())
        assert str(tmp_path / "a.json") in str(error.value)


TAGPACK = f"""
title: An example
creator: somebody
lastmod: 2024-01-31
currency: BTC
label: Some wallet
category: exchange
confidence: service_data
source: https://example.com
tags:
- address: {ONE}
- address: {OTHER}
  actor: bank
  category: organization
  concepts: [user, mining_service]
  confidence: ownership
  source: https://bank.example.com
- {{address: "0x28c6c06298d514db089934071355e5743bf21d60", network: ETH}}
- {{address: "0x28c6c06298d514db089934071355e5743bf21d60", currency: eth}}
- {{address: qrzeh0y2uv2rdmjmkfqcmd39h9yqjrqwmqzaztef9w, currency: BCH}}
- {{tx_hash: aa}}
"""


class TestTagPacks:
    def test_tags_inherit_from_the_header(self, tmp_path: Path) -> None:
        file = written(tmp_path, "a.yaml", TAGPACK)
        assert list(file.read()) == [
            (ONE, Owner("Some wallet", Kind.EXCHANGE, "https://example.com", 0.5)),
            (OTHER, Owner("bank", Kind.MINER, "https://bank.example.com", 1.0)),
        ]
        assert file.claims == 2
        assert file.skipped == Counter({"currency ETH": 2, "currency BCH": 1, "no address": 1})

    def test_reading_again_counts_anew(self, tmp_path: Path) -> None:
        file = written(tmp_path, "a.yml", TAGPACK)
        assert list(file.read()) == list(file.read())
        assert (file.claims, file.skipped["currency ETH"]) == (2, 2)

    def test_what_is_left_out_has_a_default(self, tmp_path: Path) -> None:
        text = f"currency: BTC\ntags: [{{address: {ONE}, label: A}}]"
        assert claims(tmp_path, "a.yaml", text) == [(ONE, Owner("A", Kind.OTHER, "unstated", 0.05))]

    def test_a_nested_header_counts_as_well(self, tmp_path: Path) -> None:
        text = f"header: {{currency: BTC, label: A, category: Miner}}\ntags: [{{address: {ONE}}}]"
        assert claims(tmp_path, "a.yaml", text) == [(ONE, Owner("A", Kind.MINER, "unstated", 0.05))]

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "is no TagPack, it holds a NoneType"),
            ("- a", "is no TagPack, it holds a list"),
            ("title: x\nactors: []", "is no TagPack, it has title, actors and no list `tags`"),
            ("a: [", "is no YAML: while parsing a flow node"),
            ("a: 2024-13-45", "is no YAML: month must be in 1..12"),
            ("header: !include header.yaml\ntags: []", "could not determine a constructor"),
            ("tags: [x]", "tag 1 is 'x': write fields"),
            (f"tags: [{{address: {ONE}, label: A}}]", "tag 1: currency is None: write `currency: BTC`"),
            (f"currency: BTC\ntags: [{{address: {ONE}}}]", "tag 1: entity is None"),
            ("currency: BTC\nlabel: A\ntags: [{address: 12}]", "tag 1: 12 is no Bitcoin address"),
            (
                f"currency: BTC\nlabel: A\ntags: [{{address: {ONE}}}, {{address: {ONE}, confidence: sure}}]",
                "tag 2: confidence is 'sure': write one of override, ownership",
            ),
            (
                f"currency: BTC\nlabel: A\ntags: [{{address: {ONE}, confidence: [1]}}]",
                "tag 1: confidence is [1]",
            ),
        ],
    )
    def test_what_is_wrong_is_said(self, tmp_path: Path, text: str, says: str) -> None:
        with pytest.raises(ConfigurationError, match=re.escape(says)) as error:
            claims(tmp_path, "a.yaml", text)
        assert str(tmp_path / "a.yaml") in str(error.value)


class TestTogether:
    def test_an_unknown_ending_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match=r"a\.txt ends in '\.txt', which is no format of labels"):
            label_file(tmp_path / "a.txt")

    @pytest.mark.parametrize("name", ["a.csv", "a.json", "a.yaml"])
    def test_a_missing_file_is_named(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(ConfigurationError, match=rf"{name} can't be read: No such file"):
            load_labels([tmp_path / name])

    def test_files_stand_beside_the_builtin_facts(self, tmp_path: Path) -> None:
        assert load_labels([]).labels == builtin_labels()
        binance = "34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo"
        file = written(tmp_path, "a.csv", HEADER + f"{ONE},A,other,me,0.7\n{binance},Me,other,me,0.7\n")
        loaded = load_labels([file.path])
        assert loaded.labels.find(ONE) == Owner("A", Kind.OTHER, "me", 0.7)
        assert [(c.address, c.kept.entity, c.dropped.entity) for c in loaded.conflicts] == [
            (binance, "Binance", "Me")
        ]
        assert [(f.path.name, f.claims) for f in loaded.files] == [("a.csv", 2)]
        assert len(loaded.labels.by_address) == len(builtin_labels().by_address) + 1

    def test_neither_names_nor_order_of_files_make_a_version(self, tmp_path: Path) -> None:
        first = written(tmp_path, "a.csv", HEADER + f"{ONE},A,other,me,0.7\n").path
        second = written(tmp_path, "b.yaml", TAGPACK).path
        third = written(tmp_path, "c.csv", HEADER + f"{ONE},A,other,me,0.7\n").path
        loaded = [load_labels(paths) for paths in ([first, second], [second, first], [second, third])]
        assert len({each.labels.version for each in loaded}) == 1
        assert loaded[0].conflicts == loaded[1].conflicts
        assert loaded[0].labels.version != builtin_labels().version
