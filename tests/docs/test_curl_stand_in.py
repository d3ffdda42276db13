"""The stand-in for curl sends the same requests as curl, if the machine has one."""

import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.rigs.docs.kinds import Kind, kind_of
from tests.rigs.docs.pages import commands
from tests.rigs.docs.shells import Shell, make_shell, write_program

CURLS = {"stand-in": "exec python -m tests.rigs.docs.programs.curl", "curl": f"exec {shutil.which('curl')}"}
HERE = [name for name in CURLS if name == "stand-in" or shutil.which(name)]
FORM = "application/x-www-form-urlencoded"
CSV = "url\r\na\nb\n"


@dataclass
class Echo:
    """A server that records each request, and answers with `status`."""

    url: str = ""
    status: int = 200
    seen: list[tuple[str, str, str | None, str | None, str]] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        kind, mode = request.headers.get("Content-Type"), request.headers.get("X-Mode")
        self.seen.append((request.method, request.raw_path, kind, mode, await request.text()))
        return web.Response(status=self.status, text="answered")


@pytest_asyncio.fixture
async def echo() -> AsyncIterator[Echo]:
    found = Echo()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.answer)
    async with TestServer(app) as server:
        found.url = str(server.make_url("/"))
        yield found


@pytest.fixture(params=HERE)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Shell:
    made = make_shell(tmp_path / "shell", {})
    write_program(made.folder / "bin" / "curl", f'{CURLS[request.param]} "$@"')
    (made.folder / "images.csv").write_bytes(CSV.encode())
    return made


@pytest.mark.parametrize(
    ("options", "method", "kind", "mode", "body"),
    [
        ("", "GET", None, None, ""),
        ("-N", "GET", None, None, ""),
        ("-s", "GET", None, None, ""),
        ('-d ""', "POST", FORM, None, ""),
        ('-H "X-Mode: batch" -d data/images.csv', "POST", FORM, "batch", "data/images.csv"),
        ("-d @images.csv", "POST", FORM, None, "url" + "ab"),
        ('-H "Content-Type: text/csv" --data-binary @images.csv', "POST", "text/csv", None, CSV),
        ('-H "X-Mode:batch" -H "Accept: text/event-stream"', "GET", None, "batch", ""),
    ],
)
async def test_it_sends(
    shell: Shell, echo: Echo, options: str, method: str, kind: str | None, mode: str | None, body: str
) -> None:
    ran = await shell.run(f'curl "{echo.url}f?a=b&c=%20" {options}')
    assert (ran.code, ran.out) == (0, "answered")
    assert echo.seen == [(method, "/f?a=b&c=%20", kind, mode, body)]


async def test_it_shows_the_answer_whatever_its_status_is(shell: Shell, echo: Echo) -> None:
    echo.status = 409
    ran = await shell.run(f"curl {echo.url}")
    assert (ran.code, ran.out) == (0, "answered")


async def test_it_fails_when_nothing_answers(shell: Shell) -> None:
    assert (await shell.run("curl http://127.0.0.1:1/")).code == 7


async def test_an_option_that_is_not_known_is_an_error(shell: Shell, echo: Echo) -> None:
    assert (await shell.run(f"curl --no-such-option {echo.url}")).code == 2
    assert echo.seen == []


async def test_it_knows_every_option_that_is_printed(tmp_path: Path, echo: Echo) -> None:
    shell = make_shell(tmp_path / "shell", {"GATEWAY": echo.url.rstrip("/"), "TOKEN": "secret"})
    write_program(shell.folder / "bin" / "curl", f'{CURLS["stand-in"]} "$@"')
    (shell.folder / "images.csv").write_bytes(CSV.encode())
    printed = [one for one in commands() if kind_of(one) is Kind.GATEWAY and "curl" in one.programs()]
    for command in printed:
        ran = await shell.run(command.text)
        assert (ran.code, ran.out) == (0, "answered"), f"{command.text}: {ran.err}"
    assert len(echo.seen) == len(printed)
