"""Hostile values: strategies for fields, queries, headers and bodies."""

from __future__ import annotations

import gzip
import json
from urllib.parse import quote_from_bytes

from backports import zstd
from hypothesis import strategies as st

from bench.fuzz import description

FIELDS = tuple(description.resolve("#/components/schemas/BatchSpec")["properties"])
FUNCTION = "model"
DEADLINE = 15
INPUTS = ("rows.csv", "fails.csv", "slow.csv", "empty.csv", "two.csv", "broken.csv.gz")
DEEP = 100_000
HUGE = 10**4000
NUMBERS = (0, -1, 1, 2, 64, 65, 10_000, 10_001, 2**31, 2**63, 2**64, -(2**63) - 1, 0.5, -0.0, 1e-320, 1e308, 1e999)
TEXTS = (
    *("", " ", "auto", "nan", "-inf", "1e3", "1_0", "٣", "0x10", "5%", "100.0000001%", "true", "null", "../x"),
    *("/x", "a//b", "open/x", "ended/pipeline/x", "a\x00b", "a\r\nX-Evil: 1", "\u2028", "\ufeffrows.csv"),
    "e\u0301" * 600,
    "😀" * 300,
    "${jndi:ldap://127.0.0.1/a}",
    "'; DROP TABLE batches; --",
    "x" * 5000,
    *("pipeline", "pipeline.openfaas-fn", "MODEL", "nosuch", "text/plain", "application/json"),
)

text = st.one_of(st.sampled_from(TEXTS), st.text(max_size=40), st.from_regex(r"[a-z0-9._/-]{1,20}", fullmatch=True))
number = st.one_of(st.sampled_from(NUMBERS), st.integers(), st.floats())
scalar = st.one_of(st.none(), st.booleans(), number, text)
anything = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
header_map = st.dictionaries(text | st.sampled_from(["X-Extra", "Content-Type", "x-call-id", "Host"]), text, max_size=4)
field_value = st.one_of(scalar, anything, header_map)

# What a client may send as the value of a header: no line breaks, no control characters but the tab.
header_value = st.one_of(
    text.map(lambda value: value.encode(errors="replace")),
    st.binary(max_size=30),
    st.sampled_from([b"x" * 7000, b"\xff\xfe", b"\xc3\xa9", b"a\tb", b"Bearer " + b"y" * 100, b",", b'"']),
).map(lambda value: bytes(b for b in value if b == 9 or (b >= 32 and b != 127)).strip())  # noqa: PLR2004
raw_query_part = st.one_of(
    text.map(lambda value: quote_from_bytes(value.encode(errors="surrogatepass")).encode()),
    st.binary(max_size=20).map(lambda value: quote_from_bytes(value).encode()),
    st.sampled_from([b"%00", b"%", b"%zz", b"%C0%80", b"%ED%A0%80", b"9" * 4400, b"+", b"%2526", b"a%3Db", b";", b"?"]),
)

encodings = st.sampled_from([b"gzip", b"deflate", b"br", b"zstd", b"identity", b"GZIP", b"x", b"gzip, gzip"])
content_types = st.sampled_from(
    [
        *(b"text/csv", b"TEXT/CSV; charset=latin-1", b"text/csv;charset=utf-16", b"application/csv"),
        *(b"application/json", b"application/json; charset=nosuch", b"text/plain; charset=\xff"),
        *(b"multipart/form-data; boundary=x", b"application/x-www-form-urlencoded", b"", b";"),
    ]
)


def _dump(fields: dict[str, object]) -> bytes:
    return json.dumps(fields).encode(errors="surrogatepass")


def valid_fields(key: str = "rows.csv") -> dict[str, object]:
    """Return a valid specification, of a batch that ends soon."""
    return {"input": key, "function": FUNCTION, "deadline": DEADLINE}


odd_fields = st.builds(
    lambda key, more: valid_fields(key) | more,
    st.sampled_from(INPUTS),
    st.dictionaries(st.sampled_from(FIELDS) | text, field_value, min_size=1, max_size=3),
)
json_texts = st.sampled_from(
    [
        b"[" * DEEP,
        b"[" * DEEP + b"]" * DEEP,
        b'{"input": ' * 20_000,
        b'{"headers": ' + b'{"a": ' * 5000 + b"1" + b"}" * 5001,
        b'{"input": "rows.csv", "input": "two.csv", "function": "model"}',
        b'{"input": "rows.csv", "chunk": ' + str(HUGE).encode() + b"}",
        *(b'{"input": "rows.csv", "timeout": NaN}', b'{"input": "rows.csv", "timeout": -Infinity}'),
        *(b'{"input": "rows.csv", "column": "\\ud800"}', b'{"input": "rows.csv", "headers": {"A": "\\udfff"}}'),
        *(b'{"input": "rows\\u0000.csv"}', b'\xef\xbb\xbf{"input": "rows.csv"}'),
        *(b'\xff\xfe{\x00"\x00i\x00"\x00}\x00', b'{"input": "rows.csv"} {"input": "rows.csv"}'),
        *(b'{"input": "rows.csv", }', b'{"input": "rows.csv" /* */}', b"{}", b"[]", b'[{"input": "rows.csv"}]'),
        b'{"__proto__": {"input": "rows.csv"}, "input": "rows.csv"}',
        b'{"input": "' + b"x" * 300_000 + b'"}',
    ]
)
json_bodies = st.one_of(odd_fields.map(_dump), json_texts, anything.map(lambda value: json.dumps(value).encode()))

_ROWS = b"url\na\nb\nc\n"
csv_bodies = st.one_of(
    st.binary(max_size=200),
    st.lists(text, max_size=6).map(lambda rows: "\n".join(["url", *rows]).encode(errors="surrogatepass")),
    st.integers(0, 40).map(lambda cut: gzip.compress(_ROWS * 50, mtime=0)[:cut]),
    st.integers(0, 40).map(lambda cut: zstd.compress(_ROWS * 50)[:cut]),
    st.binary(max_size=40).map(lambda rest: gzip.compress(_ROWS, mtime=0)[:10] + rest),
    st.binary(max_size=40).map(lambda rest: b"\x28\xb5\x2f\xfd" + rest),
    st.sampled_from(
        [
            *(b"", b"\n", b"url", b"url\n", b"url,url\na,b\n", b",\n,\n", b'url\n"a\n', b'url\n"a"b\n'),
            *(b"url\n\x00\n", b"\xef\xbb\xbfurl\r\na\r\n", b"url\n\xff\n", b"\xff\xfeu\x00r\x00l\x00"),
            b",".join(b"c%d" % n for n in range(20_000)) + b"\n" + b"," * 19_999 + b"\n",
            b"url\n" + b"x" * 300_000 + b"\n",
            b"url\na,b,c\nd\n",
            b"url\n" + b'"' * 1001,
            gzip.compress(gzip.compress(_ROWS, mtime=0), mtime=0),
            b"url\rfail 400\rb",
            _ROWS,
        ]
    ),
)
text_bodies = st.one_of(
    text.map(lambda value: value.encode(errors="surrogatepass")),
    st.binary(max_size=60),
    st.sampled_from(INPUTS).map(str.encode),
)
