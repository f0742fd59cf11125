"""Checksums of addresses: base58check, and bech32 by BIP 173 and BIP 350."""

from hashlib import sha256

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
RESIDUES = {0: 1}
"""Of witness version 0; all later ones have BECH32M's."""
BECH32M = 0x2BC830A3


def has_right_checksum(address: str) -> bool:
    """Whether a mainnet address is one, down to its last character."""
    if address.startswith("bc1"):
        return _bech32(address)
    number = 0
    for character in address:
        number = number * 58 + BASE58.index(character)
    payload = number.to_bytes(25, "big")
    return sha256(sha256(payload[:21]).digest()).digest()[:4] == payload[21:]


def _bech32(address: str) -> bool:
    prefix, _, data = address.rpartition("1")
    values = [BECH32.index(character) for character in data]
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    return _polymod(expanded + values) == RESIDUES.get(values[0], BECH32M)


def _polymod(values: list[int]) -> int:
    residue = 1
    for value in values:
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for bit, generator in enumerate(GENERATOR):
            residue ^= generator if top >> bit & 1 else 0
    return residue
