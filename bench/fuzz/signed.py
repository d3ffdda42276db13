"""Signed URLs that the function has made, from its queue: sent as they are, changed, or with another answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from urllib.parse import parse_qsl, quote_from_bytes

from hypothesis import strategies as st
from schemathesis import Case

from bench.fuzz.described import cases

IDENTITY = ("batch", "generation", "task", "attempt", "epoch")
COVERED = (*IDENTITY, "function", "key", "sig")
# The operation that a URL of each purpose is for.
USES = {
    "task": "task",
    "open": "open",
    "reduce": "reduce",
    "callback": "POST /collect",
    "probe": "probe",
    "probe callback": "POST /collect/probe",
}
RECENT = 200


class SignedAnswer(NamedTuple):
    """A task's answer, and the query of the URL that it answers."""

    query: str
    body: bytes
    signature: str


@dataclass(frozen=True)
class Change:
    """A change of a signed URL: a field gets a value, or another letter at a place."""

    field: str = ""
    value: str = ""
    place: int = 0
    kind: Literal["set", "flip", "drop", "add", "none"] = "none"

    def apply(self, query: str) -> str:
        """Return the query of a URL with the change."""
        changed, before = f"{self.field}={self.value}", f"&{query}&".partition(f"&{self.field}=")
        old, _, rest = before[2].partition("&")
        if self.kind == "add":
            return f"{query}&{changed}"
        if self.kind == "none" or not before[1]:
            return query
        place = self.place % (len(old) or 1)
        new = {"set": changed, "drop": "", "flip": f"{self.field}={old[:place]}{self.value}{old[place + 1 :]}"}
        return f"{before[0]}&{new[self.kind]}&{rest}".strip("&").replace("&&", "&")


@dataclass(frozen=True)
class Signed:
    """A signed URL in use.

    `url` and `answer` count back from the newest of their kind; an "own" answer is that of the URL's task, and `body`
    follows its bytes. `purpose` is the use that was signed, `case` a request of the operation that gets it.
    """

    purpose: str
    use: str
    url: int
    change: Change
    case: Case[Any]
    answer: int | Literal["own"] | None = None
    body: bytes = b""

    def chosen(self, answers: Sequence[SignedAnswer], query: str) -> SignedAnswer | None:
        """Return the task's answer to send."""
        if self.answer == "own":
            own = [one for one in answers[-RECENT:] if identity_of(one.query) == identity_of(query)]
            return own[-1] if own else None
        return answers[-1 - self.answer % len(answers)] if answers and self.answer is not None else None


def identity_of(query: str) -> list[str]:
    """Return the identity that a query carries."""
    fields = dict(_pairs(query))
    return [fields.get(name, "") for name in IDENTITY]


def is_as_signed(original: str, query: str) -> bool:
    """Return whether a query carries the signed fields, each once, and no other field that a signature covers.

    An empty epoch or function is none.
    """
    empty = {("epoch", ""), ("function", "")}
    one, other = (sorted(pair for pair in _pairs(text) if pair[0] in COVERED) for text in (original, query))
    return [pair for pair in one if pair not in empty] == [pair for pair in other if pair not in empty]


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, keep_blank_values=True, errors="surrogateescape")


_numbers = st.one_of(
    st.sampled_from(
        ["-1", "0", "1", "+0", "00", "0_0", "0.0", "1e0", "nan", "%D9%A0", "%200", "", "9" * 30, "9" * 4400]
    ),
    st.sampled_from(["%00", "%", "%zz", "%C0%80", "%ED%A0%80", "+", "%2526", "a%3Db", ";", "?"]),
    st.binary(max_size=20).map(quote_from_bytes),
)
_covered_fields = st.sampled_from(COVERED)
_numbered = st.sampled_from(["generation", "task", "attempt"])
_letters = st.sampled_from(["0", "1", "a", "A", "f", "F", "%00", "%FF", "-", "."])
_CHANGES = [
    *[st.just(Change())] * 4,
    *[st.builds(Change, _numbered, st.sampled_from("0123456"), kind=st.just("set"))] * 2,
    st.builds(Change, _numbered, _numbers, kind=st.just("set")),
    st.builds(Change, _covered_fields, _numbers, kind=st.just("set")),
    *[st.builds(Change, _covered_fields, _letters, st.integers(0, 70), kind=st.just("flip"))] * 2,
    st.builds(Change, _covered_fields, kind=st.just("drop")),
    st.builds(Change, st.sampled_from(["function", "x", "task", "sig"]), _numbers, kind=st.just("add")),
]
# The queue holds few openings: only a large input, or a batch that Redis has forgotten, makes one.
_OFTEN = ("task", "callback", "callback", "callback", "reduce", "probe callback")
_uses = st.one_of(
    st.sampled_from(_OFTEN).map(lambda purpose: (purpose, USES[purpose])),
    st.tuples(st.sampled_from([*USES]), st.sampled_from([*USES.values()])),
)
signed_steps: st.SearchStrategy[Signed] = _uses.flatmap(
    lambda pair: st.builds(
        Signed,
        *map(st.just, pair),
        st.integers(0, 30),
        st.sampled_from(_CHANGES).flatmap(lambda change: change),
        cases(pair[1]),
        st.sampled_from(["own", "own", None, *range(8)]),
        st.just(b"") | st.binary(max_size=60),
    )
)
