"""One JSON array becomes lines: its objects stay unchanged, and errors name the row."""

import io
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError
from pipeline.inputs import json_array as jsonarrays
from pipeline.inputs.json_array import split_array
from pipeline.units import MIB


def split(folder: Path, body: bytes, pointer: str = "") -> list[bytes]:
    path = folder / "array"
    path.write_bytes(body)
    target = io.BytesIO()
    split_array(path, target, pointer)
    return target.getvalue().splitlines()


ARRAYS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b" [ \n] ", []),
    "one object": (b'[{"a":1}]', [b'{"a":1}']),
    "several": (b'[{"a":1},{"b" : [1.10, {"c":"]"}]} ,\n{}]\n', [b'{"a":1}', b'{"b" : [1.10, {"c":"]"}]}', b"{}"]),
    "of several lines": (b'[\r\n  {\r\n    "a": 1\n  }\r]', [b'{      "a": 1   }']),
    "with a byte order mark": (b'\xef\xbb\xbf[{"a":1}]', [b'{"a":1}']),
    "with letters": ('[{"ä":"€😀\u2028"}]'.encode(), ['{"ä":"€😀\u2028"}'.encode()]),
    "with a number of many digits": (b'[{"a":%s}]' % (b"9" * 5000), [b'{"a":%s}' % (b"9" * 5000)]),
}


@pytest.mark.parametrize(("body", "lines"), ARRAYS.values(), ids=ARRAYS)
def test_array_is_split_into_its_objects_unchanged(tmp_path: Path, body: bytes, lines: list[bytes]) -> None:
    assert split(tmp_path, body) == lines


NESTED = b'{"data": {"items": [{"a": 1}], "a/b~c": [{"b": 2}], "n": 7}, "list": [{"c": [{"d": 4}]}]}'


@pytest.mark.parametrize(
    ("pointer", "lines"),
    [("/data/items", [b'{"a": 1}']), ("/data/a~1b~0c", [b'{"b": 2}']), ("/list", [b'{"c": [{"d": 4}]}'])],
)
def test_pointer_names_an_array(tmp_path: Path, pointer: str, lines: list[bytes]) -> None:
    assert split(tmp_path, NESTED, pointer) == lines
    assert split(tmp_path, b"\xef\xbb\xbf" + NESTED, pointer) == lines


@pytest.mark.parametrize(
    ("pointer", "reason"),
    [
        ("", "the input is one object: expected an array, or pointer '/list'"),
        ("/data", "the input cannot be read as JSON: expected an array of objects, as in [{...}, ...], or pointer"),
        ("/data/n", "the input cannot be read as JSON: expected an array of objects, as in [{...}, ...]"),
        ("/none", "there is nothing at the pointer '/none': the input has data, list"),
        ("/data/none", "there is nothing at the pointer '/data/none': /data has items, a/b~c, n"),
        ("/data/n/x", "there is nothing at the pointer '/data/n/x': /data/n has no members"),
        ("/list/0", "there is nothing at the pointer '/list/0': /list has no members"),
    ],
)
def test_pointer_to_no_array_says_what_is_there(tmp_path: Path, pointer: str, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        split(tmp_path, NESTED, pointer)
    assert str(caught.value) == reason


JSON = "the input cannot be read as JSON: "
TRUNCATED = f"{JSON}it ends too early, or it has a \\u escape that is half of a pair"
NO_ARRAYS: dict[str, tuple[bytes, str]] = {
    "an object": (b'{"a":1}', f"{JSON}expected an array of objects, as in [{{...}}, ...]"),
    "an object with an array": (b'{"items":[{}]}', "the input is one object: expected an array, or pointer '/items'"),
    "a number in it": (b"[{},7]", "row 2 is no object: expected an array of objects, as in [{...}, ...]"),
    "an array in it": (b"[[]]", "row 1 is no object: expected an array of objects, as in [{...}, ...]"),
    "a comma too many": (b"[{},\n]", f"{JSON}JSON is malformed: trailing comma in array in line 2"),
    "no comma": (b"[{}\n\n{}]", f"{JSON}JSON is malformed: expected ',' or ']' in line 3"),
    "no end": (b"[{}", TRUNCATED),
    "an object without end": (b'[{},{"a":1', TRUNCATED),
    "something behind it": (b"[{}] {}", f"{JSON}JSON is malformed: trailing characters in line 1"),
    "half a pair": (b'[{"a":"\\ud800"}]', TRUNCATED),
    "NaN": (b'[{"a":NaN}]', f"{JSON}JSON is malformed: invalid character in line 1"),
    "arrays in arrays": (b"[" * 100_000, f"{JSON}it is nested too deep"),
    "objects in objects": (b'[{"a":' + b'{"a":' * 100_000, f"{JSON}it is nested too deep"),
}


@pytest.mark.parametrize(("body", "reason"), NO_ARRAYS.values(), ids=NO_ARRAYS)
def test_input_that_is_no_array_of_objects_is_refused(tmp_path: Path, body: bytes, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        split(tmp_path, body)
    assert str(caught.value) == reason


def test_object_size_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonarrays, "LINE_LIMIT", 3 * MIB)
    long = b'{"a":"' + b"x" * (3 * MIB - 10) + b'"}'
    assert len(split(tmp_path, b"[" + long + b"," + long + b"]")) == 2
    with pytest.raises(BadRequestError, match=r"^row 2 is over 3 MiB$"):
        split(tmp_path, b"[{}," + long.replace(b"x", b"x" * 5 * MIB, 1) + b"]")
