"""A small server with the API of the pipeline: answers by mode, in turn, and objects under signed links."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from pipeline.client import Pipeline

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from pipeline.client.retry import Tell

TOKEN = "a-token-of-the-tests"
SIGNATURE = "X-Amz-Signature=5ec4e7"
BODY_LIMIT = 80 * 2**20


@dataclass(frozen=True)
class Answer:
    """An answer: a document, or text that is not JSON."""

    document: Any = None
    status: int = 200
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Seen:
    """A received request."""

    method: str
    path: str
    mode: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    raw: str = ""


@dataclass
class Contract:
    """The last answer of a mode is repeated; a mode without answers is unknown, as in an old version."""

    url: str = ""
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    object_answers: list[Answer] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)

    def answer(self, mode: str, *answers: Answer | dict[str, Any]) -> None:
        """Set the answers of a mode, in turn."""
        self.answers[mode] = [given if isinstance(given, Answer) else Answer(given) for given in answers]

    def link(self, key: str, body: bytes, **more: Any) -> dict[str, Any]:
        """Store an object, and return a link to it."""
        self.objects[key] = body
        return {"key": key, "size": len(body), "url": f"{self.url}/bucket/{key}?{SIGNATURE}", **more}

    async def serve(self, request: web.Request) -> web.Response:
        """Answer a call of the function."""
        mode = request.headers.get("X-Mode", "")
        body = await request.read()
        headers = dict(request.headers)
        self.seen.append(Seen(request.method, request.path, mode, dict(request.query), headers, body))
        turn = self.answers.get(mode)
        if turn is None:
            return web.json_response({"error": f"unknown X-Mode {mode!r}; the modes are: batch, status"}, status=400)
        return _response(turn.pop(0) if len(turn) > 1 else turn[0])

    async def serve_object(self, request: web.Request) -> web.Response:
        """Answer as S3 does."""
        key = request.match_info["key"]
        self.seen.append(
            Seen("GET", request.path, "", dict(request.query), dict(request.headers), b"", request.raw_path)
        )
        if self.object_answers:
            return _response(self.object_answers.pop(0))
        return web.Response(body=self.objects[key])


def _response(answer: Answer) -> web.Response:
    if answer.text:
        return web.Response(text=answer.text, status=answer.status, headers=answer.headers)
    return web.json_response(answer.document, status=answer.status, headers=answer.headers)


@asynccontextmanager
async def contract() -> AsyncIterator[Contract]:
    """Serve the contract on a free port; the function is called `pipeline`."""
    made = Contract()

    async def health(_request: web.Request) -> web.Response:
        return web.Response(text="OK")

    app = web.Application(client_max_size=BODY_LIMIT)
    app.router.add_get("/healthz", health)
    app.router.add_get("/bucket/{key:.+}", made.serve_object)
    app.router.add_route("*", "/function/pipeline", made.serve)
    async with TestServer(app) as server:
        made.url = str(server.make_url("")).rstrip("/")
        yield made


@asynccontextmanager
async def open_client(
    patience: float = 30.0, token: str | None = None, tell: Tell | None = None
) -> AsyncIterator[tuple[Contract, Pipeline]]:
    """Serve the contract, and open a client for it."""
    async with contract() as made, Pipeline(made.url, token=token, patience=patience, tell=tell) as pipeline:
        yield made, pipeline


def progress(state: str, succeeded: int = 0, failed: int = 0, **more: Any) -> dict[str, Any]:
    """A status document."""
    counts = {"items": 10, "succeeded": succeeded, "failed": failed, "rate": 2.5, "eta": 1.0, "elapsed": 4.0}
    return {"batch_id": "b-1", "state": state, **counts, "reason": None, **more}
