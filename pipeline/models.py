"""The shapes at the function's edges: requests, responses, the batch's specification, outcomes and answers."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Self

import msgspec
import orjson
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from pipeline.errors import BadRequestError
from pipeline.settings import FUNCTION_NAME, Settings

BATCH_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
RESERVED_IDS = frozenset({"open"})
KIB = 1024
MIB = 1024 * KIB
ITEM_PREVIEW = KIB
MOST_PROBLEMS = 20
SIGNATURE_HEADER = "X-Pipeline-Signature"

_WORDS = {"extra_forbidden": "there is no such field", "missing": "is needed"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OWN_HEADERS = frozenset({"content-length", "content-type", "transfer-encoding", "host", "connection", "expect"})
_PLATFORM_HEADERS = frozenset({"x-call-id", "x-mode", "x-batch-id", "x-callback-url"})


@dataclass(frozen=True)
class Event:
    """A request, as the python3-http template has it. `headers` are case-insensitive; `path` starts with a slash."""

    body: bytes
    headers: Mapping[str, str]
    method: str
    query: Mapping[str, str]
    path: str


@dataclass(frozen=True)
class Response:
    """What a mode answers; `body` is sent as it is."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, document: Any) -> Self:
        """Answer with a JSON document."""
        return cls(status, orjson.dumps(document), {"Content-Type": "application/json"})


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(content):
            raise ValueError(f"{name!r} is not a header's name, or its value has characters a header cannot carry")
        if name.lower() in _OWN_HEADERS | _PLATFORM_HEADERS:
            raise ValueError(f"{name} is set by the pipeline" + " (content_type)" * (name.lower() == "content-type"))
    return value


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number or 'auto'")  # noqa: TRY004
    return value


def _s3_key(value: str) -> str:
    parts = value.split("/")
    if not value or not parts[0] or {".", ".."} & set(parts) or "\x00" in value or len(value.encode()) > KIB:
        raise ValueError("expected the key of an object: 1 to 1024 bytes, no leading slash, no '.' or '..' as a part")
    return value


def _not_itself(value: str, info: ValidationInfo) -> str:
    if info.context and value.split(".", maxsplit=1)[0] == info.context.function_name:
        raise ValueError("the pipeline cannot call itself")
    return value


def _within_a_task(value: float, info: ValidationInfo) -> float:
    if info.context and value > info.context.task_timeout:
        limit = info.context.task_timeout
        raise ValueError(f"{value:g} s is over the task's own {limit:g} s (setting task_timeout)")
    return value


class BatchSpec(BaseModel):
    """What a batch is to do; times are in seconds, `inline_limit` in bytes of a task's answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[str, AfterValidator(_s3_key)]
    function: Annotated[str, Field(pattern=FUNCTION_NAME), AfterValidator(_not_itself)]
    column: Annotated[str, Field(min_length=1, max_length=KIB)] | None = None
    chunk: Annotated[Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"], BeforeValidator(_no_truth)] = 1
    chunk_call: bool = False
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    window: Annotated[int, Field(ge=1, le=10_000)] = 128
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    timeout: Annotated[float, Field(gt=0, le=3600), AfterValidator(_within_a_task)] = 30
    deadline: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400
    inline_limit: Annotated[int, Field(ge=0, le=4 * MIB)] = 64 * KIB
    content_type: Annotated[str, Field(pattern=r"^[\x21-\x7e][\x20-\x7e]*$", max_length=256)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_chunk_call_sends_json(self) -> Self:
        if self.chunk_call and self.content_type not in {None, "application/json"}:
            raise ValueError("chunk_call sends a JSON array, so content_type can only be application/json")
        return self

    @property
    def item_type(self) -> str:
        """The Content-Type of a call to the model function."""
        return self.content_type or ("application/json" if self.chunk_call else "text/plain; charset=utf-8")


class Submission(msgspec.Struct, frozen=True):
    """A batch's specification and the exact object it reads.

    `etag` pins the input: a changed one is refused. `source` is that ETag too, or the hash of a CSV that came as body.
    """

    fields: dict[str, Any]
    etag: str
    size: int
    source: str

    @property
    def digest(self) -> str:
        """Identifies the submission: the same specification of the same input."""
        document = orjson.dumps([self.fields, self.source], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(document).hexdigest()

    @property
    def spec(self) -> BatchSpec:
        """The specification, typed."""
        return BatchSpec.model_validate(self.fields)


def parse_spec(fields: Mapping[str, Any], settings: Settings | None = None) -> BatchSpec:
    """Validate a specification, with `settings` against them too; raises BadRequestError with every problem."""
    try:
        return BatchSpec.model_validate(fields, context=settings)
    except ValidationError as error:
        problems = [
            _place(e["loc"]) + _WORDS.get(e["type"], e["msg"].removeprefix("Value error, ")) for e in error.errors()
        ]
        known = ", ".join(BatchSpec.model_fields)
        raise BadRequestError(
            f"the specification is not valid; its fields are: {known}", problems[:MOST_PROBLEMS]
        ) from None


def _place(location: tuple[int | str, ...]) -> str:
    names = [str(part) for part in location if part not in {"int", "constrained-int", "literal['auto']"}]
    return ".".join(names) + ": " if names else ""


def check_batch_id(value: str) -> str:
    """Return a valid batch id; raises BadRequestError otherwise."""
    if not BATCH_ID.fullmatch(value) or value in RESERVED_IDS:
        raise BadRequestError(
            f"X-Batch-Id {value[:80]!r} is not a batch id: 1 to 64 letters, digits, '.', '_' or '-', "
            "starting with a letter or digit, other than 'open'"
        )
    return value


class Outcome(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What became of one item: a line of an answer and of a segment.

    `result` is JSON as the model function wrote it; text and base64 (then `encoding` says so) are JSON strings.
    `ref` is the key of the object that holds a result too large to travel. `item` is cut at 1,024 characters:
    the whole one is in the snapshot. `duration` is in seconds, `attempts` counts the calls made.
    """

    index: int
    item: str
    status: Literal["succeeded", "failed"]
    status_code: int
    attempts: int
    duration: float
    call_id: str
    retryable: bool = False
    result: msgspec.Raw = msgspec.Raw(b"null")
    encoding: Literal["base64"] | None = None
    ref: str | None = None


class Envelope(msgspec.Struct, frozen=True, rename="camel"):
    """The first line of an answer: all that `collect` has to know of the lines that follow.

    `first` and `last` are item indices, both inclusive; -1 in an answer without outcomes.
    """

    succeeded: int
    failed: int
    not_found: int
    first: int
    last: int


def encode_answer(outcomes: list[Outcome]) -> bytes:
    """Return the body of a task's answer: an envelope, then one line an outcome, in input order."""
    failed = sum(outcome.status == "failed" for outcome in outcomes)
    envelope = Envelope(
        succeeded=len(outcomes) - failed,
        failed=failed,
        not_found=sum(outcome.status_code == 404 for outcome in outcomes),  # noqa: PLR2004
        first=outcomes[0].index if outcomes else -1,
        last=outcomes[-1].index if outcomes else -1,
    )
    return b"\n".join([msgspec.json.encode(envelope), *map(msgspec.json.encode, outcomes)])


def decode_envelope(answer: bytes) -> tuple[Envelope, bytes]:
    """Split an answer into its envelope and its lines, which stay as they are."""
    head, _, lines = answer.partition(b"\n")
    return msgspec.json.decode(head, type=Envelope), lines


def batch_of(event: Event, *, required: bool = True) -> str:
    """Return the batch that a request names by `?batch=` or X-Batch-Id; raises BadRequestError."""
    name = event.query.get("batch") or event.headers.get("X-Batch-Id", "")
    if not name and required:
        raise BadRequestError("name the batch: ?batch=ID or the header X-Batch-Id")
    return check_batch_id(name) if name else ""
