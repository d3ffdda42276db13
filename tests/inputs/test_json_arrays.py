"""One JSON array becomes lines: its objects stay unchanged, and errors name the row."""

import io
from pathlib import Path

import pytest

from pipeline.errors import BadRequestError
from pipeline.inputs import json_array as jsonarrays
from pipeline.inputs.json_array import split_array
from pipeline.units import MIB


def split(folder: Path, body: bytes) -> list[bytes]:
    path = folder / "array"
    path.write_bytes(body)
    target = io.BytesIO()
    split_array(path, target)
    return target.getvalue().splitlines()


ARRAYS: dict[str, tuple[bytes, list[bytes]]] = {
    "nothing": (b" [ \n] ", []),
    "one object": (b'[{"a":1}]', [b'{"a":1}']),
    "several": (b'[{"a":1},{"b" : [1.10, {"c":"]"}]} ,\n{}]\n', [b'{"a":1}', b'{"b" : [1.10, {"c":"]"}]}', b"{}"]),
    "of several lines": (b'[\r\n  {\r\n    "a": 1\n  }\r]', [b'{      "a": 1   }']),
    "with a byte order mark": (b'\xef\xbb\xbf[{"a":1}]', [b'{"a":1}']),
    "with letters": ('[{"ä":"€😀\u2028"}]'.encode(), ['{"ä":"€😀\u2028"}'.encode()]),
    "with a number of many digits": (b'[{"a":%s}]' % (b"9" * 5000), [b'{"a":%s}' % (b"9" * 5000)]),
    "with half a pair": (b'[{"a":"\\ud800"}]', [b'{"a":"\\ud800"}']),
}


@pytest.mark.parametrize(("body", "lines"), ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("piece", [1, 7, MIB])
def test_array_is_split_into_its_objects_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: bytes, lines: list[bytes], piece: int
) -> None:
    monkeypatch.setattr(jsonarrays, "PIECE", piece)
    assert split(tmp_path, body) == lines


NO_ARRAYS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "the input cannot be read as JSON: expected an array of objects, as in [{...}, ...]"),
    "an object": (b'{"a":1}', "the input cannot be read as JSON: expected an array of objects, as in [{...}, ...]"),
    "a number in it": (b"[{},7]", "row 2 is no object: expected an array of objects, as in [{...}, ...]"),
    "an array in it": (b"[[]]", "row 1 is no object: expected an array of objects, as in [{...}, ...]"),
    "a comma too many": (b"[{},]", "row 2 is no object: expected an array of objects, as in [{...}, ...]"),
    "no comma": (b"[{} {}]", "the input cannot be read as JSON: behind row 1, expected a comma or the array's end"),
    "no end": (b"[{}", "the input cannot be read as JSON: behind row 1, expected more: the array has no end"),
    "no end behind a comma": (b"[{},", "row 2 is no JSON: Expecting value"),
    "no start of an end": (b"[", "row 1 is no JSON: Expecting value"),
    "an object without end": (b'[{},{"a":1', "row 2 is no JSON: Expecting ',' delimiter"),
    "something behind it": (b"[{}] {}", "the input cannot be read as JSON: there is something behind the array"),
    "NaN": (b'[{"a":NaN}]', "row 1 is no JSON: NaN is no JSON"),
    "latin-1": ('[{},{"a":"ä"}]'.encode("latin-1"), "the input cannot be read as JSON: behind row 0 it is not UTF-8"),
    "arrays in arrays": (b"[" * 100_000, "row 1 is no object: expected an array of objects, as in [{...}, ...]"),
    "arrays in an object": (b'[{"a":' + b"[" * 100_000, "row 1 is nested too deep"),
    "objects in objects": (b'[{"a":' + b'{"a":' * 100_000, "row 1 is nested too deep"),
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
    with pytest.raises(BadRequestError, match=r"^row 1 is over 3 MiB$"):
        split(tmp_path, b'[{"a":"' + b"x" * 20 * MIB)
