"""The servers that the recipes' functions call: pictures, a geocoder with a limit, an unreliable language model."""

import asyncio
import contextlib
import io
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from aiohttp import web
from aiohttp.test_utils import TestServer
from PIL import Image

KEY = "a-key-that-nobody-else-has"


@dataclass
class Pictures:
    """Pictures that are dark or light; the first look at each third one is refused as overload."""

    calls: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer `/dark/3.png` and the like."""
        kind, number = request.match_info["kind"], request.match_info["number"]
        self.calls[request.path] += 1
        if kind == "missing":
            return web.Response(status=404)
        if int(number) % 3 == 0 and self.calls[request.path] == 1:
            return web.Response(status=503)
        if kind == "broken":
            return web.Response(body=b"not a picture")
        file = io.BytesIO()
        Image.new("RGB", (8, 8), {"dark": "black", "light": "white"}[kind]).save(file, "PNG")
        return web.Response(body=file.getvalue())


@dataclass
class Geocoder:
    """Takes `limit` calls a second, and no more of them at once than that (a token bucket); else it answers 429."""

    limit: int
    taken: int = 0
    refused: int = 0
    under_way: int = 0
    most_under_way: int = 0
    _tokens: float = 0
    _at: float = float("-inf")

    def admit(self, now: float) -> bool:
        """Return whether a call at this time in seconds is within the limit."""
        self._tokens = min(self.limit, self._tokens + (now - self._at) * self.limit)
        self._at = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        self.taken += 1
        return True

    async def answer(self, request: web.Request) -> web.Response:
        """Answer `?q=ADDRESS` with a place."""
        if not self.admit(asyncio.get_running_loop().time()):
            return web.json_response({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        self.under_way += 1
        self.most_under_way = max(self.under_way, self.most_under_way)
        await asyncio.sleep(0.02)
        self.under_way -= 1
        if not request.query["q"]:
            return web.Response(status=404, text="no such place")
        return web.json_response({"lat": len(request.query["q"]) / 2, "lon": 13.4})


@dataclass
class LanguageModel:
    """Refuses, rambles or hangs by the number of the call, so that every run meets the same answers."""

    ended: asyncio.Event = field(default_factory=asyncio.Event)
    calls: int = 0
    answered: Counter[str] = field(default_factory=Counter)
    models: Counter[str] = field(default_factory=Counter)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer a chat completion."""
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        asked = await request.json()
        self.calls += 1
        kind = self.kind(self.calls)
        self.answered[kind] += 1
        self.models[asked["model"]] += 1
        match kind:
            case "limit":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "long limit":
                return web.Response(status=429, headers={"Retry-After": "60"})
            case "overload":
                return web.Response(status=503)
            case "nothing":
                await self.ended.wait()
        said = json.dumps({"sentiment": "good", "reason": asked["messages"][0]["content"][-10:]})
        message = {"role": "assistant", "content": "Well, it depends." if kind == "ramble" else said}
        return web.json_response({"choices": [{"message": message}]})

    @staticmethod
    def kind(call: int) -> str:
        """Return the kind of answer to a call."""
        if call in {40, 60}:
            return {40: "nothing", 60: "long limit"}[call]
        kinds = {5: "limit", 9: "overload", 13: "ramble"}
        return next((kind for number, kind in kinds.items() if call % number == number // 2), "good")


@dataclass
class Outside:
    """All three, at `url`."""

    url: str
    pictures: Pictures
    geocoder: Geocoder
    language_model: LanguageModel


@contextlib.asynccontextmanager
async def outside(limit: int) -> AsyncIterator[Outside]:
    """Serve them on 127.0.0.1; `limit` is the geocoder's, in calls a second."""
    pictures, geocoder, model = Pictures(), Geocoder(limit), LanguageModel()
    app = web.Application()
    app.router.add_get("/{kind:dark|light|missing|broken}/{number}.png", pictures.answer)
    app.router.add_get("/geocode", geocoder.answer)
    app.router.add_post("/chat", model.answer)
    async with TestServer(app) as server:
        yield Outside(str(server.make_url("")).rstrip("/"), pictures, geocoder, model)
        model.ended.set()
