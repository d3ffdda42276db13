"""Requests: batch ids that fit into keys and URLs, and bodies decoded by their Content-Encoding."""

import gzip
import zlib

import pytest
from backports import zstd
from multidict import CIMultiDict

from pipeline.bodies import unpack_body
from pipeline.errors import BadRequestError
from pipeline.request import Event, batch_of, check_batch_id


@pytest.mark.parametrize("name", ["a", "7", "a.b", "a..b", "A_b-c.9", "x" * 64, "opened", "doctors", "OPEN", "open."])
def test_valid_batch_id_is_accepted(name: str) -> None:
    assert check_batch_id(name) == name


NOT_IDS = (
    *("", ".", "..", "../a", "a/b", "/a", ".a", "-a", "_a", "a b", "a{b}", "{a}"),
    *("a:b", "a%2Fb", "ä", "٣", "x" * 65, "a\n", "\na", "a\x00", "open", "ended", "doctor", "\udcff"),
)


@pytest.mark.parametrize("name", NOT_IDS)
def test_invalid_batch_id_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="is not a batch id: 1 to 64 letters"):
        check_batch_id(name)


def test_long_id_is_not_repeated_in_full() -> None:
    with pytest.raises(BadRequestError) as caught:
        check_batch_id("x" * 10_000)
    assert len(str(caught.value)) < 300


def event(query: dict[str, str], headers: dict[str, str]) -> Event:
    return Event(b"", CIMultiDict(headers), "GET", query, "/")


@pytest.mark.parametrize(
    ("query", "headers", "expected"),
    [
        ({"batch": "one"}, {}, "one"),
        ({}, {"x-batch-id": "two"}, "two"),
        ({"batch": "one"}, {"X-Batch-Id": "two"}, "one"),
        ({"batch": ""}, {"X-Batch-Id": "two"}, "two"),
    ],
)
def test_batch_is_named_in_the_query_or_a_header(query: dict[str, str], headers: dict[str, str], expected: str) -> None:
    assert batch_of(event(query, headers)) == expected


def test_request_without_a_batch_learns_how_to_name_it() -> None:
    with pytest.raises(BadRequestError, match=r"^name the batch: \?batch=ID or the header X-Batch-Id$"):
        batch_of(event({}, {}))
    assert batch_of(event({}, {}), required=False) == ""


@pytest.mark.parametrize("required", [True, False])
def test_request_with_an_invalid_batch_id_is_refused(*, required: bool) -> None:
    with pytest.raises(BadRequestError, match="is not a batch id"):
        batch_of(event({"batch": "a\n"}, {}), required=required)


PLAIN = b"a body of some letters, " * 100
RAW = zlib.compress(PLAIN)[2:-4]
PACKED = {
    "gzip": ("gzip", gzip.compress(PLAIN)),
    "gzip by its old name": ("X-Gzip ", gzip.compress(PLAIN)),
    "gzip in two": ("gzip", gzip.compress(PLAIN[:50]) + gzip.compress(PLAIN[50:])),
    "deflate": ("deflate", zlib.compress(PLAIN)),
    "deflate without its head": ("deflate", RAW),
    "zstd": ("zstd", zstd.compress(PLAIN)),
}


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
def test_body_is_decoded_up_to_a_size(encoding: str, body: bytes) -> None:
    assert unpack_body(body, encoding, len(PLAIN) + 1) == PLAIN
    assert unpack_body(body, encoding, 10) == PLAIN[:10]


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
def test_truncated_body_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^the body cannot be read: it is not packed with \S+, as it says$"):
        unpack_body(body[:-5], encoding, len(PLAIN) + 1)


@pytest.mark.parametrize("encoding", ["", "identity", "br", "gzip, gzip"])
def test_body_in_another_encoding_is_left_unchanged(encoding: str) -> None:
    assert unpack_body(PLAIN, encoding, 10) == PLAIN


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_empty_body_stays_empty(encoding: str) -> None:
    assert unpack_body(b"", encoding, 10) == b""
