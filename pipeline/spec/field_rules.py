"""The rules of a specification's fields; each raises ValueError that says what was expected."""

import re
from typing import Any, Literal, get_args

from pydantic import ValidationInfo

from pipeline.settings.environment import Settings
from pipeline.spec.input_address import Address

NAME_PREVIEW = 80
OutputFormat = Literal["parquet", "csv", "ndjson"]
FORMATS: tuple[OutputFormat, ...] = get_args(OutputFormat)
# The share of a task's time that its calls may take at the batch's `rate`.
RATE_SHARE = 0.6
_TOLERATED = re.compile(r"\d{1,9}|(100|\d{1,2}(\.\d{1,6})?)%", re.ASCII)


def output_formats(value: Any) -> tuple[str, ...]:
    """Return the formats in the order of FORMATS, from a list or from a text with commas, as in a query."""
    names = [part.strip() for part in value.split(",") if value] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or sorted(map(str, names)) != sorted({*map(str, names)} & {*FORMATS}):
        raise ValueError(f"expected some of {', '.join(FORMATS)}, each at most once")
    return tuple(form for form in FORMATS if form in names)


def reject_boolean(value: Any) -> Any:
    """Refuse true and false, which pydantic would accept as numbers."""
    if isinstance(value, bool):
        raise ValueError("expected a number or 'auto'")  # noqa: TRY004
    return value


def input_address(value: str, info: ValidationInfo) -> str:
    """Check the address of an input: a key or a prefix, in this bucket or, as s3://bucket/key, in an allowed one."""
    address = Address.parse(value)
    settings: Settings | None = info.context
    if settings and address.bucket and not settings.allows_bucket(address.bucket):
        allowed = ", ".join(filter(None, [settings.s3_bucket, settings.allowed_buckets]))
        raise ValueError(
            f"the bucket {address.bucket!r} is not allowed; allowed are: {allowed} (setting allowed_buckets)"
        )
    if settings and address.bucket in {None, settings.s3_bucket} and not address.key:
        raise ValueError("the whole of the pipeline's own bucket is no input: expected a prefix in it, as in data/")
    return value


def unique_names(value: list[str]) -> list[str]:
    """Refuse a name that is given twice."""
    twice = next((name for name in value if value.count(name) > 1), None) if len(set(value)) < len(value) else None
    if twice is not None:
        raise ValueError(f"{twice[:NAME_PREVIEW]!r} is given twice")
    return value


def within_a_task(value: float, info: ValidationInfo) -> float:
    """Refuse a time over the setting task_timeout."""
    if info.context and value > info.context.task_timeout:
        limit = info.context.task_timeout
        raise ValueError(f"{value:g} s is over the task's own {limit:g} s (setting task_timeout)")
    return value


def tolerated(value: Any) -> int | str:
    """Check a number of items, or a share of them such as 5%."""
    if isinstance(value, bool) or not _TOLERATED.fullmatch(str(value)):
        raise ValueError("expected a number of items, or a share of them as in '5%'")
    return value if str(value).endswith("%") else int(value)


def too_slow(calls: int, rate: float, settings: Settings) -> str:
    """Return the problem if a task cannot make its calls within its time at this rate, '' if it can."""
    allowed = RATE_SHARE * settings.task_timeout
    if calls / rate <= allowed:
        return ""
    return (
        f"a chunk of {calls} at {rate:g} calls a second takes {calls / rate:g} s, and a task has {allowed:g} s for it: "
        "expected a smaller chunk, or a higher rate"
    )
