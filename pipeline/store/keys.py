"""What an ended batch has beside its summary, by name: under its generation first, and then under the batch."""

import re
from collections.abc import Iterable

REPORT = "report.json"
# What the function answered that a specification names as `reduce`, once it has.
REDUCED = "reduced.json"
FAILURES_CSV = "failures.csv"
FAILURES_PARQUET = "failures.parquet"
FAILURES_NDJSON = "failures.ndjson"
_PARQUET, _CSV, _NDJSON = "application/vnd.apache.parquet", "text/csv; charset=utf-8", "application/x-ndjson"
# In the order in which they are listed.
CONTENT_TYPES = {
    "results.parquet": _PARQUET,
    "results.csv": _CSV,
    "results.ndjson": _NDJSON,
    FAILURES_CSV: _CSV,
    FAILURES_PARQUET: _PARQUET,
    FAILURES_NDJSON: _NDJSON,
    "sql.parquet": _PARQUET,
    "sql.csv": _CSV,
    "sql.json": "application/json",
    REPORT: "application/json",
    REDUCED: "application/json",
}
NAMES = "|".join(map(re.escape, CONTENT_TYPES))
_OUTPUT = re.compile(rf"(\d+/)?({NAMES})")


def is_output(key: str) -> bool:
    """Say whether a key below a batch's folder is one of its outputs, of its end or of one of its generations."""
    return _OUTPUT.fullmatch(key) is not None


def results_of(form: str) -> str:
    """Return the name of the joined table in a format: parquet, csv or ndjson."""
    return f"results.{form}"


def names_of(formats: Iterable[str], again: str = FAILURES_PARQUET) -> list[str]:
    """Return the names that a batch without SQL has when it ends, which asks for the joined table in these formats.

    `again` holds the rows that are to be submitted again with their types.
    """
    asked = {*map(results_of, formats), FAILURES_CSV, again, REPORT}
    return [name for name in CONTENT_TYPES if name in asked]
