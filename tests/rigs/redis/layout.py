"""Whether Redis holds what the tables of keys and fields declare, and nothing else."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from redis.asyncio import Redis

from pipeline.ledger.fields import FIELDS
from pipeline.ledger.keys import BATCH_KEYS, FUNCTION_KEYS

_VALUES = {
    "text": r".*",
    "json": r"|[\[{].*",
    "int": r"-?\d+",
    "unix": r"\d+",
    "flag": r"0|1",
    "number": r"\d+(\.\d+)?",
    "seconds": r"\d+(\.\d+)?",
    "us": r"\d+(\.\d+)?",
}
_KEYS = {
    **{re.compile(rf"[^{{]*:{{.*}}{f':{key.name}' if key.name else ''}"): key.type for key in BATCH_KEYS},
    **{re.compile(rf".*:{re.sub('<.*?>', '.*', key.name)}"): key.type for key in FUNCTION_KEYS},
}
_FIELDS = {re.compile(re.sub("<.*?>", r"\\d+", field.name)): field.type for field in FIELDS}


def is_field(name: str) -> bool:
    """Whether a field of the ledger's hash is declared; `seg:7` is as `seg:<segment>`."""
    return _declared(_FIELDS, name) is not None


async def undeclared(redis: Redis) -> list[str]:
    """The keys, and the fields of ledgers, that are not declared or not of the declared type."""
    found: list[str] = []
    async for key in redis.scan_iter(count=1000):
        name = key.decode()
        kind = cast("bytes", await redis.type(key))
        if _declared(_KEYS, name) != kind.decode():
            found.append(name)
        elif name.endswith("}"):
            fields: Any = redis.hgetall(name)
            found += _wrong_fields({field.decode(): value.decode() for field, value in (await fields).items()})
    return found


def _wrong_fields(fields: Mapping[str, str]) -> Iterator[str]:
    for name, value in fields.items():
        kind = _declared(_FIELDS, name)
        if kind is None or not re.fullmatch(_VALUES[kind], value, re.DOTALL):
            yield f"{name}={value}"


def _declared(table: Mapping[re.Pattern[str], str], name: str) -> str | None:
    return next((kind for pattern, kind in table.items() if pattern.fullmatch(name)), None)
