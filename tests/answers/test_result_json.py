"""A result keeps the bytes of the model function: JSON stays JSON, text becomes a string, binary becomes base64."""

import base64

import msgspec
import orjson
import pytest

from pipeline.answers.outcome import Outcome
from pipeline.answers.reply import as_json

KEPT = (
    b"123456789012345678901234567890",
    b"1.10",
    b"1.0",
    b"-0",
    b"1e2",
    b"0.1000000000000000055511151231257827",
    b'{"b":1,"a":2,"b":3}',
    b'"\\u00e4\\/"',
    '"\u2028ä"'.encode(),
    b"null",
    b"true",
    b"[]",
    b'{"a":{}}',
    b'"  spaces,  kept  "',
    b"[" * 500 + b"]" * 500,
)

COMPACTED = (
    (b' {"b" : 1.10 ,\n "a": [1,\r\n\t2] }\n', b'{"b":1.10,"a":[1,2]}'),
    (b"\n\n7\n", b"7"),
    (b'"a b"\r\n', b'"a b"'),
    (b'\xef\xbb\xbf{"a":1}', b'{"a":1}'),
)

TEXT = (
    "",
    " ",
    "\n",
    "NaN",
    "[NaN]",
    "Infinity",
    "-Infinity",
    "1e999",
    "plain text",
    'two\nlines of "text"',
    "{'a': 1}",
    '{"a":1}\n{"b":2}',
    "01",
    "1.",
    '"open',
    '"\\ud800"',
    "\ufeff{",
    "\x00",
    "ä€😀",
    "[" * 5000,
    "[" * 5000 + "]" * 5000,
)


@pytest.mark.parametrize("body", KEPT)
def test_json_is_kept_as_written(body: bytes) -> None:
    result, encoding = as_json(body)
    assert (bytes(result), encoding) == (body, None)


@pytest.mark.parametrize(("body", "expected"), COMPACTED)
def test_pretty_printed_json_becomes_one_line(body: bytes, expected: bytes) -> None:
    result, encoding = as_json(body)
    assert (bytes(result), encoding) == (expected, None)


@pytest.mark.parametrize("text", TEXT, ids=lambda text: repr(text[:20]))
def test_invalid_json_becomes_a_string(text: str) -> None:
    result, encoding = as_json(text.encode())
    assert orjson.loads(bytes(result)) == text
    assert encoding is None


@pytest.mark.parametrize("body", [b"\xff\xfe", b"\x89PNG\r\n\x1a\n", b'"\xff"', b"\xed\xa0\x80", b'{"a":"\xe4"}'])
def test_binary_becomes_base64(body: bytes) -> None:
    result, encoding = as_json(body)
    assert base64.b64decode(orjson.loads(bytes(result)), validate=True) == body
    assert encoding == "base64"


@pytest.mark.parametrize("depth", [*range(600, 1030, 10), 5000])
def test_deeply_nested_result_can_be_read_again(depth: int) -> None:
    body = b"[" * depth + b"]" * depth
    result, encoding = as_json(body)
    kept = bytes(result) if bytes(result).startswith(b"[") else orjson.loads(bytes(result)).encode()
    assert (kept, encoding) == (body, None)
    line = msgspec.json.encode(Outcome(0, "", "succeeded", 200, 1, 0.0, "id", result=result))
    assert _read_from_deep_inside(line, 100) == bytes(result)


def _read_from_deep_inside(line: bytes, frames: int) -> bytes:
    if frames:
        return _read_from_deep_inside(line, frames - 1)
    return bytes(msgspec.json.decode(line, type=Outcome).result)


@pytest.mark.parametrize(
    "body", [*KEPT, *(body for body, _ in COMPACTED), *(text.encode() for text in TEXT), b"\xff\n"]
)
def test_result_is_always_one_line_of_json(body: bytes) -> None:
    result, _ = as_json(body)
    assert b"\n" not in bytes(result)
    orjson.loads(bytes(result))


@pytest.mark.parametrize(
    "text", ["1,2,3", '"a"],["b"', "]],[[", "1],[2", " ", "\n\n", "", "1 2", '{"a":1},{"b":2}', "[NaN]", "'a'", "{"]
)
def test_large_result_is_json_only_if_it_is_one_value(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.answers.reply.LARGEST_PARSED", -1)
    result, encoding = as_json(text.encode())
    assert (orjson.loads(bytes(result)), encoding) == (text, None)


@pytest.mark.parametrize(
    "body", [*KEPT, *(body for body, _ in COMPACTED), *(text.encode() for text in TEXT), b"\xff\n"]
)
def test_large_result_can_always_be_read_again(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.answers.reply.LARGEST_PARSED", -1)
    result, _ = as_json(body)
    assert b"\n" not in bytes(result)
    line = msgspec.json.encode(Outcome(0, "", "succeeded", 200, 1, 0.0, "id", result=result))
    assert bytes(msgspec.json.decode(line, type=Outcome).result) == bytes(result)
