"""Requests made from a key, a file or bytes."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest
from backports import zstd

from pipeline.bodies import BODY_LIMIT as SERVERS_LIMIT
from pipeline.client import SourceError, SpecFields
from pipeline.client.submission import BODY_LIMIT, make_request, read_input
from pipeline.spec.batch_spec import BatchSpec
from pipeline.units import MIB

LIMIT = 4 * MIB
ROWS = b"url\n" + b"https://example.org/picture.jpg\n" * (3 * LIMIT // 32)
NOISE = random.Random(7).randbytes(LIMIT + 1)


def test_body_limit_equals_that_of_the_function() -> None:
    assert BODY_LIMIT == SERVERS_LIMIT


def test_fields_equal_those_of_a_specification() -> None:
    assert {*SpecFields.__annotations__, "input", "dry_run"} == set(BatchSpec.model_fields)


def test_small_file_is_sent_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(NOISE[:LIMIT])
    assert read_input(path, "csv", LIMIT) == read_input(path.read_bytes(), "csv", LIMIT) == path.read_bytes()


def test_large_file_is_compressed_reproducibly(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(ROWS)
    packed = read_input(path, "csv", LIMIT)
    assert len(packed) < LIMIT
    assert packed == read_input(ROWS, "csv", LIMIT)
    with zstd.open(io.BytesIO(packed)) as unpacked:
        assert unpacked.read() == ROWS


@pytest.mark.parametrize(
    "content", [NOISE, gzip.compress(NOISE, mtime=0), zstd.compress(NOISE), b"\x1f\x8b" + bytes(LIMIT)]
)
def test_file_too_large_even_compressed_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        read_input(path, "csv", LIMIT)
    assert str(raised.value) == f"{path} is over 4 MiB even when compressed: put it into S3 and give its key"


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.csv cannot be read: No such file or directory"):
        make_request(tmp_path / "missing.csv", {})


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_nan_and_infinity_are_refused(rate: float) -> None:
    with pytest.raises(SourceError, match="a field is not a number, or is infinite"):
        make_request("a.csv", {"rate": rate})


def test_headers_are_refused_beside_a_file() -> None:
    with pytest.raises(SourceError, match="headers do not travel with a file: put it into S3 and give its key"):
        make_request(b"url\n", {"headers": {"X-Extra": "1"}})


def test_notify_is_a_comma_separated_list_beside_a_file() -> None:
    assert make_request(b"url\n", {"notify": ["next", "https://h/x"]})["query"] == {"notify": "next,https://h/x"}
    with pytest.raises(
        SourceError, match="a URL with a comma does not travel with a file: put it into S3 and give its key"
    ):
        make_request(b"url\n", {"notify": ["https://h/x,y"]})


@pytest.mark.parametrize(
    ("name", "body", "fields", "sent_as"),
    [
        ("rows", b"url", {}, "text/csv"),
        ("rows.CSV.gz", b"url", {}, "text/csv"),
        ("rows.tsv", b"url", {}, "text/tab-separated-values"),
        ("rows.parquet", b"PAR1", {}, "application/vnd.apache.parquet"),
        ("rows.jsonl.zst", b"", {}, "application/x-ndjson"),
        ("rows.json", b" \n[]", {}, "application/json"),
        ("rows.json", b"\xef\xbb\xbf[]", {}, "application/json"),
        ("rows.json.gz", gzip.compress(b"[]", mtime=0), {}, "application/json"),
        ("rows.json", b"{}", {"format": "ndjson"}, "application/x-ndjson"),
        (None, b"url", {}, "text/csv"),
        (None, b"[]", {"format": "json"}, "application/json"),
    ],
    ids=str,
)
def test_content_type_follows_from_the_name_or_the_format(
    tmp_path: Path, name: str | None, body: bytes, fields: dict[str, str], sent_as: str
) -> None:
    source: Path | bytes = body
    if name:
        source = tmp_path / name
        source.write_bytes(body)
    request = make_request(source, {"function": "f", **fields})
    assert request == {"query": {"function": "f"}, "body": body, "headers": {"Content-Type": sent_as}}


def test_json_that_is_no_array_is_refused_as_a_file() -> None:
    with pytest.raises(SourceError, match=r"^the JSON does not hold a JSON array: expected one of objects"):
        make_request(b'{"input": "data/all.csv"}', {"format": "json"})


def test_columns_are_sent_in_the_query_unless_a_name_has_a_comma() -> None:
    assert make_request(b"a,b\n", {"columns": ["a", "b"]})["query"] == {"columns": "a,b"}
    assert json.loads(make_request("k", {"columns": ["a,b"]})["body"])["columns"] == ["a,b"]
    assert make_request(b"a,b\n", {"columns": "a,b"})["query"] == {"columns": "a,b"}
    with pytest.raises(SourceError, match="name each column by itself; 'a,b', if it is one name, does not travel"):
        make_request(b"a\n", {"columns": ["a", "a,b"]})


def test_parquet_is_never_compressed() -> None:
    with pytest.raises(SourceError, match=r"^the Parquet is over 4 MiB even when compressed"):
        read_input(bytes(LIMIT + 1), "parquet", LIMIT)
