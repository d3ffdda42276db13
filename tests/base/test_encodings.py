"""A body is unpacked as its Content-Encoding says, and no further than somebody wants it."""

import gzip
import zlib

import pytest
from backports import zstd

from pipeline.errors import BadRequestError
from pipeline.request import unpack_body

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
def test_a_body_is_unpacked(encoding: str, body: bytes) -> None:
    assert unpack_body(body, encoding, len(PLAIN) + 1) == PLAIN
    assert unpack_body(body, encoding, 10) == PLAIN[:10]


@pytest.mark.parametrize(("encoding", "body"), PACKED.values(), ids=PACKED)
def test_a_body_that_is_cut_off_is_refused(encoding: str, body: bytes) -> None:
    with pytest.raises(BadRequestError, match=r"^the body cannot be read: it is not packed with \S+, as it says$"):
        unpack_body(body[:-5], encoding, len(PLAIN) + 1)


@pytest.mark.parametrize("encoding", ["", "identity", "br", "gzip, gzip"])
def test_any_other_body_is_left_as_it_is(encoding: str) -> None:
    assert unpack_body(PLAIN, encoding, 10) == PLAIN


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_nothing_is_nothing(encoding: str) -> None:
    assert unpack_body(b"", encoding, 10) == b""
