"""The handler: the mode of a request, and the function for it."""

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import cast
from urllib.parse import parse_qsl

import pytest
from multidict import CIMultiDict, MultiDict

from pipeline import handler
from pipeline.access import Access
from pipeline.context import Context
from pipeline.errors import BadRequestError
from pipeline.handler import MODES, Signed, handle, resolve_mode
from pipeline.identity import Identity
from pipeline.openfaas.signing import Signer
from pipeline.request import Event, Response
from tests.rigs.function.fakes import KEY

MODE_NAMES = (
    *("batch", "task", "collect", "reduce", "status", "outputs", "cancel"),
    *("pause", "resume", "tune", "redrive", "delete", "open", "sweep", "doctor", "probe"),
)
CRON = {"X-Connector": "cron-connector"}


def event(method: str = "POST", path: str = "/", **headers: str) -> Event:
    return Event(b"", CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()}), method, {}, path)


RESOLVED: dict[str, tuple[Event, str]] = {
    **{f"X-Mode: {mode}": (event(X_Mode=mode), mode) for mode in MODE_NAMES},
    "a mode in capitals": (event(X_Mode="BATCH"), "batch"),
    "a mode in spaces": (event(X_Mode=" task "), "task"),
    "a header's name in small letters": (event(x_mode="reduce"), "reduce"),
    "the callback's path": (event(path="/collect"), "collect"),
    "the callback's path with a slash": (event(path="/collect/"), "collect"),
    "the callback's path against X-Mode": (event(path="/collect", X_Mode="batch"), "collect"),
    "the callback's path against X-Mode cancel": (event(path="/collect", X_Mode="cancel"), "collect"),
    "the callback's path against an unknown mode": (event(path="/collect", X_Mode="nonsense"), "collect"),
    "the callback's path against the cron connector": (event(path="/collect", X_Connector="cron-connector"), "collect"),
    "a direct callback's path against X-Mode": (event(path="/collect/direct", X_Mode="batch"), "collect"),
    "a probe's callback's path": (event(path="/collect/probe"), "probe"),
    "a probe's callback's path against X-Mode": (event(path="/collect/probe/", X_Mode="batch"), "probe"),
    "a GET on the callback's path": (event("GET", "/collect"), "collect"),
    "another path has no mode of its own": (event(path="/task", X_Mode="status"), "status"),
    "a GET": (event("GET"), "status"),
    "a GET of a path": (event("GET", "/status"), "status"),
    "a HEAD": (event("HEAD"), "status"),
    "a GET with a mode": (event("GET", X_Mode="sweep"), "sweep"),
    "a GET with an empty mode": (event("GET", X_Mode=" "), "status"),
    "the cron connector": (event(X_Connector="cron-connector"), "sweep"),
    "the cron connector with a mode": (event(X_Connector="cron-connector", X_Mode="status"), "status"),
}


@pytest.mark.parametrize(("given", "mode"), RESOLVED.values(), ids=RESOLVED)
def test_mode_is_resolved_from_path_header_or_method(given: Event, mode: str) -> None:
    assert resolve_mode(given) == mode


LISTED = (
    "the modes are: batch, task, collect, reduce, status, outputs, cancel, pause, resume, tune, redrive, delete, open, "
    "sweep, doctor, probe"
)

UNRESOLVED: dict[str, tuple[Event, str]] = {
    "a POST without a mode": (event(), "the header X-Mode is missing"),
    "a PUT without a mode": (event("PUT"), "the header X-Mode is missing"),
    "another connector": (event(X_Connector="kafka-connector"), "the header X-Mode is missing"),
    "an empty mode": (event(X_Mode=""), "the header X-Mode is missing"),
    "an unknown mode": (event(X_Mode="Map"), "unknown X-Mode 'map'"),
    "an unknown mode of a GET": (event("GET", X_Mode="map"), "unknown X-Mode 'map'"),
    "an unknown mode of the cron connector": (
        event(X_Mode="map", X_Connector="cron-connector"),
        "unknown X-Mode 'map'",
    ),
    "two modes": (event(X_Mode="batch,task"), "unknown X-Mode 'batch,task'"),
    "a long mode is cut": (event(X_Mode="m" * 1000), f"unknown X-Mode '{'m' * 40}'"),
    "a path under the callback's": (event(path="/collect/x"), "the header X-Mode is missing"),
    "a path before the callback's": (event(path="/x/collect"), "the header X-Mode is missing"),
}


@pytest.mark.parametrize(("given", "reason"), UNRESOLVED.values(), ids=UNRESOLVED)
def test_request_without_a_valid_mode_is_refused(given: Event, reason: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        resolve_mode(given)
    assert str(caught.value) == f"{reason}; {LISTED}"


TWICE: dict[str, tuple[list[tuple[str, str]], list[tuple[str, str]], str]] = {
    "a header": ([("X-Mode", "status"), ("x-mode", "batch")], [], "the header X-Mode"),
    "a parameter": ([("X-Mode", "status")], [("batch", "a"), ("batch", "a")], "'batch' in the query"),
    "a long parameter": ([], [("b" * 99, "a"), ("b" * 99, "a")], f"'{'b' * 40}' in the query"),
}


@pytest.mark.parametrize(("headers", "query", "what"), TWICE.values(), ids=TWICE)
async def test_repeated_header_or_parameter_is_refused(
    headers: list[tuple[str, str]], query: list[tuple[str, str]], what: str
) -> None:
    given = Event(b"", CIMultiDict(headers), "POST", MultiDict(query), "/")
    with pytest.raises(BadRequestError) as caught:
        await handle(given, cast("Context", None))
    assert str(caught.value) == f"{what} is given more than once"


async def test_callback_may_repeat_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(_event: Event, _context: Context, identity: Identity) -> Response:
        return Response(200, identity.batch.encode())

    signer = Signer((KEY,))
    query = parse_qsl(signer.query("callback", Identity("b", 0)))
    monkeypatch.setattr(handler, "MODES", {"collect": Signed(answer, "callback")})
    headers = CIMultiDict([("X-Mode", "batch"), ("X-Mode", "batch"), ("Content-Type", "a"), ("Content-Type", "b")])
    given = Event(b"", headers, "POST", MultiDict([("BATCH", "a"), *query]), "/collect")
    context = cast("Context", SimpleNamespace(signer=signer))
    assert (await handle(given, context)).body == b"b"


def test_mode_table_has_every_mode_once() -> None:
    assert tuple(MODES) == MODE_NAMES
    assert len(set(MODES.values())) == len(MODE_NAMES)
    functions = {name: mode.mode if isinstance(mode, Signed) else mode for name, mode in MODES.items()}
    assert {mode: function.__name__ for mode, function in functions.items()} == {
        mode: "open_queued" if mode == "open" else mode for mode in MODE_NAMES
    }


@pytest.mark.parametrize("mode", MODE_NAMES)
async def test_mode_gets_the_event_and_the_context(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    context = cast("Context", SimpleNamespace(access=Access()))
    seen: list[tuple[str, Event, Context]] = []

    def answering(name: str) -> Callable[[Event, Context], Awaitable[Response]]:
        async def answer(given: Event, within: Context) -> Response:
            seen.append((name, given, within))
            return Response(200, name.encode())

        return answer

    monkeypatch.setattr(handler, "MODES", {name: answering(name) for name in MODE_NAMES})
    given = event(X_Mode=mode)
    assert (await handle(given, context)).body == mode.encode()
    assert seen == [(mode, given, context)]
