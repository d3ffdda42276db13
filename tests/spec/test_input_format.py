"""The format of an input follows from the name of its object unless it is given."""

import pytest

from pipeline.spec.batch_spec import parse_spec
from pipeline.spec.input_format import CONTENT_TYPES, FORMATS, content_type_of

NAMED = {
    "rows": "csv",
    "rows.txt": "csv",
    "rows.csv.gz": "csv",
    "a.json/rows": "csv",
    "rows.TSV": "tsv",
    "rows.tab.zst": "tsv",
    "rows.Parquet": "parquet",
    "rows.pq": "parquet",
    "rows.ndjson.zstd": "ndjson",
    "rows.jsonl.GZ": "ndjson",
    "rows.json.gz": "json",
    "rows.json.bak": "csv",
    "json": "csv",
    ".json": "json",
    "s3://bucket/rows.json": "json",
}


@pytest.mark.parametrize(("key", "form"), NAMED.items())
def test_format_follows_from_the_key_unless_given(key: str, form: str) -> None:
    assert parse_spec({"input": key, "function": "f"}).input_format == form
    assert parse_spec({"input": key, "function": "f", "format": "tsv"}).input_format == "tsv"


def test_every_format_has_a_content_type_that_means_it() -> None:
    assert {form: CONTENT_TYPES.get(content_type_of(form), "json") for form in FORMATS} == {
        form: form for form in FORMATS
    }
