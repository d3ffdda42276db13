"""The Lua scripts of the ledger: loaded once, and run on the keys of one batch."""

from importlib.resources import files
from typing import Any

from redis.asyncio import Redis

from pipeline.ledger.redis.client import unavailable
from pipeline.ledger.replies import MICROSECONDS

LEDGER_TTL = 7 * 86400
DUTY_LEASE = 30.0

_PARTS = ("settled", "outcomes", "inflight", "due", "remaining", "attempts", "series", "failures", "notices")


class Scripts:
    """The named scripts, each with `common.lua` before it.

    Every key of a batch carries the batch in a hash tag, so a script's keys share a slot.
    """

    def __init__(self, redis: Redis, prefix: str, *names: str) -> None:
        self._prefix = prefix
        folder = files("pipeline.ledger") / "lua"
        common = (folder / "common.lua").read_text()
        self._scripts = {name: redis.register_script(common + (folder / f"{name}.lua").read_text()) for name in names}

    async def run(self, script: str, batch: str, *arguments: str | bytes | float) -> Any:
        """Run a script on a batch's keys and return its reply; raises UnavailableError."""
        root = f"{self._prefix}:{{{batch}}}"
        keys = [root, *(f"{root}:{part}" for part in _PARTS)]
        with unavailable():
            return await self._scripts[script](keys=keys, args=list(arguments))


def microseconds(seconds: float) -> int:
    """Return a time as the scripts take it."""
    return int(seconds * MICROSECONDS)
