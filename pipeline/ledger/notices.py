"""Who is to be told that a batch has ended, in Redis: one typed method a script.

The notices of an end outlive the batch's ledger: where Redis has lost both, they are made again from what S3 keeps.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self

import orjson
from redis.asyncio import Redis

from pipeline.ledger.replies import MICROSECONDS, State
from pipeline.ledger.scripts import LEDGER_TTL, Scripts, microseconds

_NAMES = ("attempt", "attempted", "notices", "recall")
_SHOWN = {"held": "due", "undelivered": "given up"}
_KEPT = {"given up": "undelivered"}

Verdict = Literal["delivered", "refused", "undelivered"]


class Ending(NamedTuple):
    """One end of a batch: a generation of one life of its id, and when it ended, in microseconds by Redis' clock."""

    epoch: str
    generation: int
    ended: int

    def __str__(self) -> str:
        return f"{self.epoch} {self.generation} {self.ended}"

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the end that a final status, with its ledger's `epoch`, is of."""
        return cls(document["epoch"], document["generation"], round(document["ended"] * MICROSECONDS))


@dataclass(frozen=True)
class Tried:
    """What a try came to: its `status` is 0 for no answer. A refused one is made again after `backoff` seconds.

    That ends when the target's turn began `patience` seconds ago; `undelivered` is for good.
    """

    number: int
    verdict: Verdict
    status: int
    backoff: float
    patience: float


@dataclass(frozen=True)
class Notices:
    """The notices of one end, None where there are none: what is kept of each target, and whose turn it is."""

    end: Ending | None
    kept: tuple[str, ...] = ()
    due: tuple[int, ...] = ()

    @classmethod
    def read(cls, fields: Mapping[str, str], due: Sequence[int] = ()) -> Self:
        """Read what Redis holds of them."""
        if "end" not in fields:
            return cls(None)
        epoch, generation, ended = fields["end"].split()
        kept = tuple(fields[str(target)] for target in range(len(fields)) if str(target) in fields)
        return cls(Ending(epoch, int(generation), int(ended)), kept, tuple(due))

    def describe(self, shown: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Describe each target, `shown` as its kind and its name; those of a batch that has not ended wait."""
        kept = self.kept or ("held 0 0 0 0",) * len(shown)
        return [_describe(kind, name, each) for (kind, name), each in zip(shown, kept, strict=True)]


def _describe(kind: str, name: str, kept: str) -> dict[str, Any]:
    state, tries, status, at, _ = kept.split()
    return {
        "target": name,
        "kind": kind,
        "state": _SHOWN.get(state, state),
        "tries": int(tries),
        "status_code": int(status) or None,
        "at": int(at) / MICROSECONDS if int(at) else None,
    }


def notices_of(state: State) -> list[dict[str, Any]]:
    """Describe the targets of a batch, as its ledger has them."""
    return Notices.read(state.notices).describe(orjson.loads(state["shown"] or "[]"))


class Notifications:
    """The notices under one prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._run = Scripts(redis, prefix, *_NAMES).run

    async def read(self, batch: str) -> Notices:
        """Return the notices of a batch; none where it has not ended, or nobody is told."""
        fields, due = await self._run("notices", batch)
        pairs = zip(fields[::2], fields[1::2], strict=True)
        return Notices.read({name.decode(): value.decode() for name, value in pairs}, due)

    async def attempt(self, batch: str, end: Ending, target: int, lease: float) -> int:
        """Take the next try to tell a target, for `lease` seconds; returns its number, 0 where it is another's."""
        return int(await self._run("attempt", batch, str(end), target, microseconds(lease)))

    async def attempted(self, batch: str, end: Ending, target: int, tried: Tried) -> tuple[str, tuple[int, ...]]:
        """Record what a try came to; returns what the target is now, and whose turn it is then.

        `delivered`, `due` again, `undelivered` (given up), or `stale`: nothing has changed.
        """
        times = (microseconds(tried.backoff), microseconds(tried.patience))
        arguments = (tried.number, tried.verdict, tried.status, *times)
        now, *follow = await self._run("attempted", batch, str(end), target, *arguments)
        return now.decode(), tuple(follow)

    async def recall(self, batch: str, end: Ending, described: Sequence[Mapping[str, Any]]) -> None:
        """Make the notices of an end again that Redis has lost, as a final status describes them."""
        reduces = described[0]["kind"] == "reduce" and described[0]["state"] == "due"
        known = [
            (
                "held" if reduces and place else _KEPT.get(each["state"], each["state"]),
                *(each["tries"], each["status_code"] or 0, microseconds(each["at"] or 0)),
            )
            for place, each in enumerate(described)
        ]
        await self._run("recall", batch, str(end), int(time.time() + LEDGER_TTL), orjson.dumps(known))
