"""Redis: its version, memory and persistence, and whether the ledger can work with it."""

import time
import uuid
from collections.abc import Mapping
from typing import Any

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.errors import UnavailableError
from pipeline.ledger.redis.client import check_policy, check_version
from pipeline.units import MIB

SLOW = 0.05
FULL = 0.8
# The other checks run at the same time and disturb the measurement: the best of several counts.
PINGS = 5


async def check_redis(context: Context) -> list[Check]:
    """Check every primary, then write and run a script as the ledger does."""
    ledger = context.ledger
    # First, since a ping fails soonest if Redis is away.
    await ledger.ping()
    checks = [_round_trip(min([await _ping(context) for _ in range(PINGS)]))]
    servers = await ledger.probes.servers()
    saves = await ledger.probes.saves()
    for number, info in enumerate(servers, 1):
        place = f" ({number} of {len(servers)})" if len(servers) > 1 else ""
        checks += [
            _version(info, place),
            _policy(info, place),
            _memory(info, place),
            _persistence(info, place, saves=saves),
        ]
        checks.append(_role(info, place))
    # To a replica a write would wait for it to become a primary, longer than the check may take.
    is_primary = not any(check.name.startswith("redis: role") and check.status == "failed" for check in checks)
    return [*checks, *(await _check_use(context) if is_primary else [])]


async def _ping(context: Context) -> float:
    started = time.monotonic()
    await context.ledger.ping()
    return time.monotonic() - started


def _round_trip(seconds: float) -> Check:
    finding = f"{1000 * seconds:.1f} ms"
    if seconds > SLOW:
        return warning("redis: round trip", finding, "each callback takes one: bring Redis nearer, or give it more CPU")
    return ok("redis: round trip", finding)


def _version(info: Mapping[str, Any], place: str) -> Check:
    name, version = f"redis: version{place}", str(info.get("redis_version", "unknown"))
    own = info.get("valkey_version")
    try:
        check_version(info)
    except (UnavailableError, ValueError) as error:
        return failed(name, str(error), "run Redis 6.2 or newer, or Valkey")
    return ok(name, f"Valkey {own} (as Redis {version})" if own else f"Redis {version}")


def _policy(info: Mapping[str, Any], place: str) -> Check:
    name = f"redis: eviction policy{place}"
    try:
        check_policy(info)
    except UnavailableError as error:
        advice = "maxmemory-policy noeviction: no batch is accepted until then, and what Redis drops is lost"
        return failed(name, str(error), advice)
    return ok(name, "noeviction")


def _memory(info: Mapping[str, Any], place: str) -> Check:
    name, used, most = f"redis: memory{place}", int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if not most:
        return ok(name, f"{used / MIB:.0f} MiB in use, no maxmemory")
    finding = f"{used / MIB:.0f} of {most / MIB:.0f} MiB in use ({100 * used / most:.0f} %)"
    if used > FULL * most:
        return warning(name, finding, "give Redis more memory: batches stand still where it is full")
    return ok(name, finding)


def _persistence(info: Mapping[str, Any], place: str, *, saves: bool | None) -> Check:
    name = f"redis: persistence{place}"
    if info.get("aof_enabled"):
        return ok(name, "appendonly")
    if saves:
        return ok(name, "snapshots (save): a restart loses what came after the last, and that runs again")
    finding = "no appendonly, and what it saves its user may not read" if saves is None else "none"
    return warning(
        name, finding, "appendonly yes: else a restart has every open batch rebuilt from S3, which takes time"
    )


def _role(info: Mapping[str, Any], place: str) -> Check:
    name, role = f"redis: role{place}", str(info.get("role", "master"))
    if role != "master":
        return failed(name, "a replica", "redis_url must lead to the primary, or name the sentinels")
    return ok(name, "primary")


async def _check_use(context: Context) -> list[Check]:
    """Write, read and delete a key, and run a script on a batch that does not exist."""
    probes, name = context.ledger.probes, uuid.uuid4().hex
    checks = []
    try:
        await probes.begin(name)
        await probes.note(name, "invoked", "200")
        is_stored = await probes.seen(name) == {"invoked": "200"}
        await probes.end(name)
    except UnavailableError as error:
        checks.append(
            failed("redis: writing", str(error), "see pipeline/docs/operate.md, 'What you see and what it means'")
        )
    else:
        finding = "a key was written, read and deleted" if is_stored else "a key that was written is not there"
        advice = "" if is_stored else "something else deletes keys in this Redis, or it is no single primary"
        checks.append(Check("redis: writing", "ok" if is_stored else "failed", finding, advice))
    try:
        await context.ledger.phase(name)
    except UnavailableError as error:
        checks.append(failed("redis: scripts", str(error), "its user needs EVALSHA and SCRIPT LOAD (ACL)"))
    else:
        checks.append(ok("redis: scripts", "run"))
    return checks
