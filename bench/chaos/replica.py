"""A replica of the pipeline with fault points: `python -m bench.chaos.replica`, in place of `python -m pipeline`.

Before and after every call to Redis, S3 and the gateway it reads the armed point in the file CHAOS_POINT. At the nth
call that the point names it kills its own process, or raises the client's error for a broken connection: before the
call, which is then never made, or after it, so that its answer is lost. The first replica at a point takes it.

CHAOS_LEASE, CHAOS_SEGMENT and CHAOS_PART shorten the leases, segments and parts of the pipeline.
"""

import functools
import hashlib
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiobotocore.client import AioBaseClient
from botocore.exceptions import EndpointConnectionError
from redis.asyncio.client import Pipeline, Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from bench.kit.callbacks import watch_callbacks
from pipeline.__main__ import main as serve
from pipeline.ledger.redis.pipelining import Bundles
from pipeline.ledger.scripts import read_scripts

POINT = Path(os.environ["CHAOS_POINT"])


class Points:
    """The armed point: `{"number", "fault", "event", "count"}`, {} for none."""

    def __init__(self) -> None:
        self._version = self._seen = 0
        self._armed: dict[str, Any] = {}

    def reached(self, labels: tuple[str, ...]) -> str:
        """Return the fault of this call, '' for none; the file of a point that is taken tells the director."""
        version = POINT.stat().st_mtime_ns if POINT.exists() else self._version
        if version != self._version:
            self._version, self._seen = version, 0
            self._armed = json.loads(POINT.read_text())
        if not self._armed or not _matches(self._armed["event"], labels):
            return ""
        self._seen += 1
        if self._seen != self._armed["count"]:
            return ""
        try:
            POINT.with_name(f"fired-{self._armed['number']}").touch(exist_ok=False)
        except FileExistsError:
            # Another replica was first.
            return ""
        return str(self._armed["fault"])


def _matches(event: str, labels: tuple[str, ...]) -> bool:
    """Return whether an event, service:operation or service:operation:part of the key, is this call."""
    service, operation, *key = event.split(":", 2)
    if service != labels[0]:
        return False
    return operation == "any" or (operation == labels[1] and all(part in labels[2] for part in key))


POINTS = Points()


def guard(owner: type, name: str, labels: Callable[..., tuple[str, ...]], error: Callable[[], Exception]) -> None:
    """Have each call of a method make the fault of the armed point; `labels` name the call, and are empty for none."""
    original = getattr(owner, name)

    async def guarded(self: Any, *args: Any, **options: Any) -> Any:
        of_call = labels(*args, **options)
        fault = POINTS.reached(of_call) if of_call else ""
        if fault.endswith("-before"):
            _strike(fault, error())
        answer = await original(self, *args, **options)
        if fault.endswith("-after"):
            _strike(fault, error())
        return answer

    setattr(owner, name, guarded)


def _strike(fault: str, error: Exception) -> None:
    print(f"chaos: {fault}: {error}", flush=True)
    if fault.startswith("die"):
        os.kill(os.getpid(), signal.SIGKILL)
    raise error


def guard_clients() -> None:
    """Guard Redis by command and script, S3 by operation and key, and the gateway by mode; no other request."""
    names = {hashlib.sha1(source.text.encode()).hexdigest(): name for name, source in read_scripts().items()}
    gateway = urlsplit(os.environ["gateway_url"]).netloc  # noqa: SIM112

    def operation(name: str, parameters: dict[str, Any]) -> tuple[str, ...]:
        return "s3", name, str(parameters.get("Key") or parameters.get("Prefix") or "")

    def request(_method: str, url: Any, **options: Any) -> tuple[str, ...]:
        parts = urlsplit(str(url))
        if parts.netloc != gateway:
            return ()
        if not parts.path.startswith("/async-function/"):
            return "gateway", "call", ""
        return "gateway", "enqueue", dict(options.get("headers") or {}).get("X-Mode", "")

    lost_redis = functools.partial(RedisConnectionError, "Connection closed by server.")
    lost_s3 = functools.partial(EndpointConnectionError, endpoint_url="chaos")
    guard(Bundles, "run", lambda command: ("redis", names.get(command[1], "script"), ""), lost_redis)
    guard(Redis, "execute_command", lambda *args, **_: ("redis", str(args[0]).lower(), ""), lost_redis)
    guard(Pipeline, "execute", lambda *_, **__: ("redis", "pipeline", ""), lost_redis)
    guard(AioBaseClient, "_make_api_call", operation, lost_s3)
    guard(aiohttp.ClientSession, "_request", request, aiohttp.ServerDisconnectedError)


def shorten() -> None:
    """Shorten leases, segments and parts in every module of the pipeline that has them by name."""
    lease, segment, part = (float(os.environ[f"CHAOS_{name}"]) for name in ("LEASE", "SEGMENT", "PART"))
    values = {
        **dict.fromkeys(("OPENING_LEASE", "REDUCE_LEASE", "DUTY_LEASE"), lease),
        **dict.fromkeys(("SURVEY_LEASE", "SURVEY_INTERVAL"), math.ceil(lease)),
        "SEGMENT_OUTCOMES": int(segment),
        "PART_SIZE": int(part),
    }
    missing = set(values)
    for name, module in tuple(sys.modules.items()):
        for constant in values.keys() & vars(module).keys() if name.startswith("pipeline.") else ():
            setattr(module, constant, values[constant])
            missing.discard(constant)
    if missing:
        raise SystemExit(f"no module of the pipeline has {', '.join(sorted(missing))}")


if __name__ == "__main__":
    shorten()
    guard_clients()
    watch_callbacks()
    serve()
