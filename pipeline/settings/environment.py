"""The settings: read once from the environment, each with its rule, default and help."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PrivateAttr, ValidationError, ValidationInfo
from yarl import URL

from pipeline.errors import ConfigurationError
from pipeline.settings.host import host_name, is_local
from pipeline.settings.redis_url import parse_redis_url
from pipeline.settings.watchdog import Watchdog, read_watchdog
from pipeline.settings.web_url import is_under, web_url
from pipeline.units import MIB

FUNCTION_NAME = r"^[a-z0-9]([-a-z0-9.]{0,126}[a-z0-9])?$"
# A pattern for names of functions or buckets.
PATTERN = re.compile(r"[-a-z0-9.*?\[\]!]{1,128}")
_PATTERN_OF = {"allowed_buckets": "bucket", "allowed_hosts": "host"}
STATUS_CODE = re.compile(r"[1-5][0-9][0-9]")


def _has_address(parts: SplitResult) -> bool:
    try:
        return bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not _has_address(parts):
        raise ValueError("expected an http:// or https:// URL")
    if parts.username or parts.password:
        raise ValueError("a user name or password would show in every address made from this URL")
    return value.rstrip("/")


def _redis_url(value: str) -> str:
    parse_redis_url(value)
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


def _patterns(value: str, info: ValidationInfo) -> str:
    patterns = [pattern.strip() for pattern in value.split(",")]
    wrong = [pattern for pattern in patterns if not PATTERN.fullmatch(pattern)]
    if wrong:
        named = _PATTERN_OF.get(str(info.field_name), "function")
        raise ValueError(f"{wrong[0]!r} is not the name of a {named}, with or without *, ? and [...]")
    return ", ".join(patterns)


def _prefixes(value: str) -> str:
    prefixes = [web_url(prefix.strip()) for prefix in value.split(",")]
    if any(prefix.raw_query_string for prefix in prefixes):
        raise ValueError("a prefix of URLs has no query")
    return ", ".join(map(str, prefixes))


def _status_codes(value: str) -> str:
    codes = [code.strip() for code in value.split(",")]
    if not all(STATUS_CODE.fullmatch(code) for code in codes):
        raise ValueError("expected status codes with commas between, as in 429,503")
    return ",".join(codes)


def _allowed(value: str, info: ValidationInfo) -> str:
    patterns = info.data.get("allowed_functions", "*")
    if not _matches(value, patterns):
        raise ValueError(f"{value!r} is not among the allowed_functions: {patterns}")
    return value


def _matches(name: str, patterns: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns.split(", ") if pattern)


class Settings(BaseModel):
    """The environment variables that the function reads, each with its rule, default and a line of help.

    Times are in seconds.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    gateway_url: HttpUrl = "http://gateway.openfaas.svc.cluster.local:8080"
    """OpenFaaS gateway, as the function reaches it."""
    public_url: HttpUrl | None = None
    """OpenFaaS gateway, as people reach it; by default `gateway_url`."""
    function_name: Annotated[str, Field(pattern=FUNCTION_NAME)] = "pipeline"
    """Name under which this function is deployed; its keys in Redis begin with it."""
    allowed_functions: Annotated[str, AfterValidator(_patterns)] = "*"
    """Functions that a batch may call, as patterns with commas between."""
    allowed_urls: Annotated[str, AfterValidator(_prefixes)] | None = None
    """URLs that a batch may notify, as prefixes with commas between."""
    allowed_hosts: Annotated[str, AfterValidator(_patterns)] | None = None
    """Further hosts under which a browser may use the function, as patterns with commas between."""
    model_function: Annotated[str, Field(pattern=FUNCTION_NAME), AfterValidator(_allowed)] | None = None
    """Model function of a batch that names none."""
    redis_url: Annotated[str, AfterValidator(_redis_url)] = "redis://redis-master.redis.svc.cluster.local:6379"
    """Redis: one server, a cluster by some of its nodes, or a primary by its sentinels."""
    s3_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Bucket for inputs, snapshots and results."""
    allowed_buckets: Annotated[str, AfterValidator(_patterns)] | None = None
    """Other buckets from which a batch may read its input, as patterns with commas between."""
    s3_endpoint: HttpUrl | None = None
    """URL of the S3 server; by default that of AWS."""
    s3_public_endpoint: HttpUrl | None = None
    """URL of the same S3 server as people reach it; by default `s3_endpoint`."""
    s3_region: str = "us-east-1"
    """Region of the bucket."""
    s3_addressing: Literal["auto", "path", "virtual"] = "auto"
    """Where a URL names the bucket: in its path or in its host."""
    secret_mount_path: Path = Path("/var/openfaas/secrets")
    """Folder with the files of the secrets."""
    task_timeout: Annotated[float, Field(gt=0, le=3600)] = 50
    """Time in which a task must answer."""
    ack_wait: Annotated[float, Field(gt=0, le=86400)] = 60
    """The queue-worker's `ack_wait`."""
    openfaas_pro: bool = False
    """Whether the queue-worker is that of OpenFaaS Pro, which retries by itself."""
    retry_codes: Annotated[str, AfterValidator(_status_codes)] = "408,429,500,502,503,504"
    """Status codes that the queue-worker of OpenFaaS Pro retries, its `httpRetryCodes`."""
    retry_attempts: Annotated[int, Field(ge=0, le=10_000)] = 100
    """Retries by the queue-worker of OpenFaaS Pro, its `maxRetryAttempts`."""
    retry_wait: Annotated[float, Field(ge=0, le=86400)] = 120
    """Longest pause between two of these retries, its `maxRetryWait`."""
    drain_delay: Annotated[float, Field(ge=0, le=600)] = 5
    """Time for which a replica still takes requests after SIGTERM."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level of the function's own events in its log."""
    max_rows: Annotated[int, Field(ge=1)] = 10_000_000
    """Maximum of rows in an input."""
    temporary_bytes: Annotated[int, Field(ge=MIB)] | None = None
    """Maximum of bytes of a replica's temporary files for inputs; by default 9/10 of what is free."""
    retention: Annotated[float, Field(gt=0)] | None = None
    """Time after which an ended batch is deleted; by default never."""
    sweep_interval: Annotated[float, Field(gt=0, le=3600)] = 1
    """Pause between two sweeps while a batch is open."""
    port: Annotated[int, Field(ge=0, le=65535)] = 5000
    """Port on 127.0.0.1 to which the watchdog forwards requests."""

    _watchdog: Watchdog = PrivateAttr(default_factory=Watchdog)

    def model_post_init(self, context: Any) -> None:
        """Read the watchdog's variables from the environment, which is the validation context."""
        self._watchdog = read_watchdog(context or {})

    @property
    def watchdog(self) -> Watchdog:
        """The watchdog's variables: not settings of the function, but they must agree with them."""
        return self._watchdog

    def allows(self, function: str) -> bool:
        """Return whether a batch may call this function."""
        return _matches(function, self.allowed_functions)

    def allows_url(self, url: str) -> bool:
        """Return whether a batch may notify this URL, which is in the form of `web_url`."""
        prefixes = self.allowed_urls.split(", ") if self.allowed_urls else []
        return any(is_under(URL(url), URL(prefix)) for prefix in prefixes)

    def allows_bucket(self, bucket: str) -> bool:
        """Return whether a batch may read its input from this bucket; the function's own is always allowed."""
        return bucket == self.s3_bucket or _matches(bucket, self.allowed_buckets or "")

    def allows_host(self, host: str) -> bool:
        """Return whether a browser may use the function under this host: no name that may be another's."""
        name = host_name(host)
        own = urlsplit(self.public_url or self.gateway_url).hostname
        return is_local(name) or name == own or _matches(name, self.allowed_hosts or "")

    def is_retried(self, status: int) -> bool:
        """Return whether the queue-worker repeats a call that is answered with this status."""
        return self.openfaas_pro and str(status) in self.retry_codes.split(",")

    @property
    def silence(self) -> float:
        """Seconds within which a message that a worker took is answered, including a redelivery."""
        return self.task_timeout + self.ack_wait

    @property
    def worker_retries(self) -> float:
        """Seconds for which the queue-worker may repeat a direct call, and be silent, before its only callback."""
        return self.retry_attempts * (self.retry_wait + self.task_timeout) if self.openfaas_pro else 0.0


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; an empty variable counts as not set.

    Raises ConfigurationError naming each variable that is missing or wrong.
    """
    variables = {name: value for name in Settings.model_fields if (value := environment.get(name))}
    try:
        return Settings.model_validate(variables, context=environment)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigurationError("settings: " + "; ".join(lines)) from None
