"""The model function of the chaos runs, see `bench.chaos.items`; every call goes into the file MODEL_LOG first."""

import asyncio
import hashlib
import json
import os
from pathlib import Path

from aiohttp import web

from bench.chaos.items import BINARY, NONSENSE, answer, argument, word
from bench.kit.model import serve


async def handle(request: web.Request) -> web.Response:
    """Answer one item as its first word asks."""
    item = (await request.read()).decode()
    _append(Path(os.environ["MODEL_LOG"]), json.dumps([request.headers.get("X-Call-Id"), item]) + "\n")
    match word(item):
        case "fail":
            return web.Response(status=int(argument(item)), text="as asked")
        case "flaky" if _calls(item) <= argument(item):
            return web.Response(status=503, text="not yet")
        case "slow":
            await asyncio.sleep(argument(item))
        case "die":
            os._exit(9)
        case "dies" if _calls(item) <= argument(item):
            os._exit(9)
        case "switch" if not os.path.exists(os.environ["MODEL_SWITCH"]):  # noqa: ASYNC240, PTH110 - a local file
            return web.Response(status=400, text="switched off")
        case "binary":
            return web.Response(body=BINARY)
        case "nonsense":
            return web.Response(text=NONSENSE)
    return web.json_response(answer(item))


def _calls(item: str) -> int:
    """Count the calls for an item, this one among them, over all replicas and their restarts."""
    folder = Path(os.environ["MODEL_LOG"] + ".calls")
    folder.mkdir(exist_ok=True)
    return _append(folder / hashlib.sha256(item.encode()).hexdigest(), ".")


def _append(path: Path, text: str) -> int:
    """Append in one write, so that replicas do not mix their lines; returns the length."""
    with path.open("ab", buffering=0) as file:
        file.write(text.encode())
        return file.tell()


if __name__ == "__main__":
    serve(handle)
