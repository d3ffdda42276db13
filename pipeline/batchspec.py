"""The specification of a batch: what its submitter asks for, and every rule it has to keep."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, get_args

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
from pipeline.models import KIB, MIB
from pipeline.settings import FUNCTION_NAME, Settings
from pipeline.specrules import MOST_TARGETS, Target, allowed, each_once, listed, not_itself, target
from pipeline.sql.syntax import SQL_LIMIT, one_select

MOST_PROBLEMS = 20
MOST_HEADERS = 64
HEADERS_LIMIT = 16 * KIB
NAME_PREVIEW = 80
# The share of a task's time that its calls may wait for their turn.
TURNS = 0.6
Window = Annotated[int, Field(ge=1, le=10_000)]
Rate = Annotated[float, Field(gt=0, le=10_000)]
Format = Literal["parquet", "csv", "ndjson"]
FORMATS: tuple[Format, ...] = get_args(Format)
Function = Annotated[str, Field(pattern=FUNCTION_NAME), AfterValidator(not_itself), AfterValidator(allowed)]
_TOLERATED = re.compile(r"\d{1,9}|(100|\d{1,2}(\.\d{1,6})?)%", re.ASCII)

_WORDS = {"extra_forbidden": "there is no such field", "missing": "is needed"}
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e\t]*")
_OWN_HEADERS = frozenset({"content-length", "content-type", "transfer-encoding", "host", "connection", "expect"})
_CONTROLS = frozenset({"Cc", "Zl", "Zp"})
_PLATFORM_HEADERS = frozenset({"x-call-id", "x-mode", "x-batch-id", "x-callback-url"})


def _headers(value: dict[str, str]) -> dict[str, str]:
    size = sum(len(name) + len(content) for name, content in value.items())
    if len(value) > MOST_HEADERS or size > HEADERS_LIMIT:
        expected = f"expected at most {MOST_HEADERS} headers of {HEADERS_LIMIT} bytes together"
        raise ValueError(f"{expected}, there are {len(value)} of {size} bytes")
    for name, content in value.items():
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(content):
            raise ValueError(
                f"{name[:NAME_PREVIEW]!r} is not a header's name, or its value has characters a header cannot carry"
            )
        if name.lower() in _OWN_HEADERS | _PLATFORM_HEADERS:
            raise ValueError(f"{name} is set by the pipeline" + " (content_type)" * (name.lower() == "content-type"))
    if len({name.lower() for name in value}) < len(value):
        raise ValueError("a header is given twice: capitals make no difference in its name")
    return value


def _formats(value: Any) -> tuple[str, ...]:
    """Read a list, or what a query has in its place, with commas; in the order of FORMATS."""
    given = [part.strip() for part in value.split(",") if value] if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or sorted(map(str, given)) != sorted({*map(str, given)} & {*FORMATS}):
        raise ValueError(f"expected some of {', '.join(FORMATS)}, each at most once")
    return tuple(form for form in FORMATS if form in given)


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number or 'auto'")  # noqa: TRY004
    return value


def _s3_key(value: str) -> str:
    parts = value.split("/")
    if not value or not parts[0] or {".", ".."} & set(parts) or len(value.encode()) > KIB:
        raise ValueError("expected the key of an object: 1 to 1024 bytes, no leading slash, no '.' or '..' as a part")
    if any(unicodedata.category(letter) in _CONTROLS for letter in value):
        raise ValueError("expected the key of an object, without control characters and line separators")
    return value


def _within_a_task(value: float, info: ValidationInfo) -> float:
    if info.context and value > info.context.task_timeout:
        limit = info.context.task_timeout
        raise ValueError(f"{value:g} s is over the task's own {limit:g} s (setting task_timeout)")
    return value


def _tolerated(value: Any) -> int | str:
    if isinstance(value, bool) or not _TOLERATED.fullmatch(str(value)):
        raise ValueError("expected a number of items, or a share of them as in '5%'")
    return value if str(value).endswith("%") else int(value)


def too_slow(calls: int, rate: float, settings: Settings) -> str:
    """Say what is wrong with a rate at which a task's calls do not have their turn in its time, '' where they do."""
    allowed = TURNS * settings.task_timeout
    if calls / rate <= allowed:
        return ""
    return (
        f"a chunk of {calls} at {rate:g} calls a second takes {calls / rate:g} s, and a task has {allowed:g} s for it: "
        "expected a smaller chunk, or a higher rate"
    )


class BatchSpec(BaseModel):
    """What a batch is to do; times are in seconds, `inline_limit` in bytes of a task's answer.

    `rate` is calls to the model function a second, `tolerate` a number of failed items or a share of them all. When the
    batch has ended, `reduce` is called first, then each of `notify`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[str, AfterValidator(_s3_key)]
    function: Function
    column: Annotated[str, Field(min_length=1, max_length=KIB)] | None = None
    chunk: Annotated[Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"], BeforeValidator(_no_truth)] = 1
    chunk_call: bool = False
    direct: bool = False
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    window: Window = 128
    rate: Rate | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    timeout: Annotated[float, Field(gt=0, le=3600), AfterValidator(_within_a_task)] = 30
    tolerate: Annotated[int | str, BeforeValidator(_tolerated)] | None = None
    deadline: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400
    inline_limit: Annotated[int, Field(ge=0, le=4 * MIB)] = 64 * KIB
    content_type: Annotated[str, Field(pattern=r"^[\x21-\x7e][\x20-\x7e]*$", max_length=256)] | None = None
    outputs: Annotated[tuple[Format, ...], BeforeValidator(_formats)] = FORMATS
    sql: Annotated[str, Field(min_length=1, max_length=SQL_LIMIT), AfterValidator(one_select)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    reduce: Function | None = None
    notify: Annotated[
        tuple[Annotated[str, AfterValidator(target)], ...],
        Field(max_length=MOST_TARGETS),
        BeforeValidator(listed),
        AfterValidator(each_once),
    ] = ()
    # Asks something of one request, so it is no part of the batch.
    dry_run: Annotated[bool, Field(exclude=True)] = False

    @model_validator(mode="after")
    def _a_chunk_call_sends_json(self) -> Self:
        if self.chunk_call and self.content_type not in {None, "application/json"}:
            raise ValueError("chunk_call sends a JSON array, so content_type can only be application/json")
        return self

    @model_validator(mode="after")
    def _a_direct_call_is_one_item_at_the_queues_pace(self) -> Self:
        if self.direct and (self.chunk != 1 or self.chunk_call):
            raise ValueError("direct sends one item a message, so chunk can only be 1, without chunk_call")
        if self.direct and self.rate:
            raise ValueError("direct lets the queue-workers call at their own pace, so there can be no rate")
        return self

    @model_validator(mode="after")
    def _a_rate_lets_a_task_end(self, info: ValidationInfo) -> Self:
        calls = self.calls(1 if self.chunk == "auto" else self.chunk)
        if self.rate and info.context and (problem := too_slow(calls, self.rate, info.context)):
            raise ValueError(problem)
        return self

    def calls(self, items: int) -> int:
        """Return how many calls a task of so many items makes."""
        return 1 if self.chunk_call else items

    def tolerated(self, items: int) -> int | None:
        """Return how many of so many items may fail, None for any number."""
        if isinstance(self.tolerate, str):
            return int(items * Decimal(self.tolerate.rstrip("%")) / 100)
        return self.tolerate

    @property
    def targets(self) -> tuple[Target, ...]:
        """Who is called when the batch has ended: the function that reduces, then who is notified."""
        first = (Target("reduce", self.reduce),) if self.reduce else ()
        return (*first, *(Target("notify", each) for each in self.notify))

    @property
    def shown_targets(self) -> list[tuple[str, str]]:
        """What a status shows of them: kind and name."""
        return [(each.kind, each.shown) for each in self.targets]

    def item_type(self, *, json: bool) -> str:
        """Return the Content-Type of a call to the model function; `json`: the items are JSON."""
        return self.content_type or ("application/json" if self.chunk_call or json else "text/plain; charset=utf-8")


class Submission(msgspec.Struct, frozen=True):
    """A batch's specification and the exact object it reads.

    `etag` pins the input: a changed one is refused. `source` is that ETag too, or the hash of a CSV that came as body.
    `epoch` is the first of this life of the id: what is older in S3 is not this batch's. `owner` is the name of the
    function whose batch it is, since several may share a bucket.
    """

    fields: dict[str, Any]
    etag: str
    size: int
    source: str
    epoch: str = "0"
    owner: str = ""

    @property
    def digest(self) -> str:
        """Identifies the submission: the same specification of the same input."""
        document = orjson.dumps([self.fields, self.source], option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(document).hexdigest()

    def is_later(self, epoch: str) -> bool:
        """Say whether it began a later life of the id than what is of this epoch."""
        return int(self.epoch, 16) > int(epoch, 16)

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
    names = [str(part)[:NAME_PREVIEW] for part in location if part not in {"int", "constrained-int", "literal['auto']"}]
    return ".".join(names) + ": " if names else ""
