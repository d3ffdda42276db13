"""Access: which requests may use the function, and the answer to all others."""

import hmac
from dataclasses import dataclass, replace
from typing import Any, cast
from urllib.parse import parse_qsl

import pytest
from multidict import CIMultiDict

from pipeline import handler
from pipeline.access import Access
from pipeline.context import Context
from pipeline.errors import ForbiddenError, UnauthorizedError
from pipeline.handler import MODES, Signed, handle
from pipeline.identity import Identity
from pipeline.openfaas.signing import Signer
from pipeline.request import Event, Response

TOKEN = b"a-token-of-the-tests"
NEXT = b"the-next-token-of-the-tests"
EXPECTED = "expected 'Authorization: Bearer TOKEN' with a token of the secret pipeline-token"
BEARER = f"Bearer {TOKEN.decode()}"


def event(authorization: str | None = None, method: str = "POST", path: str = "/", **headers: str) -> Event:
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    if authorization is not None:
        given["Authorization"] = authorization
    return Event(b"", given, method, {}, path)


def lets_in(access: Access, authorization: str | None) -> bool:
    try:
        access.check(event(authorization))
    except UnauthorizedError:
        return False
    return True


@pytest.mark.parametrize(
    "given", [BEARER, f"bearer {TOKEN.decode()}", f"BEARER   {TOKEN.decode()} ", f"Bearer {NEXT.decode()}"]
)
def test_known_token_is_accepted(given: str) -> None:
    assert lets_in(Access((TOKEN, NEXT)), given)
    assert not lets_in(Access((b"a-token-of-somebody-else",)), given)


@pytest.mark.parametrize("given", [None, "", BEARER, "Basic x"])
def test_request_without_configured_tokens_is_accepted(given: str | None) -> None:
    assert lets_in(Access(), given)


REFUSED: dict[str, tuple[str | None, str]] = {
    "nothing": (None, "the header Authorization is missing"),
    "an empty header": ("", "the header Authorization is missing"),
    "another scheme": (f"Basic {TOKEN.decode()}", "the header Authorization is not understood"),
    "a token without its scheme": (TOKEN.decode(), "the header Authorization is not understood"),
    "a scheme without its token": ("Bearer", "the header Authorization is not understood"),
    "a scheme and a space": ("Bearer ", "the header Authorization is not understood"),
    "another token": ("Bearer another-token-of-tests", "the token is not known"),
    "half a token": (BEARER[:-1], "the token is not known"),
    "a longer token": (BEARER + "x", "the token is not known"),
    "a token in capitals": (f"Bearer {TOKEN.decode().upper()}", "the token is not known"),
    "two tokens": (f"{BEARER} {NEXT.decode()}", "the token is not known"),
    "a token that no text encodes": ("Bearer \udcff\ud800", "the token is not known"),
}


@pytest.mark.parametrize(("given", "reason"), REFUSED.values(), ids=REFUSED)
def test_refused_request_learns_only_what_was_expected(given: str | None, reason: str) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        Access((TOKEN, NEXT)).check(event(given))
    assert str(caught.value) == f"{reason}: {EXPECTED}"


def test_tokens_are_compared_by_digests_of_equal_length(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(known: bytes, given: bytes) -> bool:
        compared.append((known, given))
        return known == given

    monkeypatch.setattr(hmac, "compare_digest", compare)
    Access((TOKEN, NEXT)).check(event(BEARER))
    assert [(len(known), len(given)) for known, given in compared] == [(32, 32)] * 2


def test_new_token_works_at_once_and_removed_token_no_longer() -> None:
    now = [(TOKEN,), (NEXT, TOKEN), (NEXT,), ()]
    access = Access((TOKEN,), lambda: now.pop(0))
    access.check(event(BEARER))
    access.check(event(f"Bearer {NEXT.decode()}"))
    for _ in range(2):
        with pytest.raises(UnauthorizedError, match=r"^the token is not known"):
            access.check(event(BEARER))
    assert now == []


def test_function_started_without_tokens_stays_open() -> None:
    def reload() -> tuple[bytes, ...]:
        raise AssertionError

    Access((), reload).check(event())


@dataclass
class Closed:
    access: Access
    signer: Signer | None = None

    @property
    def typed(self) -> Context:
        return cast("Context", self)


CLOSED = Closed(Access((TOKEN,))).typed


def test_only_signed_modes_need_no_token() -> None:
    assert {name for name, mode in MODES.items() if isinstance(mode, Signed)} == {
        *("task", "collect", "reduce", "open", "probe")
    }


@pytest.mark.parametrize("name", [name for name, mode in MODES.items() if not isinstance(mode, Signed)])
async def test_every_other_mode_needs_a_token(name: str) -> None:
    with pytest.raises(UnauthorizedError):
        await handle(event(X_Mode=name), CLOSED)


async def test_new_mode_needs_a_token_unless_signed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: Any) -> Response:
        return Response(200, b"in")

    signer = Signer((TOKEN,))
    query = dict(parse_qsl(signer.query("open", Identity("batch", 0))))
    monkeypatch.setattr(handler, "MODES", {"new": answer, "signed": Signed(answer, "open")})
    with pytest.raises(UnauthorizedError):
        await handle(event(X_Mode="new"), CLOSED)
    assert (await handle(event(BEARER, X_Mode="new"), CLOSED)).body == b"in"
    signed = replace(event(X_Mode="signed"), query=query)
    assert (await handle(signed, Closed(Access((TOKEN,)), signer).typed)).body == b"in"
    with pytest.raises(ForbiddenError):
        await handle(replace(signed, query=query | {"batch": "other"}), Closed(Access((TOKEN,)), signer).typed)


@pytest.mark.parametrize("given", [event(method="GET"), event(X_Connector="cron-connector")], ids=["GET", "cron"])
async def test_request_without_a_mode_needs_a_token(given: Event) -> None:
    with pytest.raises(UnauthorizedError):
        await handle(given, CLOSED)


def is_ours(host: str) -> bool:
    return host.strip() == "ours.example.org"


OPEN = Access(allows_host=is_ours)
FOREIGN: dict[str, list[tuple[str, str]]] = {
    "Host": [("Host", "evil.com"), ("Origin", "http://evil.com")],
    "fetch": [("Host", "evil.com"), ("Sec-Fetch-Site", "same-origin")],
    "X-Forwarded-Host": [("Host", "ours.example.org"), ("X-Forwarded-Host", "evil.com"), ("Origin", "null")],
    "one of two": [("X-Forwarded-Host", "ours.example.org, evil.com"), ("Origin", "null")],
    "the second header": [("X-Forwarded-Host", "ours.example.org"), ("x-forwarded-host", "evil.com"), ("Origin", "")],
    "none": [("Origin", "http://evil.com")],
}
OURS: dict[str, list[tuple[str, str]]] = {
    "a program": [("Host", "evil.com")],
    "a program behind the gateway": [("Host", "evil.com"), ("X-Forwarded-Host", "evil.com")],
    "Host": [("Host", "ours.example.org"), ("Origin", "http://elsewhere")],
    "X-Forwarded-Host": [("Host", "pod"), ("X-Forwarded-Host", "ours.example.org"), ("Sec-Fetch-Site", "none")],
}


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
@pytest.mark.parametrize("more", [{"X-Mode": "status"}, {"Accept": "text/html"}], ids=["a mode", "the page"])
async def test_browser_under_a_foreign_host_is_refused(headers: list[tuple[str, str]], more: dict[str, str]) -> None:
    with pytest.raises(ForbiddenError, match=r"^the host '.*' is not this function's: expected that of public_url"):
        await handle(Event(b"", CIMultiDict([*headers, *more.items()]), "GET", {}, "/"), Closed(OPEN).typed)


@pytest.mark.parametrize("headers", OURS.values(), ids=OURS)
def test_program_and_browser_under_a_host_of_the_function_are_accepted(headers: list[tuple[str, str]]) -> None:
    OPEN.check(Event(b"", CIMultiDict(headers), "GET", {}, "/"))


@pytest.mark.parametrize("headers", FOREIGN.values(), ids=FOREIGN)
def test_host_does_not_matter_with_a_token(headers: list[tuple[str, str]]) -> None:
    access = Access((TOKEN,), allows_host=is_ours)
    access.check(Event(b"", CIMultiDict([*headers, ("Authorization", BEARER)]), "GET", {}, "/"))
    with pytest.raises(UnauthorizedError):
        access.check(Event(b"", CIMultiDict(headers), "GET", {}, "/"))


async def test_host_of_a_signed_request_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(*_: Any) -> Response:
        return Response(200, b"in")

    signer = Signer((TOKEN,))
    monkeypatch.setattr(handler, "MODES", {"collect": Signed(answer, "callback")})
    query = dict(parse_qsl(signer.query("callback", Identity("batch", 0))))
    given = Event(b"", CIMultiDict(FOREIGN["Host"]), "POST", query, "/collect")
    assert (await handle(given, Closed(OPEN, signer).typed)).body == b"in"
