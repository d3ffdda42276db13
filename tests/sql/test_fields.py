"""Fields are extracted from results as text, and typed by their values."""

import polars as pl
import pytest

from pipeline.sql.fields import Fields
from pipeline.units import MIB


def extracted(values: list[bytes | None]) -> tuple[list[str | None], pl.DataType | None]:
    fields = Fields({"a": ("a",)})
    (column,) = fields.extract(values).values()
    return column.to_list(), fields.types().get("a")


@pytest.mark.parametrize(
    ("values", "texts", "dtype"),
    [
        ([b'{"a": "x"}', b'{"a": ""}'], ["x", ""], pl.String()),
        ([b'{"a": 1}', b'{"a": -2}'], ["1", "-2"], pl.Int64()),
        ([b'{"a": 1}', b'{"a": 2.5}'], ["1", "2.5"], pl.Float64()),
        ([b'{"a": 1e300}'], ["1e+300"], pl.Float64()),
        ([b'{"a": 18446744073709551615}', b'{"a": 1}'], ["18446744073709551615", "1"], pl.Float64()),
        ([b'{"a": true}', b'{"a": false}'], ["true", "false"], pl.Boolean()),
        ([b'{"a": true}', b'{"a": 1}'], ["true", "1"], pl.String()),
        ([b'{"a": "x"}', b'{"a": 1}'], ["x", "1"], pl.String()),
        ([b'{"a": [1, {"b": null}]}'], ['[1,{"b":null}]'], pl.String()),
        ([b'{"a": null}', b"{}", b"null", None], [None] * 4, None),
        ([b'"text"', b"[1]", b"7", b"true", b"no JSON", b""], [None] * 6, None),
        ([b'{"a": "x", "a": 7}'], ["7"], pl.Int64()),
    ],
    ids=str,
)
def test_field_type_follows_from_its_values(
    values: list[bytes | None], texts: list[str | None], dtype: pl.DataType | None
) -> None:
    assert extracted(values) == (texts, dtype)


def test_path_consists_of_keys_and_indices() -> None:
    paths = {"p": ("a", 0, "b"), "last": ("a", -1), "key": ("0",), "no": ("a", 9), "text": ("t", 0), "n": (0,)}
    result = b'{"a": [{"b": 1}, 2], "0": 3, "t": "xyz"}'
    found = {name: column.to_list() for name, column in Fields(paths).extract([result]).items()}
    assert found == {"p": ["1"], "last": ["2"], "key": ["3"], "no": [None], "text": [None], "n": [None]}


def test_types_follow_from_all_extracted_results() -> None:
    fields = Fields({"a": ("a",), "b": ("b",)})
    fields.extract([b'{"a": 1}'])
    fields.extract([b'{"a": 0.5}', None])
    assert fields.types() == {"a": pl.Float64()}


@pytest.mark.parametrize("bomb", [b'{"a":' * 100_000, b"[" * 4_000_000, b'{"a":' * 900 + b"1" + b"}" * 900])
def test_nested_result_is_not_a_bomb(bomb: bytes) -> None:
    texts, _ = extracted([bomb, b'{"a": "x"}'])
    assert texts[1] == "x"


def test_overlapping_fields_use_bounded_memory() -> None:
    """One hundred paths may lead to the same part of a result."""
    results = [b'{"a": ["%s"]}' % (b"x" * MIB)] * 8
    for count, too_large in ((4, False), (100, True)):
        fields = Fields({f"f{number}": ("a", -1 if number % 2 else 0) for number in range(count)})
        columns = fields.extract(results).values()
        assert fields.too_large is too_large
        assert sum(column.str.len_bytes().sum() for column in columns) <= 50 * MIB
        assert {len(column) for column in columns} == {8}
