"""A replica of the pipeline with fault points: `python -m bench.chaos.replica`, in place of `python -m pipeline`.

Before and after every call to Redis, S3 and the gateway it reads the armed point in the file CHAOS_POINT. At the nth
call that the point names it kills its own process, or raises the client's error for a broken connection: before the
call, which is then never made, or after it, so that its answer is lost. The first replica at a point takes it.

CHAOS_LEASE, CHAOS_SEGMENT and CHAOS_PART shorten the leases, segments and parts of the pipeline.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.client import AioBaseClient
from botocore.exceptions import EndpointConnectionError
from redis.asyncio.client import Pipeline, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

import pipeline
from pipeline.__main__ import main as serve
from pipeline.ledger.redis.pipelining import Bundles

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POINT = Path(os.environ["CHAOS_POINT"])


class Points:
    """The armed point: `{"number", "fault", "event", "count"}`, {} for none."""

    def __init__(self) -> None:
        self._version = 0
        self._armed: dict[str, Any] = {}
        self._seen = 0

    def reached(self, labels: tuple[str, ...]) -> str:
        """Return the fault of this call, '' for none."""
        try:
            version = POINT.stat().st_mtime_ns
        except FileNotFoundError:
            return ""
        if version != self._version:
            self._version, self._seen = version, 0
            self._armed = json.loads(POINT.read_text())
        if not self._armed or not _matches(self._armed["event"], labels):
            return ""
        self._seen += 1
        return str(self._armed["fault"]) if self._seen == self._armed["count"] and self._take() else ""

    def _take(self) -> bool:
        """Take the point, which only one replica can: the file tells the director that it fired."""
        try:
            POINT.with_name(f"fired-{self._armed['number']}").touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


def _matches(event: str, labels: tuple[str, ...]) -> bool:
    """Return whether an event, service:operation or service:operation:part of the key, is this call."""
    service, operation, *key = event.split(":", 2)
    if service != labels[0]:
        return False
    return operation == "any" or (operation == labels[1] and all(part in labels[2] for part in key))


POINTS = Points()


async def guarded(call: Callable[[], Awaitable[Any]], error: Exception, *labels: str) -> Any:
    """Make a call, with the fault of the armed point."""
    fault = POINTS.reached(labels)
    if fault.endswith("-before"):
        _strike(fault, error)
    answer = await call()
    if fault.endswith("-after"):
        _strike(fault, error)
    return answer


def _strike(fault: str, error: Exception) -> None:
    print(f"chaos: {fault}: {error}", flush=True)
    if fault.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    raise error


def guard_redis() -> None:
    """Guard every command and pipeline; scripts go by their names."""
    names: dict[str, str] = {}
    folder = Path(pipeline.__file__).parent / "ledger" / "lua"
    bodies = {path.stem: path.read_text() for path in folder.glob("*.lua")}

    def register(original: Any, self: Any, script: Any) -> Any:
        registered = original(self, script)
        names[registered.sha] = next((name for name, body in bodies.items() if str(script).endswith(body)), "script")
        return registered

    async def script(original: Any, self: Any, command: tuple[Any, ...]) -> Any:
        name = names.get(command[1], "script")
        return await guarded(lambda: original(self, command), _redis_error(), "redis", name, "")

    async def command(original: Any, self: Any, *args: Any, **options: Any) -> Any:
        name = str(args[0]).lower()
        return await guarded(lambda: original(self, *args, **options), _redis_error(), "redis", name, "")

    async def several(original: Any, self: Any, *args: Any, **options: Any) -> Any:
        return await guarded(lambda: original(self, *args, **options), _redis_error(), "redis", "pipeline", "")

    _wrap(Redis, "register_script", register)
    _wrap(Bundles, "run", script)
    _wrap(Redis, "execute_command", command)
    _wrap(Pipeline, "execute", several)


def _redis_error() -> Exception:
    return RedisConnectionError("Connection closed by server.")


def guard_s3() -> None:
    """Guard every operation, by its name and key."""

    async def operate(original: Any, self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        key = str(parameters.get("Key") or parameters.get("Prefix") or "")
        error = EndpointConnectionError(endpoint_url="chaos")
        return await guarded(lambda: original(self, operation, parameters), error, "s3", operation, key)

    _wrap(AioBaseClient, "_make_api_call", operate)


def guard_gateway() -> None:
    """Guard every enqueue, by its mode, and every call of a model function, but no request to S3."""
    gateway = urlsplit(os.environ["gateway_url"]).netloc  # noqa: SIM112

    async def request(original: Any, self: Any, method: str, url: Any, **options: Any) -> Any:
        def proceed() -> Any:
            return original(self, method, url, **options)

        parts = urlsplit(str(url))
        if parts.netloc != gateway:
            return await proceed()
        queued = parts.path.startswith("/async-function/")
        mode = dict(options.get("headers") or {}).get("X-Mode", "") if queued else ""
        error = aiohttp.ServerDisconnectedError()
        return await guarded(proceed, error, "gateway", "enqueue" if queued else "call", mode)

    _wrap(aiohttp.ClientSession, "_request", request)


def _wrap(owner: Any, name: str, wrapper: Any) -> None:
    """Replace a method by `wrapper`, which gets the method as its first argument."""
    original = getattr(owner, name)
    setattr(owner, name, lambda *args, **options: wrapper(original, *args, **options))


def shorten() -> None:
    """Shorten leases, segments and parts in every module of the pipeline that has them by name."""
    lease, segment, part = (os.environ.get(f"CHAOS_{name}") for name in ("LEASE", "SEGMENT", "PART"))
    values: dict[str, float] = {}
    if lease:
        values |= dict.fromkeys(("OPENING_LEASE", "REDUCE_LEASE", "DUTY_LEASE"), float(lease))
        values |= dict.fromkeys(("SURVEY_LEASE", "SURVEY_INTERVAL"), math.ceil(float(lease)))
    if segment:
        values["SEGMENT_OUTCOMES"] = int(segment)
    if part:
        values["PART_SIZE"] = int(part)
    shortened: set[str] = set()
    for name, module in tuple(sys.modules.items()):
        if name.startswith("pipeline."):
            for constant in values.keys() & vars(module).keys():
                setattr(module, constant, values[constant])
                shortened.add(constant)
    if shortened != values.keys():
        raise SystemExit(f"no module of the pipeline has {', '.join(sorted(values.keys() - shortened))}")


def main() -> None:
    """Guard the clients, then serve the function."""
    shorten()
    guard_redis()
    guard_s3()
    guard_gateway()
    serve()


if __name__ == "__main__":
    main()
