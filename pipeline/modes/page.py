"""The live page of a browser: a shell without data, which makes requests of its own, with a token if one is needed."""

from pipeline.page.shell import read_shell
from pipeline.request import Event, Response

SHELL = read_shell()


async def page(event: Event) -> Response:
    """Answer with the shell, or 304 if the browser has it; no token is needed, since the shell holds no data."""
    if SHELL.headers["ETag"] in event.headers.get("If-None-Match", ""):
        return Response(304, b"", SHELL.headers)
    return Response(200, SHELL.document, SHELL.headers)
