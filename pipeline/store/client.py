"""The S3 client: its retries, and credentials that can change while it is in use."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from pipeline.concurrency import check_right
from pipeline.errors import ConfigurationError
from pipeline.metrics import Metrics
from pipeline.settings.environment import Settings
from pipeline.settings.secrets import Secrets
from pipeline.store.errors import CHANGED, DENIED, MISSING, REJECTED, THROTTLED

if TYPE_CHECKING:
    from aiobotocore.credentials import AioCredentials
    from types_aiobotocore_s3 import S3Client

# The waits between attempts double, from at most 1 s: 15 s in all on average.
ATTEMPTS = 6
READ_TIMEOUT = 60.0
# S3 answers a HEAD with an expired token with a bare 400.
_RENEWABLE = DENIED | REJECTED | {"400"}
_KINDS = ((MISSING | CHANGED, ""), (DENIED, "denied"), (REJECTED, "credentials"), (THROTTLED, "throttled"))
_SIGNED = "pipeline_signed_with"
_RENEWED = "pipeline_renewed"

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_clients(
    settings: Settings, secrets: Secrets, reload: Callable[[], Secrets], metrics: Metrics
) -> AsyncIterator[tuple["S3Client", "S3Client"]]:
    """Open the client, and a second one that signs URLs with the public endpoint; this sends no request.

    `reload` reads the secrets again when S3 refuses the current ones. It may raise ConfigurationError.
    """
    config = AioConfig(
        signature_version="s3v4",
        max_pool_connections=64,
        connect_timeout=5,
        read_timeout=READ_TIMEOUT,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        s3={"addressing_style": settings.s3_addressing},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = get_session()
    session.set_credentials(secrets.s3_key, secrets.s3_secret, secrets.s3_token)
    renewal = Renewal(cast("AioCredentials", await session.get_credentials()), reload)
    # Both are of one session, and share its credentials.
    new = partial(session.create_client, "s3", region_name=settings.s3_region, config=config)
    public_url = settings.s3_public_endpoint or settings.s3_endpoint
    async with new(endpoint_url=settings.s3_endpoint) as client, new(endpoint_url=public_url) as public:
        events = client.meta.events
        events.register("before-sign.s3", renewal.signing)
        events.register("before-send.s3", _check_right)
        events.register("response-received.s3", _name_throttling)
        events.register("needs-retry.s3", partial(_count, metrics))
        events.register("needs-retry.s3", renewal.answered)
        yield client, public


class Renewal:
    """Puts new secrets into the client's credentials, and has a request that the old ones failed sent once more.

    Every step runs without a pause, so requests that fail together read the files once.
    """

    def __init__(self, credentials: "AioCredentials", reload: Callable[[], Secrets]) -> None:
        self._credentials = credentials
        self._reload = reload
        self._version = 0

    def signing(self, request: Any, **_: object) -> None:
        """Note which credentials a request is signed with."""
        request.context[_SIGNED] = self._version

    def answered(self, response: Any, request_dict: dict[str, Any], **_: object) -> int | None:
        """Return 0, the seconds to wait, when a request is to be signed anew and sent again, else None."""
        context = request_dict["context"]
        if response is None or _code(response[1]) not in _RENEWABLE or _RENEWED in context:
            return None
        if context[_SIGNED] == self._version and not self._renew():
            return None
        context[_RENEWED] = True
        return 0

    def _renew(self) -> bool:
        try:
            secrets = self._reload()
        except ConfigurationError as error:
            log.warning("%s", error)
            return False
        new = (secrets.s3_key, secrets.s3_secret, secrets.s3_token)
        known = self._credentials
        if new == (known.access_key, known.secret_key, known.token):
            return False
        known.access_key, known.secret_key, known.token = new
        self._version += 1
        log.info("S3 refused the credentials; the secret files hold others, which are used from now on")
        return True


def _check_right(request: Any, **_: object) -> None:
    """Send no request that changes the bucket, and repeat none, once the right to it may be lost."""
    if request.method not in {"GET", "HEAD"}:
        check_right()


def _name_throttling(parsed_response: dict[str, Any] | None, **_: object) -> None:
    """Give 429 the code of S3, since the client's retries go by the code and servers have many for it."""
    metadata = (parsed_response or {}).get("ResponseMetadata", {})
    if parsed_response and metadata.get("HTTPStatusCode") == HTTPStatus.TOO_MANY_REQUESTS:
        parsed_response["Error"] = {**parsed_response.get("Error", {}), "Code": "SlowDown"}


def _count(metrics: Metrics, response: Any, **_: object) -> None:
    """Count what failed of each attempt; what is not there, or has changed, is no failure of S3."""
    if response is None:
        metrics.s3_failed("connection")
    elif response[0].status_code >= HTTPStatus.BAD_REQUEST:
        code = _code(response[1])
        kind = next((name for codes, name in _KINDS if code in codes), "other")
        if kind:
            metrics.s3_failed(kind)


def _code(answer: dict[str, Any]) -> str:
    return str(answer.get("Error", {}).get("Code", ""))
