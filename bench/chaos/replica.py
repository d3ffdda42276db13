"""A replica of the pipeline with fault points: `python -m bench.chaos.replica`, in place of `python -m pipeline`.

Before and after every call to Redis, S3 and the gateway it reads the armed point in the file CHAOS_POINT. At the nth
call that the point names it kills or freezes its own process, waits, or raises the client's error for a broken
connection: before the call, which is then never made if it dies or fails, or after it, so that its answer is lost or
late. The first replica at a point takes it.

The replica takes a place among those of the function, and calls the services by the relays of this place (CHAOS_LINKS,
ports by service). Where the file `older` is beside the point, it removes that and starts the tree CHAOS_OLDER instead.
CHAOS_LEASE, CHAOS_SEGMENT and CHAOS_PART shorten the leases, segments and parts of the pipeline. The scripts of the
ledger read a clock that can be stepped.
"""

import asyncio
import fcntl
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
from yarl import URL

from bench.kit.callbacks import watch_callbacks
from bench.kit.processes import freeze
from pipeline import server
from pipeline.__main__ import main as serve
from pipeline.ledger import scripts
from pipeline.ledger.redis.pipelining import Bundles

POINT = Path(os.environ["CHAOS_POINT"])
GATEWAY = urlsplit(os.environ["gateway_url"]).netloc  # noqa: SIM112
# In common.lua: its time, and that with the step of the clock.
NOW, STEPPED = "clock[2]\n", "clock[2] + (call('GET', 'chaos:clock') or 0)\n"
NONE = "", 0.0


class Points:
    """The armed point: `{"number", "fault", "event", "count"}`, {} for none."""

    def __init__(self) -> None:
        self._version = self._seen = 0
        self._armed: dict[str, Any] = {}

    def reached(self, labels: tuple[str, ...]) -> tuple[str, float]:
        """Return the fault of this call, '' for none, and its seconds; the file of a taken point has the process id."""
        version = POINT.stat().st_mtime_ns if POINT.exists() else self._version
        if version != self._version:
            self._version, self._seen = version, 0
            self._armed = json.loads(POINT.read_text())
        if not self._armed or not _matches(self._armed["event"], labels):
            return NONE
        self._seen += 1
        if self._seen != self._armed["count"]:
            return NONE
        taken = POINT.with_name(f"fired-{self._armed['number']}")
        mine = taken.with_name(f"{taken.name}.{os.getpid()}")
        mine.write_text(str(os.getpid()))
        try:
            os.link(mine, taken)
        except FileExistsError:
            # Another replica was first.
            return NONE
        return str(self._armed["fault"]), float(self._armed["value"])


def _matches(event: str, labels: tuple[str, ...]) -> bool:
    """Return whether an event, service:operation or service:operation:part of the key, is this call."""
    service, operation, *key = event.split(":", 2)
    if service != labels[0]:
        return False
    return operation == "any" or (operation == labels[1] and all(part in labels[2] for part in key))


POINTS = Points()


def guard(
    owner: type,
    name: str,
    labels: Callable[..., tuple[str, ...]],
    error: Callable[[], Exception],
    redirect: Callable[..., tuple[Any, ...]] | None = None,
) -> None:
    """Have each call of a method make the fault of the armed point; `labels` name the call, and are empty for none.

    `redirect` changes the arguments of the call.
    """
    original = getattr(owner, name)

    async def guarded(self: Any, *args: Any, **options: Any) -> Any:
        of_call = labels(*args, **options)
        fault, seconds = POINTS.reached(of_call) if of_call else NONE
        if fault.endswith("-before"):
            await _strike(fault, seconds, error())
        if redirect is not None:
            args = redirect(*args)
        answer = await original(self, *args, **options)
        if fault.endswith("-after"):
            await _strike(fault, seconds, error())
        return answer

    setattr(owner, name, guarded)


async def _strike(fault: str, seconds: float, error: Exception) -> None:
    print(f"chaos: {fault}: {error}", flush=True)
    match fault.partition("-")[0]:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case "freeze":
            freeze(os.getpid(), seconds)
        case "slow":
            await asyncio.sleep(seconds)
        case _:
            raise error


def guard_clients(gateway: int) -> None:
    """Guard Redis by command and script, S3 by operation and key, and the gateway by mode; no other request.

    Requests to the gateway go to another port.
    """
    names = {hashlib.sha1(source.text.encode()).hexdigest(): name for name, source in scripts.read_scripts().items()}

    def operation(name: str, parameters: dict[str, Any]) -> tuple[str, ...]:
        return "s3", name, str(parameters.get("Key") or parameters.get("Prefix") or "")

    def request(_method: str, url: Any, **options: Any) -> tuple[str, ...]:
        parts = urlsplit(str(url))
        if parts.netloc != GATEWAY:
            return ()
        if not parts.path.startswith("/async-function/"):
            return "gateway", "call", ""
        return "gateway", "enqueue", dict(options.get("headers") or {}).get("X-Mode", "")

    def redirect(method: str, url: Any, *rest: Any) -> tuple[Any, ...]:
        return method, URL(url).with_port(gateway) if URL(url).authority == GATEWAY else url, *rest

    lost_redis = functools.partial(RedisConnectionError, "Connection closed by server.")
    lost_s3 = functools.partial(EndpointConnectionError, endpoint_url="chaos")
    guard(Bundles, "run", lambda command: ("redis", names.get(command[1], "script"), ""), lost_redis)
    guard(Redis, "execute_command", lambda *args, **_: ("redis", str(args[0]).lower(), ""), lost_redis)
    guard(Pipeline, "execute", lambda *_, **__: ("redis", "pipeline", ""), lost_redis)
    guard(AioBaseClient, "_make_api_call", operation, lost_s3)
    guard(aiohttp.ClientSession, "_request", request, aiohttp.ServerDisconnectedError, redirect)


def shorten() -> None:
    """Shorten leases, segments and parts in every module of the pipeline that has them by name."""
    lease, segment, part = (float(os.environ[f"CHAOS_{name}"]) for name in ("LEASE", "SEGMENT", "PART"))
    values = {
        **dict.fromkeys(("OPENING_LEASE", "REDUCE_LEASE", "DUTY_LEASE", "LEASE_MARGIN", "MISSING_PATIENCE"), lease),
        **dict.fromkeys(("SURVEY_LEASE", "SURVEY_INTERVAL"), math.ceil(lease)),
        "MISSING_PATIENCE": 4 * lease,
        "LONGEST_BACKOFF": 2 * lease,
        "CHECK_HOLDS": lease * 2 / 3,
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


def step_clocks() -> None:
    """Have the scripts of the ledger read the time of Redis with the step that the clock has made."""
    read = scripts.read_scripts

    def stepped() -> dict[str, scripts.Source]:
        sources = {name: source._replace(text=source.text.replace(NOW, STEPPED, 1)) for name, source in read().items()}
        if not all(STEPPED in source.text for source in sources.values()):
            raise SystemExit("a script of the ledger reads no clock that can be stepped")
        return sources

    scripts.read_scripts = stepped


def count_sweeps() -> None:
    """Add a byte to the file `sweeps` after each sweep."""
    sweep = vars(server)["sweep_all"]

    async def counted(context: Any) -> Any:
        swept = await sweep(context)
        with POINT.with_name("sweeps").open("ab") as file:
            file.write(b".")
        return swept

    vars(server)["sweep_all"] = counted


def take_place(links: list[dict[str, int]]) -> dict[str, int]:
    """Take the first place that no other replica has, and its links; starts an older version where that is asked."""
    if "CHAOS_PLACE" in os.environ:
        return links[int(os.environ["CHAOS_PLACE"])]
    for place, link in enumerate(links):
        file = os.open(POINT.with_name(f"place-{place}"), os.O_CREAT | os.O_RDWR)
        try:
            # It is held as long as this process lives.
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            continue
        if POINT.with_name("older").exists():
            POINT.with_name("older").unlink()
            fcntl.fcntl(file, fcntl.F_SETFD, 0)
            os.environ |= {"PYTHONPATH": os.environ["CHAOS_OLDER"], "CHAOS_PLACE": str(place)}
            os.chdir(os.environ["CHAOS_OLDER"])
            os.execv(sys.executable, [sys.executable, "-m", "bench.chaos.replica"])
        return link
    raise SystemExit("every place is taken")


if __name__ == "__main__":
    own = take_place(json.loads(os.environ["CHAOS_LINKS"]))
    for variable, service in {"redis_url": "redis", "s3_endpoint": "s3"}.items():
        os.environ[variable] = str(URL(os.environ[variable]).with_port(own[service]))
    shorten()
    step_clocks()
    guard_clients(own["gateway"])
    count_sweeps()
    watch_callbacks()
    serve()
