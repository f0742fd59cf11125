"""Which code means what: the tables of the sink's edge."""

# mypy: disable-error-code="no-untyped-call"

import pytest
from google.api_core import exceptions as api
from google.auth.exceptions import DefaultCredentialsError, RefreshError, TransportError
from google.cloud.bigquery_storage_v1.types import StorageError
from google.protobuf.any_pb2 import Any as AnyMessage
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ReadTimeout

from app.errors import ConfigurationError, Terminal, Transient
from app.sinks.bigquery.errors import Fate, fate_of, fate_of_call, translate

Code = StorageError.StorageErrorCode


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (2, Fate.UNCLEAR),
        (3, Fate.REFUSED),
        (4, Fate.WAIT),
        (5, Fate.LOST),
        (6, Fate.LOST),
        (7, Fate.STOP),
        (8, Fate.WAIT),
        (9, Fate.FENCED),
        (10, Fate.WAIT),
        (11, Fate.LOST),
        (13, Fate.WAIT),
        (14, Fate.WAIT),
        (16, Fate.STOP),
    ],
)
def test_an_append_is_judged_by_its_grpc_code(code: int, fate: Fate) -> None:
    assert fate_of(code) is fate


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (Code.STREAM_FINALIZED, Fate.FENCED),
        (Code.INVALID_STREAM_STATE, Fate.FENCED),
        (Code.STREAM_NOT_FOUND, Fate.LOST),
        (Code.OFFSET_ALREADY_EXISTS, Fate.LOST),
        (Code.OFFSET_OUT_OF_RANGE, Fate.LOST),
        (Code.SCHEMA_MISMATCH_EXTRA_FIELDS, Fate.WAIT),
        (Code.TABLE_NOT_FOUND, Fate.WAIT),
        (Code.KMS_PERMISSION_DENIED, Fate.STOP),
        (Code.STORAGE_ERROR_CODE_UNSPECIFIED, Fate.REFUSED),
    ],
)
def test_the_service_s_own_code_goes_before_grpc_s(code: Code, fate: Fate) -> None:
    detail = AnyMessage()
    detail.Pack(StorageError.pb(StorageError(code=code)))
    assert fate_of(3, [AnyMessage(type_url="x/unknown"), "text", detail]) is fate


def test_a_call_that_failed_is_judged_by_the_same_tables() -> None:
    assert fate_of_call(api.FailedPrecondition("finalized")) is Fate.FENCED
    assert fate_of_call(api.NotFound("gone")) is Fate.LOST
    assert fate_of_call(api.GoogleAPICallError("who knows")) is Fate.WAIT


@pytest.mark.parametrize(
    "error",
    [
        api.ServiceUnavailable("down"),
        api.DeadlineExceeded("slow"),
        api.TooManyRequests("quota"),
        api.InternalServerError("oops"),
        api.BadGateway("proxy"),
        api.Aborted("again"),
        api.Conflict("two at once"),
        api.Forbidden("slow down", errors=[{"reason": "rateLimitExceeded"}]),
        api.BadRequest("table busy", errors=[{"reason": "tableUnavailable"}]),
        api.RetryError("gave up", cause=None),
        RequestsConnectionError("refused"),
        ReadTimeout("slow"),
        TransportError("no route"),
        RefreshError("token server", retryable=True),
        TimeoutError(),
        ConnectionResetError(),
    ],
)
def test_what_waiting_heals_is_transient(error: Exception) -> None:
    assert isinstance(translate(error, "create table p.d.t"), Transient)


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (api.Forbidden("no", errors=[{"reason": "accessDenied"}]), "roles/bigquery.dataEditor"),
        (api.PermissionDenied("no"), "roles/bigquery.dataEditor"),
        (api.Unauthorized("who"), "GOOGLE_APPLICATION_CREDENTIALS"),
        (api.Unauthenticated("who"), "GOOGLE_APPLICATION_CREDENTIALS"),
        (RefreshError("revoked"), "GOOGLE_APPLICATION_CREDENTIALS"),
        (api.NotFound("project"), "SIGSTREAM_BIGQUERY_PROJECT"),
        (api.BadRequest("name"), "SIGSTREAM_BIGQUERY_DATASET"),
    ],
)
def test_what_somebody_has_to_change_is_terminal_and_says_how(error: Exception, remedy: str) -> None:
    found = translate(error, "create table p.d.t")

    assert isinstance(found, Terminal)
    assert "create table p.d.t" in str(found)
    assert remedy in str(found)


def test_missing_credentials_are_a_matter_of_configuration() -> None:
    assert isinstance(translate(DefaultCredentialsError("none"), "find credentials"), ConfigurationError)


def test_a_bug_is_not_dressed_up() -> None:
    with pytest.raises(KeyError):
        translate(KeyError("x"), "create table p.d.t")
