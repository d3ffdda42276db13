"""What is sent of a source."""

import gzip
import io
import json
import random
from pathlib import Path

import pytest
from backports import zstd

from pipeline.client import SourceError, SpecFields
from pipeline.client.submission import BODY_LIMIT, make_request, read_input
from pipeline.request import BODY_LIMIT as SERVERS_LIMIT
from pipeline.spec.batch_spec import BatchSpec
from pipeline.units import MIB

LIMIT = 4 * MIB
ROWS = b"url\n" + b"https://example.org/picture.jpg\n" * (3 * LIMIT // 32)
NOISE = random.Random(7).randbytes(LIMIT + 1)


def test_the_limit_is_the_functions() -> None:
    assert BODY_LIMIT == SERVERS_LIMIT


def test_the_fields_are_those_of_a_specification() -> None:
    assert {*SpecFields.__annotations__, "input", "dry_run"} == set(BatchSpec.model_fields)


def test_what_fits_is_sent_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(NOISE[:LIMIT])
    assert read_input(path, "csv", LIMIT) == read_input(path.read_bytes(), "csv", LIMIT) == path.read_bytes()


def test_what_is_too_large_is_packed_the_same_each_time(tmp_path: Path) -> None:
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
def test_what_is_too_large_even_when_packed_goes_by_s3(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        read_input(path, "csv", LIMIT)
    assert str(raised.value) == f"{path} is over 4 MiB even when compressed: put it into S3 and give its key"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.csv cannot be read: No such file or directory"):
        make_request(tmp_path / "missing.csv", {})


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_left_out(rate: float) -> None:
    with pytest.raises(SourceError, match="a field is not a number, or is infinite"):
        make_request("a.csv", {"rate": rate})


def test_headers_do_not_travel_with_a_csv() -> None:
    with pytest.raises(SourceError, match="headers do not travel with a file: put it into S3 and give its key"):
        make_request(b"url\n", {"headers": {"X-Extra": "1"}})


def test_who_is_notified_is_a_list_with_commas_beside_a_csv() -> None:
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
def test_an_input_is_sent_as_what_it_is(
    tmp_path: Path, name: str | None, body: bytes, fields: dict[str, str], sent_as: str
) -> None:
    source: Path | bytes = body
    if name:
        source = tmp_path / name
        source.write_bytes(body)
    request = make_request(source, {"function": "f", **fields})
    assert request == {"query": {"function": "f"}, "body": body, "headers": {"Content-Type": sent_as}}


def test_what_is_sent_as_json_is_no_specification() -> None:
    with pytest.raises(SourceError, match=r"^the JSON does not hold a JSON array: expected one of objects"):
        make_request(b'{"input": "data/all.csv"}', {"format": "json"})


def test_columns_travel_in_the_query_unless_their_names_have_commas() -> None:
    assert make_request(b"a,b\n", {"columns": ["a", "b"]})["query"] == {"columns": "a,b"}
    assert json.loads(make_request("k", {"columns": ["a,b"]})["body"])["columns"] == ["a,b"]
    assert make_request(b"a,b\n", {"columns": "a,b"})["query"] == {"columns": "a,b"}
    with pytest.raises(SourceError, match="name each column by itself; 'a,b', if it is one name, does not travel"):
        make_request(b"a\n", {"columns": ["a", "a,b"]})


def test_parquet_is_never_packed() -> None:
    with pytest.raises(SourceError, match=r"^the Parquet is over 4 MiB even when compressed"):
        read_input(bytes(LIMIT + 1), "parquet", LIMIT)
