"""The errors of S3, as errors of the function."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiohttp import ClientPayloadError
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline.errors import BadRequestError, NotFoundError, UnavailableError
from pipeline.units import http_time

# An answer to HEAD has no body, so its code is the HTTP status.
DENIED = frozenset({"403", "AccessDenied"})
REJECTED = frozenset(
    {"ExpiredToken", "InvalidAccessKeyId", "InvalidToken", "SignatureDoesNotMatch", "TokenRefreshRequired"}
)
MISSING = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
CHANGED = frozenset({"PreconditionFailed", "412"})
THROTTLED = frozenset({"429", "503", "ServiceUnavailable", "SlowDown", "TooManyRequests"})


class MissingObjectError(NotFoundError):
    """There is no object under this key, the only one of `objects`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"there is no object {key!r}")
        self.objects = (key,)


class DeniedError(UnavailableError):
    """The S3 key has no permission for the request."""


class MissingBucketError(UnavailableError):
    """There is no bucket with this name."""


class ChangedObjectError(BadRequestError):
    """There is another object under the key than the condition of the request allows."""


class ConcurrentWriteError(UnavailableError):
    """Another write of the object is under way, so that S3 cannot judge the condition of this one."""


class NotSupportedError(UnavailableError):
    """The server does not know this request, or an option of it."""


class BrokenBodyError(UnavailableError):
    """The connection broke while an object was being read."""


# The client's own retries end when an answer begins; this repeats the read of its body.
read_again = retry(
    retry=retry_if_exception_type(BrokenBodyError),
    stop=stop_after_attempt(5),
    wait=wait_random_exponential(multiplier=0.1, max=2),
    reraise=True,
)


@contextmanager
def s3_errors(key: str) -> Iterator[None]:
    """Turn the client's errors into the function's own, which name the `key`."""
    try:
        yield
    except ClientError as error:
        raise _error_of(key, error.response.get("Error", {}).get("Code", "")) from error
    except (BotoCoreError, OSError) as error:
        raise UnavailableError(f"S3 cannot be reached ({type(error).__name__})") from error


@contextmanager
def body_errors(key: str) -> Iterator[None]:
    """Raise BrokenBodyError if a body ends too early."""
    try:
        yield
    except (HTTPClientError, ClientPayloadError) as error:
        raise BrokenBodyError(f"S3 broke off in the middle of {key!r} ({type(error).__name__})") from error


def time_of(response: Mapping[str, Any]) -> float | None:
    """Return the time of an answer by S3's clock, in seconds since 1970; None if the answer has none."""
    return http_time(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", ""))


_KINDS = {
    "NoSuchBucket": MissingBucketError,
    "ConditionalRequestConflict": ConcurrentWriteError,
    "409": ConcurrentWriteError,
    "NotImplemented": NotSupportedError,
    "501": NotSupportedError,
}


def _error_of(key: str, code: str) -> Exception:
    if code in MISSING:
        return MissingObjectError(key)
    if code in CHANGED:
        return ChangedObjectError(f"{key!r} changed while it was being read")
    if code in DENIED:
        return DeniedError(
            f"S3 denies access to {key!r} ({code}): check s3-key, s3-secret and their permissions in the bucket; "
            "without s3:ListBucket a missing key is denied too"
        )
    if code in REJECTED:
        return UnavailableError(
            f"S3 does not take the credentials ({code}), asked for {key!r}: check s3-key and s3-secret, "
            "and s3-token if they are temporary"
        )
    if code in THROTTLED:
        return UnavailableError(f"S3 asks to slow down ({code}), asked for {key!r} several times")
    return _KINDS.get(code, UnavailableError)(f"S3 refused a request for {key!r} ({code})")
