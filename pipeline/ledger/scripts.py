"""The Lua scripts of the ledger: loaded once, and run on the keys of one batch.

The header of a script names its arguments: it is the only place that does, and the locals that hold them come from it.
"""

import re
import time
from collections.abc import KeysView
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis

from pipeline.ledger.keys import BATCH_KEYS, batch_keys
from pipeline.ledger.redis.client import unavailable
from pipeline.ledger.replies import MICROSECONDS

LEDGER_TTL = 7 * 86400
DUTY_LEASE = 30.0

_KEYS = f"local {', '.join(key.name.upper() or 'LEDGER' for key in BATCH_KEYS)} = unpack(KEYS) "
_ARGUMENT = re.compile(r"^-- @(arg|rest) (\w+)", re.MULTILINE)


class Source(NamedTuple):
    """A script as it is sent, the names of its arguments, and that of the list of all others, if it has one."""

    text: str
    arguments: KeysView[str]
    rest: str


def read_scripts() -> dict[str, Source]:
    """Return every script, with `common.lua` and locals for its keys and arguments before it.

    No line is added: line n of the script is line n after those of `common.lua` in the errors of Redis.
    """
    bodies = {path.name.removesuffix(".lua"): path.read_text() for path in (files("pipeline.ledger") / "lua").iterdir()}
    common = _KEYS + bodies.pop("common").rstrip("\n")
    return {name: _source(common, body) for name, body in bodies.items()}


def _source(common: str, body: str) -> Source:
    declared = _ARGUMENT.findall(body)
    names = [name for kind, name in declared if kind == "arg"]
    rest = next((name for kind, name in declared if kind == "rest"), "")
    unpacked = f" local {', '.join(names)} = unpack(ARGV, 1, {len(names)})" if names else ""
    listed = f" local {rest} = arguments_from({len(names) + 1})" if rest else ""
    return Source(f"{common}{unpacked}{listed}\n{body}", dict.fromkeys(names).keys(), rest)


class Scripts:
    """The scripts, for the batches under one prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._prefix = prefix
        self._sources = read_scripts()
        self._scripts = {name: redis.register_script(source.text) for name, source in self._sources.items()}

    async def run(
        self, script: str, batch: str, /, *rest: str | bytes | float, **arguments: str | bytes | float
    ) -> Any:
        """Run a script on a batch's keys and return its reply; raises UnavailableError."""
        source = self._sources[script]
        if arguments.keys() != source.arguments or (rest and not source.rest):
            raise TypeError(f"{script}.lua takes {', '.join(source.arguments)}, not {', '.join(arguments)}")
        values = [*(arguments[name] for name in source.arguments), *rest]
        with unavailable():
            return await self._scripts[script](keys=batch_keys(self._prefix, batch), args=values)


def microseconds(seconds: float) -> int:
    """Return a time as the scripts take it."""
    return int(seconds * MICROSECONDS)


def expiry(seconds: float = 0) -> int:
    """Return when the keys of a batch that lives for so many seconds expire, in seconds since 1970."""
    return int(time.time() + seconds + LEDGER_TTL)
