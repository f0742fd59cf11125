"""What the answers of a Bitcoin Core node mean: by HTTP status and RPC error code, never by text."""

import msgspec

from app.errors import NodeRefused, SigstreamError, Terminal, Transient

MISC_ERROR = -1
"""Among others: the block is not on this node's disk."""
NOT_FOUND = -5
"""No block of this hash."""
OUT_OF_RANGE = -8
"""No block at this height."""
IN_WARMUP = -28
HTTP_NOT_FOUND = 404
"""Esplora's way to say either of the two."""
PASSING = frozenset({NOT_FOUND, OUT_OF_RANGE, HTTP_NOT_FOUND})
"""What a reorganisation may cause between two requests."""
NO_SUCH_METHOD = -32601

UNAUTHORIZED, FORBIDDEN, UNAVAILABLE = 401, 403, 503


class RpcError(msgspec.Struct):
    """An answer's `error`."""

    code: int
    message: str


def of_error(error: RpcError, method: str) -> SigstreamError:
    """What to raise for an error object."""
    if error.code == IN_WARMUP:
        return Transient(
            f"the node is warming up ({error.message}): wait until `bitcoin-cli getblockchaininfo` answers; "
            "after a crash that takes minutes"
        )
    if error.code == NO_SUCH_METHOD:
        return NodeRefused(
            f"the node does not know {method}: SIGSTREAM_CORE_URL must be a Bitcoin Core node "
            "(a wallet's or a proxy's address may be limited by -rpcwhitelist)",
            error.code,
        )
    return NodeRefused(f"the node refuses {method}: {error.message} (code {error.code})", error.code)


def of_status(status: int, body: str, url: str, login: str) -> SigstreamError:
    """What to raise for a response that is no JSON-RPC answer."""
    if status == UNAUTHORIZED:
        return Terminal(
            f"{url} refuses the login by {login}: check them against the node's rpcauth / rpcuser, or "
            "use the cookie file of the data directory that this node runs on"
        )
    if status == FORBIDDEN:
        return Terminal(
            f"{url} forbids the request (403): add this host to the node's -rpcallowip, or the methods to "
            "its -rpcwhitelist"
        )
    if status == UNAVAILABLE:
        return Transient(
            f"{url} is busy ({body.strip()[:80] or status}): lower SIGSTREAM_CORE_IN_FLIGHT, or raise the "
            "node's -rpcworkqueue"
        )
    if status >= 500:
        return Transient(f"{url} fails with HTTP {status} ({body.strip()[:80]}): see the node's debug.log")
    return Terminal(f"{url} answers HTTP {status} ({body.strip()[:80]}): check SIGSTREAM_CORE_URL")


def unreachable(url: str, error: Exception) -> Transient:
    """What to raise without a connection."""
    return Transient(
        f"no Bitcoin Core answers at {url} ({type(error).__name__}: {error}): start bitcoind with server=1, "
        "or set SIGSTREAM_CORE_URL"
    )


def pruned(height: int, pruneheight: int | None) -> Terminal:
    """The node has deleted the block."""
    kept = f"keeps blocks from height {pruneheight} on" if pruneheight is not None else "is pruned"
    return Terminal(
        f"the node {kept} and has not got block {height}: ask from {pruneheight or 'a later height'} on, "
        "use a node without -prune, or fetch the older blocks with `sigstream ingest esplora`"
    )


def syncing(blocks: int, headers: int, wanted: str) -> Transient:
    """The node has not got that far."""
    return Transient(
        f"the node is still syncing (initialblockdownload): it is at block {blocks} of {headers}, asked for "
        f"{wanted}: wait until it has caught up, or say --to {blocks} or less, without --follow"
    )


def no_prevouts(height: int) -> Terminal:
    """The node answers verbosity 3 as if it were 2."""
    return Terminal(
        f"block {height} comes without `prevout`: the node does not support `getblock <hash> 3`, which needs "
        "Bitcoin Core 24 or later: update the node, or use `sigstream ingest esplora`"
    )


def too_high(height: int, tip: int) -> Terminal:
    """Nobody has made that block yet."""
    return Terminal(f"block {height} is not there, the best chain ends at {tip}: say --to {tip}, or --follow")
