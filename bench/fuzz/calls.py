"""Requests of honest and hostile callers: of the description, with bodies and headers that break decoders."""

import gzip
from dataclasses import dataclass
from typing import Any

from backports import zstd
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import Case

from bench.fuzz.described import cases, fixed, modes, operations

FUNCTION = "model"
DEADLINE = 15
INPUTS = {
    "rows.csv": b"url\n" + b"".join(b"good %d\n" % n for n in range(7)),
    "fails.csv": b"url\ngood 1\nfail 400 1\nfail 503 1\ngood 2\n",
    "slow.csv": b"url\n" + b"".join(b"slow 0.2 %d\n" % n for n in range(12)),
    "empty.csv": b"",
    "two.csv": b"a,b\n1,2\n",
    "broken.csv.gz": b"\x1f\x8b\x08\x00broken",
}
POOL = 3
# An end is told for a day to a function that does not exist.
LASTING = ("notify", "reduce")
# Fields with which any batch of these inputs can run.
_HARMLESS = ("attempts", "chunk", "dry_run", "inline_limit", "rate", "tolerate", "window")
_DEEP = 100_000
_ROWS = b"url\na\nb\nc\n"
JSON_BODIES = (
    b"[" * _DEEP,
    b"[" * _DEEP + b"]" * _DEEP,
    b'{"input": ' * 20_000,
    b'{"headers": ' + b'{"a": ' * 5000 + b"1" + b"}" * 5001,
    b'{"input": "rows.csv", "input": "two.csv", "function": "model"}',
    b'{"input": "rows.csv", "chunk": ' + str(10**4000).encode() + b"}",
    *(b'{"input": "rows.csv", "timeout": NaN}', b'{"input": "rows.csv", "timeout": -Infinity}'),
    *(b'{"input": "rows.csv", "column": "\\ud800"}', b'{"input": "rows.csv", "headers": {"A": "\\udfff"}}'),
    *(b'{"input": "rows\\u0000.csv"}', b'\xef\xbb\xbf{"input": "rows.csv"}', b"{}", b"[]", b'[{"input": "rows.csv"}]'),
    *(b'\xff\xfe{\x00"\x00i\x00"\x00}\x00', b'{"input": "rows.csv"} {"input": "rows.csv"}'),
    *(b'{"input": "rows.csv", }', b'{"input": "rows.csv" /* */}', b'{"input": "' + b"x" * 300_000 + b'"}'),
    b'{"__proto__": {"input": "rows.csv"}, "input": "rows.csv"}',
    *(
        b'{"input": "%s"}' % key
        for key in (b"../x", b"/x", b"a//b", b"open/x", b"ended/pipeline/x", b"a\\r\\nX-Evil: 1")
    ),
    *(
        b'{"input": "rows.csv", "sql": "%s"}' % sql
        for sql in (b"SELECT", b"SELECT 1 FROM results", b"'; DROP TABLE x; --")
    ),
)
CSV_BODIES = (
    *(b"", b"\n", b"url", b"url\n", b"url,url\na,b\n", b",\n,\n", b'url\n"a\n', b'url\n"a"b\n', b"url\n\x00\n", _ROWS),
    *(b"\xef\xbb\xbfurl\r\na\r\n", b"url\n\xff\n", b"\xff\xfeu\x00r\x00l\x00", b"url\na,b,c\nd\n", b"url\rfail 400\rb"),
    b",".join(b"c%d" % n for n in range(20_000)) + b"\n" + b"," * 19_999 + b"\n",
    *(b"url\n" + b"x" * 300_000 + b"\n", b"url\n" + b'"' * 1001),
    gzip.compress(gzip.compress(_ROWS, mtime=0), mtime=0),
    *(gzip.compress(_ROWS * 50, mtime=0)[:cut] for cut in (5, 11, 30)),
    *(zstd.compress(_ROWS * 50)[:cut] for cut in (3, 8, 20)),
    *(b"\x28\xb5\x2f\xfdnonsense", gzip.compress(_ROWS, mtime=0)[:10] + b"nonsense"),
)
_HEADERS = (
    *(("Content-Encoding", one) for one in ("gzip", "deflate", "br", "zstd", "identity", "GZIP", "x", "gzip, gzip")),
    *(("Content-Type", one) for one in ("TEXT/CSV; charset=latin-1", "text/csv;charset=utf-16", "application/csv")),
    *(
        ("Content-Type", one)
        for one in ("application/json; charset=nosuch", "multipart/form-data; boundary=x", "", ";")
    ),
    *(("X-Mode", "SWEEP"), ("X-Connector", "cron-connector"), ("Range", "bytes=0-"), ("If-None-Match", "*")),
    *(("X-Callback-Url", "http://127.0.0.1:9/"), ("X-Http-Method-Override", "DELETE"), ("X-Forwarded-For", "\xff")),
    *(("Accept", "text/html"), ("X-A", "x" * 7000), ("Cookie", "\xc3\xa9; =")),
)


@dataclass(frozen=True)
class Call:
    """A request of an operation.

    `batch` is the number of one of the conversation's batches, FRESH for an id that nobody has used, of which nothing
    may be left if it is refused, or None for what the case says. `honest` makes a submission valid. `body` and
    `headers` come in place of those of the case.
    """

    name: str
    case: Case[Any]
    batch: int | None = None
    honest: bool = False
    token: str | None = None
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    def prepare(self, key: str, batch: str | None) -> None:
        """Name the batch, and write into a submission that it ends soon and tells nobody; valid where honest."""
        case = self.case
        case.query = {name: value for name, value in (case.query or {}).items() if name not in LASTING}
        if batch is not None:
            case.query.pop("batch", None)
            case.headers = CaseInsensitiveDict({**dict(case.headers or {}), "X-Batch-Id": batch})
        if self.name == "batch":
            fields = case.body if isinstance(case.body, dict) else {}
            for name in LASTING:
                if isinstance(fields.get(name), str | list):
                    del fields[name]
            case.query["deadline"] = DEADLINE
            if self.honest:
                kept = {name: fields[name] for name in _HARMLESS if name in fields}
                case.body = {**kept, "input": key, "function": FUNCTION, "deadline": DEADLINE}
                case.media_type, case.query = "application/json", {}


FRESH = -1
_pool = st.integers(0, POOL - 1)
_token = st.sampled_from([None, None, None, None, None, None, "", "Bearer", "Bearer null", "Basic x", "Bearer \xff"])
_controls = [name for name, mode in modes().items() if not mode.get("signed") and name != "batch"]
_others = [f"GET {path}" for path in sorted(fixed())] + [name for name in operations() if name not in modes()]


def _calls(
    names: list[str], batch: st.SearchStrategy[int | None], **more: st.SearchStrategy[Any]
) -> st.SearchStrategy[Call]:
    return st.sampled_from(names).flatmap(lambda name: st.builds(Call, st.just(name), cases(name), batch, **more))


def _one_of(bodies: tuple[bytes, ...]) -> st.SearchStrategy[bytes]:
    """Draw one by its place: hypothesis would describe the strategy by megabytes of bodies."""
    return st.integers(0, len(bodies) - 1).map(lambda place: bodies[place])


_odd = st.lists(st.sampled_from(_HEADERS), max_size=2).map(tuple)
_bodies = st.one_of(
    _one_of(JSON_BODIES).map(lambda body: (body, (("Content-Type", "application/json"),))),
    _one_of(CSV_BODIES).map(lambda body: (body, (("Content-Type", "text/csv"),))),
    st.tuples(_one_of((*JSON_BODIES, *CSV_BODIES)) | st.binary(max_size=200), _odd),
)
_hostile_bodies = st.builds(
    lambda case, token, pair: Call("batch", case, FRESH, token=token, body=pair[0], headers=pair[1]),
    cases("batch"),
    _token,
    _bodies,
)
# Each is drawn as often as it is listed.
call_kinds: list[st.SearchStrategy[Call]] = [
    *[_calls(["batch"], _pool, honest=st.just(value=True))] * 2,
    *[_calls(_controls, _pool)] * 4,
    *[_calls(["batch"], st.just(FRESH), token=_token, headers=_odd)] * 2,
    *[_hostile_bodies] * 2,
    *[_calls([*_controls, *_others], _pool | st.none(), token=_token, headers=_odd)] * 2,
]
