"""Mining pools, as they show themselves in coinbase transactions.

Facts that the pools publish in every block they find, checked against the pool list that mempool.space
uses (github.com/mempool/mining-pools). A small selection: the large pools of each era. What is not in
here is honestly unknown. An address counts more than a tag: anyone can write a tag.
"""

from typing import NamedTuple


class Pool(NamedTuple):
    """A pool, and whether its payout address (`address`) or its tag (`tag`) told; `none` for unknown."""

    name: str
    basis: str


UNKNOWN = Pool("unknown", "none")

ADDRESSES = {
    "12dRugNcdxK39288NjcDV4GX7rMsKCGn6B": "AntPool",
    "15MdAHnkxt9TMC2Rj595hsg8Hnv693pPBB": "MARA Pool",
    "1KFHE7w8BhaENAswwryaoccDb6qcT6DbYY": "F2Pool",
    "1CjPR7Z5ZSyWk6WtXvSFgkptmpoi4UM9BC": "GHash.IO",
    "1CK6KHY6MHgYvmRQ4PAafKYDrg1ejbH1cE": "Braiins Pool",
    "3NA8hsjfdgVkmmVS9moHmkZsVCoLxUkvvv": "BTC.com",
    "bc1qxhmdufsvnuaaaer4ynz88fspdsxq2h9e9cetdj": "Foundry USA",
}
"""Payout address -> pool."""

TAGS = {
    "Foundry USA Pool": "Foundry USA",
    "Mined by AntPool": "AntPool",
    "Mined By AntPool": "AntPool",
    "/AntPool/": "AntPool",
    "F2Pool": "F2Pool",
    "七彩神仙鱼": "F2Pool",
    "🐟": "F2Pool",
    "/ViaBTC/": "ViaBTC",
    "/Binance/": "Binance Pool",
    "binance": "Binance Pool",
    "MARA Pool": "MARA Pool",
    "MARA Made in USA": "MARA Pool",
    "SpiderPool": "SpiderPool",
    "/LUXOR/": "Luxor",
    "Luxor Tech": "Luxor",
    "SBICrypto": "SBI Crypto",
    "/slush/": "Braiins Pool",
    "SecPool": "SECPOOL",
    "OCEAN.XYZ": "OCEAN",
    "WhitePool": "WhitePool",
    "/ultimus/": "ULTIMUSPOOL",
    "/poolin": "Poolin",
    "/BTC.COM/": "BTC.com",
    "/BTC.com/": "BTC.com",
    "/BTC.TOP/": "BTC.TOP",
    "/BTCC/": "BTCC",
    "/Bitfury/": "BitFury",
    "/BitFury/": "BitFury",
    "KnCMiner": "KnCMiner",
    "ghash.io": "GHash.IO",
    "BTC Guild": "BTC Guild",
    "Eligius": "Eligius",
    "BitMinter": "BitMinter",
    "50BTC": "50BTC",
    "ozco.in": "OzCoin",
    "/solo.ckpool.org/": "Solo CK",
    "/ckpool.org/": "CKPool",
}
"""Text in the coinbase's scriptSig -> pool; the first that is found counts."""

_TAGS = tuple((tag.encode(), name) for tag, name in TAGS.items())


def pool_of(payout_addresses: list[str], coinbase_script: str) -> Pool:
    """Who found a block, by its largest payout with a known address, else by its tag.

    `coinbase_script` is hex. DeepBit and others of the early years left neither: UNKNOWN.
    """
    for address in payout_addresses:
        if name := ADDRESSES.get(address):
            return Pool(name, "address")
    script = bytes.fromhex(coinbase_script)
    for tag, name in _TAGS:
        if tag in script:
            return Pool(name, "tag")
    return UNKNOWN
