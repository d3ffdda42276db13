"""The specification of a batch: each field with its rule, default and help, and the rules between fields."""

import re
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
from pipeline.spec.dialect import Dialect, boolean_text, checked_delimiter, checked_encoding, one_character
from pipeline.spec.field_rules import (
    FORMATS,
    NAME_PREVIEW,
    OutputFormat,
    input_address,
    output_formats,
    reject_boolean,
    tolerated,
    too_slow,
    unique_names,
    within_a_task,
)
from pipeline.spec.headers import checked_headers
from pipeline.spec.input_address import Address
from pipeline.spec.input_format import Format, format_of
from pipeline.spec.targets import (
    MOST_TARGETS,
    Target,
    allowed_function,
    checked_target,
    not_itself,
    split_at_commas,
    unique_targets,
)
from pipeline.units import KIB, MIB

MOST_PROBLEMS = 20
MOST_NAMED = 1000
SQL_LIMIT = 16 * KIB
MOST_CALLS_A_SECOND = 10_000
Window = Annotated[int, Field(ge=1, le=10_000)]
Function = Annotated[str, Field(pattern=FUNCTION_NAME), AfterValidator(not_itself), AfterValidator(allowed_function)]
ColumnName = Annotated[str, Field(min_length=1, max_length=KIB)]
Columns = Annotated[
    list[ColumnName],
    Field(min_length=1, max_length=MOST_NAMED),
    BeforeValidator(split_at_commas),
    AfterValidator(unique_names),
]

# What pydantic adds to the place of a problem: the part of a union that it tried.
_IN_A_UNION = re.compile(r"(int|bool|constrained-int|literal\['auto'\]|function-.*)$")
_WORDS = {"extra_forbidden": "there is no such field", "missing": "is needed"}


class BatchSpec(BaseModel):
    """What a batch is to do: each field with its type, rule, default and a line of help.

    The API's description, the command line's options, the client's arguments and the pages are made or checked by it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    input: Annotated[str, AfterValidator(input_address)]
    """Key of the input in the bucket, or a prefix that ends in `/`: each object under it is an item."""
    function: Function
    """Model function, called for each item; by default that of the setting `model_function`."""
    column: ColumnName | None = None
    """Column whose cell is the item; by default `url`, or the only one."""
    columns: Columns | None = None
    """In place of one column: an item is a JSON object of these columns."""
    format: Format | None = None
    """Format of the input; by default what its name says, or csv."""
    delimiter: Annotated[str, BeforeValidator(checked_delimiter)] = "auto"
    """Character between the cells of a CSV; by default a comma, or what the first lines tell for certain."""
    quote: Annotated[str, BeforeValidator(one_character)] = '"'
    """Character around the quoted cells of a CSV; empty for none."""
    escape: Annotated[str, BeforeValidator(one_character)] = ""
    """Character before a quote or a delimiter that is text; by default none, and a quote is written twice."""
    header: Annotated[bool | Columns, BeforeValidator(boolean_text)] = True
    """Whether the first line of a CSV has the names of its columns, or the names."""
    encoding: Annotated[str, AfterValidator(checked_encoding)] = "auto"
    """Encoding of a CSV, TSV, NDJSON or JSON; by default what its first bytes tell, or utf-8."""
    skip: Annotated[int, Field(ge=0, le=10_000)] = 0
    """Lines of a CSV before its header."""
    pointer: Annotated[str, Field(pattern=r"^(/[^\x00]*)?$", max_length=KIB)] = ""
    """JSON pointer to the rows of a JSON input, as in /data/items; by default the input is the array."""
    chunk: Annotated[Annotated[int, Field(ge=1, le=10_000)] | Literal["auto"], BeforeValidator(reject_boolean)] = 1
    """Items per task; `auto` chooses by the size of the input."""
    chunk_call: bool = False
    """Make one call per task, with a JSON array of its items."""
    direct: bool = False
    """Let the queue-workers call the model function themselves, one item per task."""
    concurrency: Annotated[int, Field(ge=1, le=64)] = 8
    """Items of one task that are called at the same time."""
    window: Window = 128
    """Maximum of tasks in the queue or running."""
    rate: Annotated[float, Field(gt=0, le=MOST_CALLS_A_SECOND)] | None = None
    """Maximum of calls to the model function per second."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 3
    """Generations in which an item that fails with 408, 429 or 5xx is tried."""
    timeout: Annotated[float, Field(gt=0, le=3600), AfterValidator(within_a_task)] = 30
    """Seconds for one call."""
    tolerate: Annotated[int | str, BeforeValidator(tolerated)] | None = None
    """Failed items to tolerate, as a number or as a share such as `5%`."""
    deadline: Annotated[float, Field(gt=0, le=30 * 86400)] = 86400
    """Seconds after which the batch ends with the results that it has."""
    inline_limit: Annotated[int, Field(ge=0, le=4 * MIB)] = 64 * KIB
    """Bytes of results in a task's answer; the largest results above it become objects."""
    content_type: Annotated[str, Field(pattern=r"^[\x21-\x7e][\x20-\x7e]*$", max_length=256)] | None = None
    """Content-Type of a call; by default text/plain, or application/json where items are JSON."""
    outputs: Annotated[tuple[OutputFormat, ...], BeforeValidator(output_formats)] = FORMATS
    """Formats of the joined table, each at most once: parquet, csv, ndjson."""
    csv_safe: bool = False
    """Write `'` before each cell of a CSV output that a spreadsheet would run as a formula."""
    sql: Annotated[str, Field(min_length=1, max_length=SQL_LIMIT)] | None = None
    """A SELECT over the table `results`, answered when the batch ends."""
    headers: Annotated[dict[str, str], AfterValidator(checked_headers)] = Field(default_factory=dict)
    """Further headers of a call, at most 64 of 16384 bytes together."""
    reduce: Function | None = None
    """Function that is called first when the batch has ended; its answer is kept."""
    notify: Annotated[
        tuple[Annotated[str, AfterValidator(checked_target)], ...],
        Field(max_length=MOST_TARGETS),
        BeforeValidator(split_at_commas),
        AfterValidator(unique_targets),
    ] = ()
    """Functions and allowed URLs that are called when the batch has ended, after `reduce`."""
    # A question of one request, and no part of the batch.
    dry_run: Annotated[bool, Field(exclude=True)] = False
    """Only say what the batch would do."""

    @model_validator(mode="after")
    def _check_items(self) -> Self:
        if self.column and self.columns:
            raise ValueError("column makes an item of one cell, columns of several: give one of the two")
        if self.format and self.address.is_prefix:
            raise ValueError("each object under a prefix is an item itself, so there can be no format")
        return self

    @model_validator(mode="after")
    def _check_dialect(self) -> Self:
        if problem := self.dialect.problem(self.input_format):
            raise ValueError(problem)
        if self.pointer and self.input_format != "json":
            raise ValueError(f"pointer does not fit an input of the format {self.input_format}")
        return self

    @model_validator(mode="after")
    def _check_chunk_call(self) -> Self:
        if self.chunk_call and self.content_type not in {None, "application/json"}:
            raise ValueError("chunk_call sends a JSON array, so content_type can only be application/json")
        return self

    @model_validator(mode="after")
    def _check_direct(self) -> Self:
        if self.direct and (self.chunk != 1 or self.chunk_call):
            raise ValueError("direct sends one item a message, so chunk can only be 1, without chunk_call")
        if self.direct and self.rate:
            raise ValueError("direct lets the queue-workers call at their own pace, so there can be no rate")
        return self

    @model_validator(mode="after")
    def _check_rate(self, info: ValidationInfo) -> Self:
        calls = self.calls(1 if self.chunk == "auto" else self.chunk)
        if self.rate and info.context and (problem := too_slow(calls, self.rate, info.context)):
            raise ValueError(problem)
        return self

    @property
    def address(self) -> Address:
        """The address of the input."""
        return Address.parse(self.input)

    @property
    def input_format(self) -> Format:
        """The format of the input: the field `format`, or the format that the key tells."""
        return self.format or format_of(self.input)

    @property
    def dialect(self) -> Dialect:
        """How the input is written, as far as the specification says."""
        return Dialect(self.delimiter, self.quote, self.escape, self.header, self.encoding, self.skip)

    def calls(self, items: int) -> int:
        """Return the number of calls that a task with this many items makes."""
        return 1 if self.chunk_call else items

    def tolerated(self, items: int) -> int | None:
        """Return how many of this many items may fail, None for any number."""
        if isinstance(self.tolerate, str):
            return int(items * Decimal(self.tolerate.rstrip("%")) / 100)
        return self.tolerate

    @property
    def targets(self) -> tuple[Target, ...]:
        """The targets that are called when the batch has ended: the function that reduces first, then the others."""
        first = (Target("reduce", self.reduce),) if self.reduce else ()
        return (*first, *(Target("notify", each) for each in self.notify))

    @property
    def shown_targets(self) -> list[tuple[str, str]]:
        """The kind and the name of each target, as a status shows them."""
        return [(each.kind, each.shown) for each in self.targets]

    def item_type(self, *, json: bool) -> str:
        """Return the Content-Type of a call to the model function; `json` tells whether the items are JSON."""
        is_json = json or self.chunk_call or self.columns
        return self.content_type or ("application/json" if is_json else "text/plain; charset=utf-8")


def parse_spec(fields: Mapping[str, Any], settings: Settings | None = None) -> BatchSpec:
    """Validate a specification, also against `settings` if given; raises BadRequestError with every problem."""
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
    names = [str(part)[:NAME_PREVIEW] for part in location if not _IN_A_UNION.match(str(part))]
    return ".".join(names) + ": " if names else ""
