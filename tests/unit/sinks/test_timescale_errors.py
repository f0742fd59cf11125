"""asyncpg's errors, sorted."""

import asyncpg
import pytest

from app.errors import ConfigurationError, SigstreamError, Terminal, Transient
from app.sinks.timescale.errors import of, refused

E = asyncpg.exceptions


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (E.ConnectionDoesNotExistError("gone"), Transient),
        (E.AdminShutdownError("stopping"), Transient),
        (E.CannotConnectNowError("starting"), Transient),
        (E.TooManyConnectionsError("full"), Transient),
        (E.DiskFullError("full"), Transient),
        (E.SerializationError("lost"), Transient),
        (E.DeadlockDetectedError("lost"), Transient),
        (E.LockNotAvailableError("locked"), Transient),
        (E.QueryCanceledError("slow"), Transient),
        (E.ReadOnlySQLTransactionError("standby"), Transient),
        (E.InterfaceError("connection is closed"), Transient),
        (ConnectionRefusedError("refused"), Transient),
        (TimeoutError(), Transient),
        (E.InvalidPasswordError("no"), ConfigurationError),
        (E.InvalidAuthorizationSpecificationError("no"), ConfigurationError),
        (E.InvalidCatalogNameError("no"), ConfigurationError),
        (E.InsufficientPrivilegeError("no"), ConfigurationError),
        (E.UndefinedTableError("no"), ConfigurationError),
        (E.ConfigurationLimitExceededError("no"), ConfigurationError),
        (E.ClientConfigurationError("no"), ConfigurationError),
        (E.FeatureNotSupportedError("no"), Terminal),
        (E.InternalServerError("no"), Terminal),
    ],
)
def test_each_error_is_one_of_ours(error: Exception, kind: type[SigstreamError]) -> None:
    ours = of(error, "PostgreSQL at db:5432/x")
    assert type(ours) is kind
    assert "PostgreSQL at db:5432/x" in str(ours) or isinstance(error, E.ClientConfigurationError)
    assert refused(error) is None or isinstance(error, ValueError)


def test_what_is_not_the_drivers_is_left_alone() -> None:
    assert of(KeyError("bug"), "PostgreSQL") is None
    assert refused(KeyError("bug")) is None


@pytest.mark.parametrize(
    "error",
    [
        E.CheckViolationError("no"),
        E.CharacterNotInRepertoireError("U+0000"),
        E.UntranslatableCharacterError("U+0000"),
        E.NumericValueOutOfRangeError("large"),
        E.InvalidTextRepresentationError("not json"),
        E.ProgramLimitExceededError("long"),
        OverflowError("large"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "half"),
    ],
)
def test_a_refused_row_has_a_reason(error: Exception) -> None:
    reason = refused(error)
    assert reason is not None
    assert (getattr(error, "sqlstate", None) or "not a PostgreSQL value") in reason


def test_a_reason_does_not_repeat_a_large_value() -> None:
    assert len(refused(ValueError("x" * 100_000)) or "") < 500
