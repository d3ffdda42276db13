"""The notices of the ends of batches: which targets are still to be notified. One typed method a script.

The notices of an end may outlive the ledger of the batch; lost ones are recreated from the final status in S3.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple, Self

import orjson

from pipeline.ledger.replies import State
from pipeline.ledger.scripts import LEDGER_TTL, Scripts
from pipeline.units import MICROSECONDS, microseconds

_SHOWN = {"held": "due", "undelivered": "given up"}
_STORED = {"given up": "undelivered"}

Verdict = Literal["delivered", "refused", "undelivered"]


class EndId(NamedTuple):
    """Names one end of a batch: epoch, generation, and when it ended, in microseconds by Redis' clock.

    `redrives` are those before it. An end that a failover of Redis has undone comes again with the same number.
    """

    epoch: str
    generation: int
    ended: int
    redrives: int = 0

    def __str__(self) -> str:
        return f"{self.epoch} {self.generation} {self.ended}"

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Self:
        """Return the end of a final status that holds the `epoch` of its ledger."""
        ended = round(document["ended"] * MICROSECONDS)
        return cls(document["epoch"], document["generation"], ended, document.get("redrives", 0))


@dataclass(frozen=True)
class DeliveryResult:
    """The result of a delivery attempt: `status` is 0 without an answer.

    After a refusal the next attempt is made in `backoff` seconds. A target that still refuses `patience` seconds after
    its turn began is given up; so is one that is `undelivered`.
    """

    number: int
    verdict: Verdict
    status: int
    backoff: float
    patience: float


@dataclass(frozen=True)
class Notices:
    """The notices of one end, None where there are none: the targets as Redis holds them, and the `due` ones."""

    end: EndId | None
    targets: tuple[str, ...] = ()
    due: tuple[int, ...] = ()

    @classmethod
    def read(cls, fields: Mapping[str, str], due: Sequence[int] = ()) -> Self:
        """Read the fields of the hash."""
        if "end" not in fields:
            return cls(None)
        epoch, generation, ended = fields["end"].split()
        targets = tuple(fields[str(target)] for target in range(len(fields)) if str(target) in fields)
        end = EndId(epoch, int(generation), int(ended), int(fields.get("redrives", 0)))
        return cls(end, targets, tuple(due))

    def describe(self, shown: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
        """Describe each target, `shown` as its kind and its name; those of a batch that has not ended wait."""
        targets = self.targets or ("held 0 0 0 0",) * len(shown)
        return [_describe(kind, name, target) for (kind, name), target in zip(shown, targets, strict=True)]


def _describe(kind: str, name: str, target: str) -> dict[str, Any]:
    state, tries, status, at, _ = target.split()
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


class NoticeBoard:
    """The notices under one prefix."""

    def __init__(self, scripts: Scripts) -> None:
        self._run = scripts.run

    async def read(self, batch: str) -> Notices:
        """Return the notices of a batch; none before its end, or where it has no targets."""
        return Notices.read(**await self._run("read_notices", batch))

    async def start_delivery(self, batch: str, end: EndId, target: int, lease: float) -> int:
        """Take the next attempt to notify a target, for `lease` seconds; returns its number, 0 for none."""
        of = {"ending": str(end), "target": target}
        return int(await self._run("start_delivery", batch, delivery_lease=lease, **of))

    async def record_delivery(
        self, batch: str, end: EndId, target: int, result: DeliveryResult
    ) -> tuple[str, tuple[int, ...]]:
        """Record the result of an attempt; returns the new state of the target, and the targets that are due now.

        `delivered`, `due` again, `undelivered` (given up), or `stale`: nothing has changed.
        """
        reply = await self._run("record_delivery", batch, ending=str(end), target=target, **asdict(result))
        return reply["state"], reply["due"]

    async def restore(self, batch: str, end: EndId, described: Sequence[Mapping[str, Any]]) -> None:
        """Recreate the notices of an end that Redis has lost, from the targets in a final status."""
        reduces = described[0]["kind"] == "reduce" and described[0]["state"] == "due"
        known = [
            (
                "held" if reduces and place else _STORED.get(target["state"], target["state"]),
                *(target["tries"], target["status_code"] or 0, microseconds(target["at"] or 0)),
            )
            for place, target in enumerate(described)
        ]
        of = {"ending": str(end), "redrives": end.redrives}
        await self._run("restore_notices", batch, ttl=LEDGER_TTL, targets=known, **of)
