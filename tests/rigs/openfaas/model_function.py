"""A model function that misbehaves on request: the first word of an item determines the answer."""

import asyncio
import json
import os
from pathlib import Path

import uvloop
from aiohttp import web

HOSTILE_HEADERS = {
    "X-Batch-Id": "victim",
    "X-Pipeline-Signature": "none",
    "X-Function-Status": "500",
    "X-Callback-Url": "http://127.0.0.1:1/",
}
# Markup that would run in a browser, or look like part of the page, if it were treated as HTML.
MARKUP = """<img src=x onerror=alert(1)><script>alert(2)</script></script><b>"it's & bold"</b>"""


async def answer(request: web.Request) -> web.Response:
    """Answer one item, or a JSON array of them; one that is no text comes back.

    Every call is written to the file named by MODEL_LOG.
    """
    text = (await request.read()).decode(errors="replace")
    call_id = request.headers.get("X-Call-Id")
    with Path(os.environ["MODEL_LOG"]).open("a") as log:  # noqa: ASYNC230
        log.write(json.dumps([call_id, text[:200], request.headers.get("X-Extra")]) + "\n")
    if request.content_type == "application/json":
        given = json.loads(text)
        several = isinstance(given, list)
        results = [result_of(item) if isinstance(item, str) else item for item in (given if several else [given])]
        return web.json_response(results if several else results[0])
    word, _, rest = text.partition(" ")
    argument = rest.split(" ")[0]
    match word:
        case "slow":
            await asyncio.sleep(float(argument))
        case "die":
            os._exit(9)
        case "redirect":
            elsewhere = f"http://127.0.0.1:{os.environ['port']}/_/health"  # noqa: SIM112
            return web.Response(status=302, headers={"Location": elsewhere})
        case "fail":
            return web.Response(status=int(argument), text="as asked")
        case "flaky":
            return _flaky(text)
        case "markup":
            return web.Response(status=422, text=MARKUP)
    body = {"binary": b"\xff\xfe\x00", "nonsense": b'{"half":'}.get(word)
    headers = {**HOSTILE_HEADERS, "X-Mode": argument} if word == "hostile" else None
    return web.Response(body=body) if body else web.json_response(result_of(text), headers=headers)


def result_of(text: str) -> object:
    """Return a normal answer: the length of the item, many letters for `big N`, a label for `label X`."""
    word, _, rest = text.partition(" ")
    if word == "label":
        return {"label": rest.split(" ")[0]}
    return "x" * int(rest.split(" ")[0]) if word == "big" else {"length": len(text)}


def _flaky(text: str) -> web.Response:
    """Fail until the sixth call for this item: more calls than one task makes, fewer than two generations."""
    calls = sum(json.loads(line)[1] == text for line in Path(os.environ["MODEL_LOG"]).read_text().splitlines())
    return web.json_response(result_of(text)) if calls > 5 else web.Response(status=503, text="not yet")


async def health(_request: web.Request) -> web.Response:
    """Answer that the process is healthy."""
    return web.Response(text="OK")


def main() -> None:
    """Serve on 127.0.0.1:$port."""
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/_/health", health)
    app.router.add_route("*", "/{path:.*}", answer)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["port"]), loop=loop, access_log=None, print=None)  # noqa: SIM112


if __name__ == "__main__":
    main()
