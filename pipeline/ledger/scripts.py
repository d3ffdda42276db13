"""The Lua scripts of the ledger: loaded once, and run on the keys of one batch.

The header of a script is the only place that names its arguments and the parts of its reply.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from redis.asyncio import Redis

from pipeline.ledger.headers import Encoder, Reply, encoder, read_rows
from pipeline.ledger.keys import BATCH_KEYS, batch_keys
from pipeline.ledger.redis.client import unavailable

LEDGER_TTL = 7 * 86400
DUTY_LEASE = 30.0

_KEYS = f"local {', '.join(key.name.upper() or 'LEDGER' for key in BATCH_KEYS)} = unpack(KEYS) "


class Source(NamedTuple):
    """A script as it is sent, its arguments with what encodes each, the name of the list of all others, its reply."""

    text: str
    arguments: Mapping[str, Encoder]
    rest: str
    reply: Reply


def read_scripts() -> dict[str, Source]:
    """Return every script, with what stands before each, and locals for its keys and arguments.

    No line is added: line n of the script is line n after those of fields.lua and common.lua in the errors of Redis.
    """
    bodies = {path.name.removesuffix(".lua"): path.read_text() for path in (files("pipeline.ledger") / "lua").iterdir()}
    common = _KEYS + bodies.pop("fields") + bodies.pop("common").rstrip("\n")
    return {name: _source(common, body) for name, body in bodies.items()}


def _source(common: str, body: str) -> Source:
    names = {row.name: encoder(row.type) for row in read_rows(body, "arg")}
    rest = "".join(row.name for row in read_rows(body, "rest"))
    unpacked = f" local {', '.join(names)} = unpack(ARGV, 1, {len(names)})" if names else ""
    listed = f" local {rest} = arguments_from({len(names) + 1})" if rest else ""
    return Source(f"{common}{unpacked}{listed}\n{body}", names, rest, Reply(read_rows(body, "reply")))


class Scripts:
    """The scripts, for the batches under one prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._prefix = prefix
        self._sources = read_scripts()
        self._scripts = {name: redis.register_script(source.text) for name, source in self._sources.items()}

    async def run(self, script: str, batch: str, /, *rest: str | bytes | float, **arguments: Any) -> Any:
        """Run a script on a batch's keys: arguments and reply as its header declares them; raises UnavailableError."""
        source = self._sources[script]
        if arguments.keys() != source.arguments.keys() or (rest and not source.rest):
            raise TypeError(f"{script}.lua takes {', '.join(source.arguments)}, not {', '.join(arguments)}")
        values = [*(encode(arguments[name]) for name, encode in source.arguments.items()), *rest]
        with unavailable():
            reply = await self._scripts[script](keys=batch_keys(self._prefix, batch), args=values)
        return source.reply.read(reply)
