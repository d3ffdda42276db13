from __future__ import annotations

import io
import subprocess
import sys
import textwrap
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientSession
from aiohttp.test_utils import TestClient, TestServer

from pipeline.local.serve_handler import Context, Event, Handler, create_app, load_handler
from tests.rigs.openfaas.function_process import function_process

if TYPE_CHECKING:
    from pathlib import Path


def write(folder: Path, code: str) -> Path:
    path = folder / "handler.py"
    path.write_text(textwrap.dedent(code))
    return path


def client(function: Any, *, classic: bool = False) -> TestClient[Any, Any]:
    return TestClient(TestServer(create_app(Handler(function, classic=classic))))


async def test_handler_file_is_served_as_a_process(tmp_path: Path) -> None:
    (tmp_path / "words.py").write_text("def shout(text):\n    return text.upper()\n")
    (tmp_path / "names.py").write_text("WHO = 'world'\n")
    path = write(
        tmp_path,
        """
        from function.names import WHO
        from .words import shout

        def handle(event, context):
            assert context.hostname
            words = event.method, event.path, event.query["a"], event.headers["X-Say"], event.body.decode(), WHO
            return {"statusCode": 201, "body": shout(" ".join(words)), "headers": {"X-Made-By": "handler"}}
        """,
    )
    with function_process("pipeline.local.serve_handler", str(path)) as url:
        async with (
            ClientSession() as session,
            session.post(f"{url}/some/path?a=b", data="hello", headers={"X-Say": "say"}) as response,
        ):
            assert response.status == HTTPStatus.CREATED
            assert response.headers["X-Made-By"] == "handler"
            assert await response.text() == "POST /SOME/PATH B SAY HELLO WORLD"


async def test_coroutine_function_is_awaited() -> None:
    async def handle(event: Event, _context: Context) -> Any:
        return {"length": len(event.body)}

    async with client(handle) as served:
        response = await served.post("/", data=b"12345")
        assert response.content_type == "application/json"
        assert await response.json() == {"length": 5}


async def test_classic_handler_gets_text(tmp_path: Path) -> None:
    handler = load_handler(write(tmp_path, "def handle(req):\n    return req[::-1]\n"))
    assert handler.classic
    async with TestClient(TestServer(create_app(handler))) as served:
        response = await served.post("/", data="größe")
        assert await response.text() == "eßörg"


@pytest.mark.parametrize(
    ("answer", "status", "content_type", "body"),
    [
        (None, 200, "application/octet-stream", b""),
        ("text", 200, "text/plain", b"text"),
        (b"\x00\xff", 200, "application/octet-stream", b"\x00\xff"),
        (["a", 1], 200, "application/json", b'["a", 1]'),
        ({}, 200, "application/json", b"{}"),
        ({"label": "cat", "body": 1}, 200, "application/json", b'{"label": "cat", "body": 1}'),
        ({"statusCode": 404}, 404, "application/octet-stream", b""),
        ({"statusCode": 422, "body": {"error": "no"}}, 422, "application/json", b'{"error": "no"}'),
        ({"body": "<p>", "headers": {"Content-Type": "text/html"}}, 200, "text/html", b"<p>"),
    ],
)
async def test_return_value_becomes_an_answer(answer: Any, status: int, content_type: str, body: bytes) -> None:
    async with client(lambda _event, _context: answer) as served:
        response = await served.post("/")
        assert (response.status, response.content_type, await response.read()) == (status, content_type, body)


@pytest.mark.parametrize("answer", [{1, 2}, {"statusCode": "soon"}])
async def test_invalid_return_value_is_a_500(answer: Any) -> None:
    async with client(lambda _event, _context: answer) as served:
        assert (await served.post("/")).status == HTTPStatus.INTERNAL_SERVER_ERROR


async def test_exception_is_named_in_a_500() -> None:
    def handle(_event: Event, _context: Context) -> Any:
        raise KeyError("missing")

    async with client(handle) as served:
        response = await served.post("/")
        assert response.status == HTTPStatus.INTERNAL_SERVER_ERROR
        assert await response.json() == {"error": "KeyError: 'missing'"}
        assert (await served.get("/_/health")).status == HTTPStatus.OK


async def test_large_body_is_accepted() -> None:
    async with client(lambda event, _context: str(len(event.body))) as served:
        response = await served.post("/", data=io.BytesIO(bytes(5_000_000)))
        assert await response.text() == "5000000"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("x = 1", "has no function named handle"),
        ("handle = 1", "has no function named handle"),
        ("def handle(): ...", "handle() takes neither (event, context) nor (req)"),
        ("import does_not_exist", "cannot be imported: ModuleNotFoundError: No module named 'does_not_exist'"),
        ("def handle(:", "cannot be imported: SyntaxError"),
    ],
)
def test_unusable_file_is_an_error(tmp_path: Path, code: str, message: str) -> None:
    path = write(tmp_path, code)
    command = [sys.executable, "-m", "pipeline.local.serve_handler", str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].startswith(f"error: {path}: {message}")


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.local.serve_handler", str(tmp_path / "handler.py")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, f"error: {tmp_path}/handler.py: no such file\n")
