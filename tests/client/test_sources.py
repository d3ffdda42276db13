"""What is sent of a source."""

import gzip
import io
import random
from pathlib import Path

import pytest
from backports import zstd

from pipeline.batchspec import BatchSpec
from pipeline.client import SourceError, SpecFields
from pipeline.client.sources import BODY_LIMIT, make_request, read_csv
from pipeline.models import MIB
from pipeline.server import BODY_LIMIT as SERVERS_LIMIT

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
    assert read_csv(path, LIMIT) == read_csv(path.read_bytes(), LIMIT) == path.read_bytes()


def test_what_is_too_large_is_packed_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(ROWS)
    packed = read_csv(path, LIMIT)
    assert len(packed) < LIMIT
    assert packed == read_csv(ROWS, LIMIT)
    with zstd.open(io.BytesIO(packed)) as unpacked:
        assert unpacked.read() == ROWS


@pytest.mark.parametrize("content", [NOISE, gzip.compress(NOISE), zstd.compress(NOISE), b"\x1f\x8b" + bytes(LIMIT)])
def test_what_is_too_large_even_when_packed_goes_by_s3(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError) as raised:
        read_csv(path, LIMIT)
    assert str(raised.value) == f"{path} is over 4 MiB even when packed: put it into S3 and give its key"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"missing\.csv cannot be read: No such file or directory"):
        make_request(tmp_path / "missing.csv", {})


@pytest.mark.parametrize("rate", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_left_out(rate: float) -> None:
    with pytest.raises(SourceError, match="a field is not a number, or is infinite"):
        make_request("a.csv", {"rate": rate})


def test_headers_do_not_travel_with_a_csv() -> None:
    with pytest.raises(SourceError, match="headers do not travel with a CSV: put it into S3 and give its key"):
        make_request(b"url\n", {"headers": {"X-Extra": "1"}})


def test_who_is_notified_is_a_list_with_commas_beside_a_csv() -> None:
    assert make_request(b"url\n", {"notify": ["next", "https://h/x"]})["query"] == {"notify": "next,https://h/x"}
    with pytest.raises(
        SourceError, match="a URL with a comma does not travel with a CSV: put it into S3 and give its key"
    ):
        make_request(b"url\n", {"notify": ["https://h/x,y"]})
