"""The page: what a browser is shown. All else it reads by requests of its own, with a token where one is needed."""

from pipeline.page.shell import read_shell
from pipeline.request import Event, Response

SHELL = read_shell()


async def page(event: Event) -> Response:
    """Answer with the shell, or 304 to who has it: it holds no data, so nobody is asked for a token."""
    if SHELL.headers["ETag"] in event.headers.get("If-None-Match", ""):
        return Response(304, b"", SHELL.headers)
    return Response(200, SHELL.document, SHELL.headers)
