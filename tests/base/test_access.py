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
