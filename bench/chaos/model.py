"""The rows of a chaos batch, and the model function: the first word of an item says how it answers.

| item | the model function |
|---|---|
| `good N` | answers |
| `fail S N` | answers with status S, always |
| `flaky K N` | answers 503 to its first K calls |
| `slow T N` | answers after T seconds |
| `die N` | ends its process, always |
| `dies K N` | ends its process in its first K calls |
| `binary N`, `nonsense N` | answers bytes that are no text, text that is no JSON |
| `big K N` | answers K letters |
| `switch N` | answers 400 until the file named by MODEL_SWITCH exists |

Every call goes into the file MODEL_LOG first. A JSON array is a chunk: its items are answered together, or as the first
of them that fails.
"""

import asyncio
import hashlib
import json
import os
import random
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path

from aiohttp import web

from bench.kit.model import serve

BINARY = b"\xff\xfe\x00"
NONSENSE = '{"half":'
# The numbers that are drawn for the place behind a word.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "fail": (400, 410, 422, 500, 503),
    "flaky": (1, 2, 3),
    "slow": ("0.1", "0.3", "0.6"),
    "big": (2_000, 20_000),
}
# Of these a flawed item is drawn.
FLAWED = ("fail", "flaky", "slow", "binary", "nonsense", "big", "dies", "die")


def word(item: str) -> str:
    """Return the first word."""
    return item.partition(" ")[0]


def argument(item: str) -> float:
    """Return the number behind the first word."""
    return float(item.split(" ")[1])


def answer(item: str) -> object:
    """Return the result, as the summary shows it, of a call that succeeds."""
    fixed = {"binary": "//4A", "nonsense": NONSENSE}
    if word(item) == "big":
        return "x" * int(argument(item))
    return fixed.get(word(item), {"length": len(item)})


def can_succeed(item: str, timeout: float) -> bool:
    """Return whether some call for this item is answered with 200 within `timeout` seconds."""
    return word(item) not in {"fail", "die"} and (word(item) != "slow" or argument(item) < timeout)


def make_items(dice: random.Random, count: int, flawed: float, deadly: int) -> list[str]:
    """Return `count` rows, a share of them flawed, at most `deadly` of them killing their model replica."""
    rows = []
    for number in range(count):
        kind = dice.choice(FLAWED) if dice.random() < flawed else "good"
        if kind in {"die", "dies"}:
            deadly -= 1
            kind = kind if deadly >= 0 else "good"
        drawn = [dice.choice(ARGUMENTS[kind])] if kind in ARGUMENTS else [1] * (kind == "dies")
        rows.append(" ".join(map(str, (kind, *drawn, number))))
    for _ in range(count // 100):
        # The same row twice is two items.
        rows[dice.randrange(count)] = f"good {dice.randrange(count)}"
    return rows


def items_of(body: str) -> list[str]:
    """Return the items of a call, which has a JSON array of several."""
    with suppress(ValueError):
        document = json.loads(body)
        if isinstance(document, list):
            return [item if isinstance(item, str) else json.dumps(item) for item in document]
    return [body]


async def handle(request: web.Request) -> web.Response:
    """Answer one item as its first word asks, or the items of a chunk."""
    body = (await request.read()).decode()
    items = items_of(body)
    lines = [json.dumps([request.headers.get("X-Call-Id"), item]) + "\n" for item in items]
    _append(Path(os.environ["MODEL_LOG"]), "".join(lines))
    replies = await asyncio.gather(*map(_reply, items))
    if items == [body]:
        return replies[0]
    failed = (reply for reply in replies if reply.status != HTTPStatus.OK)
    return next(failed, None) or web.json_response([answer(item) for item in items])


async def _reply(item: str) -> web.Response:
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
