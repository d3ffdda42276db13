"""Redis' clock is set back, as a batch sees it."""

from pipeline.ledger.fields import FIELDS
from pipeline.units import microseconds
from tests.rigs.redis.ledger_bench import Bench

TIMES = {field.name for field in FIELDS if field.type == "us"}


async def set_clock_back(bench: Bench, seconds: float) -> None:
    """Move all times of the batch so far into the future."""
    later = microseconds(seconds)
    for name, value in (await bench.fields()).items():
        if name in TIMES and value != "0":
            await bench._await(bench.redis.hincrby(bench.key(), name, later))
    for part in ("inflight", "due"):
        for member, _ in await bench._zset(part):
            await bench.redis.zincrby(bench.key(part), later, member)
    for name in await bench.attempts():
        if name[0] in "xr":
            await bench._await(bench.redis.hincrby(bench.key("attempts"), name, later))
    for target, notice in (await bench._hash("notices")).items():
        if target.isdigit():
            state, *numbers = notice.decode().split()
            tries, status, at, since = map(int, numbers)
            moved = f"{state} {tries} {status} {at and at + later} {since and since + later}"
            await bench._await(bench.redis.hset(bench.key("notices"), target.decode(), moved))
