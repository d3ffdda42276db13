"""The specification of a batch: what its submitter asks for, and every rule it has to keep."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Literal, Self

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
from pipeline.settings.environment import FUNCTION_NAME, Settings
from pipeline.spec.field_rules import (
    FORMATS,
    NAME_PREVIEW,
    OutputFormat,
    input_address,
    names_once,
    no_truth,
    output_formats,
    tolerated,
    too_slow,
    within_a_task,
)
from pipeline.spec.headers import checked_headers
from pipeline.spec.input_address import Address
from pipeline.spec.input_format import Format, format_of
from pipeline.spec.targets import MOST_TARGETS, Target, allowed, each_once, listed, not_itself, target
from pipeline.sql.syntax import SQL_LIMIT, one_select
from pipeline.units import KIB, MIB

MOST_PROBLEMS = 20
MOST_NAMED = 1000
Window = Annotated[int, Field(ge=1, le=10_000)]
Rate = Annotated[float, Field(gt=0, le=10_000)]
Function = Annotated[str, Field(pattern=FUNCTION_NAME), AfterValidator(not_itself), AfterValidator(allowed)]
ColumnName = Annotated[str, Field(min_length=1, max_length=KIB)]
Columns = Annotated[
    list[ColumnName], Field(min_length=1, max_length=MOST_NAMED), BeforeValidator(listed), AfterValidator(names_once)
]

_WORDS = {"extra_forbidden": "there is no such field", "missing": "is needed"}


class BatchSpec(BaseModel):
    """What a batch is to do; times are in seconds, `inline_limit` in bytes of a task's answer.

    `rate` is calls to the model function a second, `tolerate` a number of failed items or a share of them all. When the
    batch has ended, `reduce` is called first, then each of `notify`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Annotated[str, AfterValidator(input_address)]
    function: Function
    column: ColumnName | None = None
    columns: Columns | None = None
    format: Format | None = None
    chunk: Annotated[Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"], BeforeValidator(no_truth)] = 1
    chunk_call: bool = False
    direct: bool = False
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    window: Window = 128
    rate: Rate | None = None
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    timeout: Annotated[float, Field(gt=0, le=3600), AfterValidator(within_a_task)] = 30
    tolerate: Annotated[int | str, BeforeValidator(tolerated)] | None = None
    deadline: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400
    inline_limit: Annotated[int, Field(ge=0, le=4 * MIB)] = 64 * KIB
    content_type: Annotated[str, Field(pattern=r"^[\x21-\x7e][\x20-\x7e]*$", max_length=256)] | None = None
    outputs: Annotated[tuple[OutputFormat, ...], BeforeValidator(output_formats)] = FORMATS
    sql: Annotated[str, Field(min_length=1, max_length=SQL_LIMIT), AfterValidator(one_select)] | None = None
    headers: Annotated[dict[str, str], AfterValidator(checked_headers)] = Field(default_factory=dict)
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
    def _items_are_made_one_way(self) -> Self:
        if self.column and self.columns:
            raise ValueError("column makes an item of one cell, columns of several: give one of the two")
        if self.format and self.address.is_prefix:
            raise ValueError("each object under a prefix is an item itself, so there can be no format")
        return self

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

    @property
    def address(self) -> Address:
        """Where the input is."""
        return Address.parse(self.input)

    @property
    def input_format(self) -> Format:
        """The input's format: what is asked for, or what its key tells."""
        return self.format or format_of(self.input)

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
        is_json = json or self.chunk_call or self.columns
        return self.content_type or ("application/json" if is_json else "text/plain; charset=utf-8")


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
