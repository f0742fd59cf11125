"""What the clients raise and the service answers, sorted by code: wait, stop, start over, or refused."""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import grpc
from google.api_core.exceptions import GoogleAPICallError, RetryError
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
from google.cloud.bigquery_storage_v1.types import StorageError
from requests.exceptions import RequestException

from app.errors import ConfigurationError, SigstreamError, Terminal, Transient

_BUSY = frozenset({408, 409, 429, 499, 500, 502, 503, 504})
"""HTTP codes that waiting can heal; gRPC's codes come as these too."""
_BUSY_REASONS = frozenset(
    {
        "backendError", "internalError", "jobBackendError", "jobInternalError", "jobRateLimitExceeded",
        "quotaExceeded", "rateLimitExceeded", "tableUnavailable",
    }
)  # fmt: skip
"""Reasons of BigQuery's REST API that waiting can heal, whatever the HTTP code."""

_REMEDIES = {
    400: "check SIGSTREAM_BIGQUERY_PROJECT, SIGSTREAM_BIGQUERY_DATASET and SIGSTREAM_BIGQUERY_TABLE",
    401: "set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`",
    403: "grant the worker's account roles/bigquery.dataEditor and roles/bigquery.jobUser in the project",
    404: "check SIGSTREAM_BIGQUERY_PROJECT and SIGSTREAM_BIGQUERY_DATASET, and that the project has BigQuery",
}


class Fate(StrEnum):
    """What a failed append asks for."""

    WAIT = "wait"
    STOP = "stop"
    FENCED = "fenced"
    """The stream was finalized by the partition's new owner."""
    LOST = "lost"
    """Stream or offsets are not what we think: start over from the fence, look what is there."""
    REFUSED = "refused"
    """The request's rows are to blame; nothing of it was written."""
    UNCLEAR = "unclear"
    """Rows or server are to blame, and the rows may be there."""


_STORAGE_FATES = {
    StorageError.StorageErrorCode.TABLE_NOT_FOUND: Fate.WAIT,
    StorageError.StorageErrorCode.STREAM_ALREADY_COMMITTED: Fate.FENCED,
    StorageError.StorageErrorCode.STREAM_NOT_FOUND: Fate.LOST,
    StorageError.StorageErrorCode.INVALID_STREAM_STATE: Fate.FENCED,
    StorageError.StorageErrorCode.STREAM_FINALIZED: Fate.FENCED,
    # A column added a moment ago: the write path sees it minutes after the catalogue does.
    StorageError.StorageErrorCode.SCHEMA_MISMATCH_EXTRA_FIELDS: Fate.WAIT,
    StorageError.StorageErrorCode.OFFSET_ALREADY_EXISTS: Fate.LOST,
    StorageError.StorageErrorCode.OFFSET_OUT_OF_RANGE: Fate.LOST,
    StorageError.StorageErrorCode.KMS_SERVICE_ERROR: Fate.WAIT,
    StorageError.StorageErrorCode.KMS_PERMISSION_DENIED: Fate.STOP,
    StorageError.StorageErrorCode.CMEK_NOT_PROVIDED: Fate.STOP,
    StorageError.StorageErrorCode.INVALID_CMEK_PROVIDED: Fate.STOP,
}

_GRPC_FATES: Mapping[int, Fate] = {
    grpc.StatusCode.UNKNOWN.value[0]: Fate.UNCLEAR,
    grpc.StatusCode.INVALID_ARGUMENT.value[0]: Fate.REFUSED,
    grpc.StatusCode.NOT_FOUND.value[0]: Fate.LOST,
    # Not success: bqemulator 1.4.0 says so of rows, too, whose insert it failed to make
    # (test_a_row_that_the_service_refuses...). The look after the fence knows.
    grpc.StatusCode.ALREADY_EXISTS.value[0]: Fate.LOST,
    grpc.StatusCode.OUT_OF_RANGE.value[0]: Fate.LOST,
    grpc.StatusCode.FAILED_PRECONDITION.value[0]: Fate.FENCED,
    grpc.StatusCode.PERMISSION_DENIED.value[0]: Fate.STOP,
    grpc.StatusCode.UNAUTHENTICATED.value[0]: Fate.STOP,
    grpc.StatusCode.UNIMPLEMENTED.value[0]: Fate.STOP,
}


def fate_of(code: int, details: Iterable[object] = ()) -> Fate:
    """What to do about an append's status: by its StorageError where there is one, else by gRPC code."""
    for detail in details:
        found = _storage_code(detail)
        if found in _STORAGE_FATES:
            return _STORAGE_FATES[found]
    return _GRPC_FATES.get(code, Fate.WAIT)


def fate_of_call(error: GoogleAPICallError) -> Fate:
    """The same for an append whose call failed altogether."""
    status = error.grpc_status_code
    return Fate.WAIT if status is None else fate_of(status.value[0], error.details or ())


def _storage_code(detail: object) -> StorageError.StorageErrorCode | None:
    unpacked = StorageError.pb(StorageError())
    if not hasattr(detail, "Unpack") or not detail.Unpack(unpacked):
        return None
    return StorageError.StorageErrorCode(unpacked.code)


def translate(error: Exception, doing: str) -> SigstreamError:
    """The product's exception for a client's. `doing` says what failed: "create table p.d.t"."""
    if isinstance(error, SigstreamError):
        return error
    if isinstance(error, GoogleAPICallError):
        return _translate_call(error, doing)
    if isinstance(error, DefaultCredentialsError):
        return ConfigurationError(f"BigQuery: no credentials ({error}): {_REMEDIES[401]}")
    if isinstance(error, RequestException | TransportError | RetryError | OSError):
        return Transient(f"BigQuery does not answer: could not {doing} ({error})")
    if isinstance(error, GoogleAuthError):
        return _translate_auth(error, doing)
    raise error


def _translate_auth(error: GoogleAuthError, doing: str) -> SigstreamError:
    if error.retryable:
        return Transient(f"BigQuery could not {doing} now: {error}")
    return Terminal(f"BigQuery: could not {doing}: {error}: {_REMEDIES[401]}")


def _translate_call(error: GoogleAPICallError, doing: str) -> SigstreamError:
    code = int(error.code) if error.code is not None else 500
    reasons = {e.get("reason") for e in error.errors if isinstance(e, dict)}
    if code in _BUSY or reasons & _BUSY_REASONS:
        return Transient(f"BigQuery could not {doing} now: {error.message}")
    remedy = _REMEDIES.get(code, "see the message")
    return Terminal(f"BigQuery refused to {doing} ({code}): {error.message}: {remedy}")
