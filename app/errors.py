"""Every exception of the product, sorted once: Transient heals by waiting, Terminal does not.

A client of a server (`service.py` of a sink, `app/embedded/`) turns what its driver raises into one of
these at its edge; nothing further in looks at a driver's exception again.
"""


class SigstreamError(Exception):
    """Base of all. The message says what happened, where, and what to do."""


class Transient(SigstreamError):
    """Waiting and trying again may help: a server is down, slow, or busy."""


class Terminal(SigstreamError):
    """Trying again can't help: somebody has to change something."""


class ContractError(Terminal):
    """A record does not say what its contract asks for: which field, what was found, what to do."""


class ConfigurationError(Terminal):
    """A setting is missing or wrong."""


class ServerDidNotStart(Terminal):
    """An embedded server did not become ready; the message ends with the tail of its log."""


class DeliveryFailed(Terminal):
    """Kafka did not take a record: nothing is committed past it, and the worker stops."""


class Fenced(Terminal):
    """Another worker owns the partition now; this one stops writing to it."""


class StateFailed(Terminal):
    """A table can't be read or written: nothing is committed, and the worker stops."""


class BudgetExceeded(Terminal):
    """A processor took longer than it may."""


class NodeRefused(Terminal):
    """A Bitcoin node answered a request with an error that waiting does not heal; `code` is the node's."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code
