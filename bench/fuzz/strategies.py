"""Conversations: the steps of hostile and honest callers, one after the other."""

from __future__ import annotations

import json

from hypothesis import strategies as st

from bench.fuzz import description, values
from bench.fuzz.raw import raw_steps
from bench.fuzz.steps import POOL, USES, Call, Change, Purpose, Signed, Step, Use

MODES = tuple(mode.encode() for mode in description.modes())
_CONTROLS = (b"status", b"cancel", b"pause", b"resume", b"tune", b"redrive", b"delete")
_NAMES = [name.encode() for name in values.FIELDS]
_fixed = st.sampled_from([path.encode() for path in sorted(description.fixed())])
_NO_TOKEN = ((b"Authorization", b""),)
_pool = st.integers(0, POOL - 1)
_query_value = (
    st.sampled_from([b"1", b"0", b"5", b"auto", b"0.5", b"true", b"20%", b"nan", b"-1"]) | values.raw_query_part
)
_HEADERS = (
    *(b"X-Callback-Url", b"X-Function-Status", b"X-Retry", b"X-Retry-Max", b"X-Call-Id", b"X-Pipeline-Signature"),
    *(b"X-Connector", b"Authorization", b"Content-Type", b"X-Mode", b"X-Batch-Id", b"Cookie", b"Range"),
    *(b"If-None-Match", b"X-Http-Method-Override", b"X-Forwarded-For", b"Accept", b"Accept-Encoding"),
)
_other_headers = st.lists(
    st.one_of(
        st.tuples(st.just(b"Content-Type"), values.content_types),
        st.tuples(st.just(b"Content-Encoding"), values.encodings),
        st.tuples(st.sampled_from(_HEADERS), values.header_value),
        st.tuples(st.from_regex(rb"\A[A-Za-z][A-Za-z0-9-]{0,30}\Z"), values.header_value).filter(
            lambda pair: pair[0].lower() not in {b"host", b"connection", b"expect", b"upgrade", b"te", b"trailer"}
        ),
    ),
    max_size=4,
).map(tuple)


def _submission(number: int, fields: dict[str, object]) -> Call:
    body = json.dumps(values.valid_fields() | fields).encode()
    return Call(b"batch", number, "header", headers=((b"Content-Type", b"application/json"),), body=body)


honest_batches = st.builds(
    _submission,
    _pool,
    st.fixed_dictionaries(
        {},
        optional={
            "input": st.sampled_from(["rows.csv", "fails.csv", "slow.csv"]),
            "chunk": st.sampled_from([1, 3, "auto"]),
            "window": st.sampled_from([1, 128]),
            "tolerate": st.sampled_from([0, "10%"]),
            "attempts": st.sampled_from([1, 2]),
            "rate": st.sampled_from([5, 1000]),
            "sql": st.sampled_from(["SELECT url, label FROM results LIMIT 3", "SELECT 1 FROM results", "SELECT"]),
            "dry_run": st.sampled_from([False, False, True]),
        },
    ),
)
_tunings = st.sampled_from(
    [((b"window", b"1"),), ((b"window", b"500"),), ((b"rate", b"0"),), ((b"rate", b"3"),), ((b"rate", b"1e-300"),), ()]
)
honest_controls = st.builds(Call, st.sampled_from(_CONTROLS), _pool, st.sampled_from(["query", "header"]))
honest_looks = st.one_of(
    st.builds(Call, st.just(b"tune"), _pool, query=_tunings),
    st.just(Call(b"sweep")),
    st.just(Call(b"doctor")),
    st.just(Call(None, method=b"GET")),
    st.builds(Call, st.none(), method=st.just(b"GET"), path=_fixed, headers=st.just(_NO_TOKEN)),
    st.builds(Call, st.none(), _pool, method=st.just(b"GET"), path=st.just(b"/status")),
)
strangers = st.builds(
    Call,
    st.sampled_from(MODES) | st.none(),
    _pool,
    st.sampled_from(["query", "header"]),
    st.sampled_from([b"POST", b"GET"]),
    headers=st.tuples(
        st.tuples(
            st.just(b"Authorization"),
            values.header_value | st.sampled_from([b"", b"Bearer", b"Bearer ", b"Basic x", b"Bearer null"]),
        )
    ),
    body=st.just(json.dumps(values.valid_fields()).encode()),
)


def _hostile_batch(**parts: st.SearchStrategy[object]) -> st.SearchStrategy[Call]:
    return st.builds(Call, st.just(b"batch"), fresh=st.just(value=True), **parts)


def _query_of(names: st.SearchStrategy[bytes], most: int, *more: tuple[bytes, bytes]) -> st.SearchStrategy[object]:
    deadline = (b"deadline", b"%d" % values.DEADLINE)
    pairs = st.lists(st.tuples(names, _query_value), max_size=most)
    return pairs.map(lambda pairs: (*pairs, *more, deadline))


_names = st.sampled_from(_NAMES)
_csv_type = st.just(((b"Content-Type", b"text/csv"),))
_any_query, _csv_query = _query_of(_names | values.raw_query_part, 3), _query_of(_names, 2, (b"function", b"model"))
hostile_batches = st.one_of(
    _hostile_batch(headers=_other_headers, body=values.json_bodies, chunked=st.booleans()),
    _hostile_batch(query=_any_query, headers=_other_headers, body=values.text_bodies),
    _hostile_batch(query=_csv_query, headers=_csv_type, body=values.csv_bodies, chunked=st.booleans()),
)
hostile_calls = st.builds(
    Call,
    st.one_of(st.sampled_from(MODES), st.sampled_from(MODES).map(bytes.upper), values.header_value, st.none()),
    st.one_of(_pool, st.none(), values.raw_query_part),
    st.sampled_from(["query", "header"]),
    st.sampled_from([b"POST", b"GET", b"HEAD", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"QUERY"]),
    st.sampled_from(
        [
            *(b"/", b"/collect", b"/collect/", b"/collect/direct", b"/collect/probe", b"//collect", b"/COLLECT"),
            *(b"/status", b"/%63ollect", b"/a/../b"),
        ]
    )
    | _fixed
    | values.raw_query_part.map(lambda part: b"/" + part.replace(b"?", b"")),
    st.lists(
        st.tuples(st.sampled_from([b"batch", b"sig", b"window", b"rate"]) | values.raw_query_part, _query_value),
        max_size=3,
    ).map(tuple),
    _other_headers,
    st.one_of(st.just(b""), values.text_bodies, values.json_bodies),
    st.booleans(),
)
_numbers = st.one_of(
    st.sampled_from([b"-1", b"0", b"1", b"+0", b"00", b"0_0", b"0.0", b"1e0", b"nan", b"%D9%A0", b"%200", b""]),
    st.sampled_from([b"9" * 30, b"9" * 4400]),
    values.raw_query_part,
)
_covered = st.sampled_from([b"batch", b"generation", b"task", b"attempt", b"epoch", b"key", b"sig", b"function"])
_numbered = st.sampled_from([b"generation", b"task", b"attempt"])
_letters = st.sampled_from([b"0", b"1", b"a", b"A", b"f", b"F", b"%00", b"%FF", b"-", b"."])
_other_number = st.builds(
    Change, _numbered, st.sampled_from([b"0", b"1", b"2", b"3", b"4", b"5", b"6"]), kind=st.just("set")
)
_CHANGES = [
    *[st.just(Change(b""))] * 4,
    *[_other_number] * 2,
    st.builds(Change, _numbered, _numbers, kind=st.just("set")),
    st.builds(Change, _covered, _numbers, kind=st.just("set")),
    *[st.builds(Change, _covered, place=st.integers(0, 70), letter=_letters, kind=st.just("flip"))] * 2,
    st.builds(Change, _covered, kind=st.just("drop")),
    st.builds(Change, st.sampled_from([b"function", b"x", b"task", b"sig"]), _numbers, kind=st.just("add")),
]
# The queue holds few openings: only a large input, or a batch that Redis has forgotten, makes one.
_CALLBACK: tuple[Purpose, Use] = ("callback", "collect")
_USES: list[tuple[Purpose, Use]] = [
    ("task", "task"),
    _CALLBACK,
    _CALLBACK,
    _CALLBACK,
    ("reduce", "reduce"),
    ("probe callback", "collect/probe"),
]
_misused = st.tuples(st.sampled_from([*USES]), st.sampled_from([*USES.values()]))
signed_steps = st.builds(
    lambda use, *rest: Signed(*use, *rest),
    st.sampled_from([*map(st.just, _USES), _misused]).flatmap(lambda use: use),
    st.integers(0, 30),
    st.sampled_from(_CHANGES).flatmap(lambda change: change),
    st.sampled_from(["own", "own", None, *range(8)]),
    _other_headers,
    st.one_of(st.just(b""), st.binary(max_size=60)),
)

# Each is drawn as often as it is listed: one_of would weigh them by their branches.
_KINDS: list[st.SearchStrategy[Step]] = [
    *[honest_batches] * 2,
    *[honest_controls] * 4,
    honest_looks,
    *[hostile_batches] * 3,
    *[hostile_calls] * 2,
    *[signed_steps] * 4,
    strangers,
    raw_steps,
]
step: st.SearchStrategy[Step] = st.sampled_from(_KINDS).flatmap(lambda kind: kind)
conversations = st.lists(step, min_size=8, max_size=24)
