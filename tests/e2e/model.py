"""A model function that misbehaves on request: what an item says decides the answer."""

import asyncio
import json
import os

import uvloop
from aiohttp import web

LOG = os.environ.get("MODEL_LOG", "")


async def answer(request: web.Request) -> web.Response:
    """Answer by the item's first word: see BEHAVIOURS; anything else is echoed at once."""
    body = await request.read()
    text = body.decode(errors="replace")
    if LOG:
        with open(LOG, "a") as file:  # noqa: ASYNC230, PTH123
            file.write(json.dumps([request.headers.get("X-Call-Id"), text[:200]]) + "\n")
    if request.content_type == "application/json":
        return web.json_response([{"length": len(item)} for item in json.loads(text)])
    word, _, rest = text.partition(" ")
    match word:
        case "fail":
            return web.Response(status=int(rest.split()[0]), text="as asked")
        case "slow":
            await asyncio.sleep(float(rest.split()[0]))
            return web.json_response({"slow": True})
        case "big":
            return web.json_response("x" * int(rest.split()[0]))
        case "binary":
            return web.Response(body=b"\xff\xfe\x00")
        case "hostile":
            headers = {"X-Mode": "cancel", "X-Batch-Id": "other", "X-Pipeline-Signature": "none", "X-Function-Status": "500"}
            return web.json_response({"length": len(text)}, headers=headers)
        case "die":
            os._exit(9)
    return web.json_response({"length": len(text)})


async def health(_request: web.Request) -> web.Response:
    """Say that the process listens."""
    return web.Response(text="OK")


def main() -> None:
    """Serve on 127.0.0.1:$port."""
    app = web.Application(client_max_size=2**26)
    app.router.add_get("/_/health", health)
    app.router.add_route("*", "/{path:.*}", answer)
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    web.run_app(app, host="127.0.0.1", port=int(os.environ["port"]), loop=loop, access_log=None, print=None)


if __name__ == "__main__":
    main()
