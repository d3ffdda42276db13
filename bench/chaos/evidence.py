"""All that the checker reads of a run."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Entry = dict[str, Any]

COLUMN = "item"
OK = 200


@dataclass(frozen=True)
class Seen:
    """One delivery or exchange at the gateway.

    `kind` is enqueue, message, callback, call or notice; `call_id` is the X-Call-Id; `item` is an item of a model call,
    or mode/generation/task/attempt of a message. `fault` is drop, wipe, refuse or lose, '' for none. `status` is that
    of the answer, 0 for none; `seconds` is the duration.
    """

    kind: str
    call_id: str
    item: str
    fault: str
    status: int
    seconds: float = 0.0


@dataclass(frozen=True)
class Notice:
    """One message that a target of notifications has got; `end` is the state, the generation and the time of it."""

    id: str
    kind: str
    end: tuple[Any, ...]


@dataclass(frozen=True)
class Evidence:
    """All that the checker reads.

    `summary` is None where there is none; `later` is the summary once no more answers come. `calls` is the log of the
    model, (call id, item); `seen` is the log of the gateway. `objects` are those that the summary refers to, `outputs`
    the objects of the ended generation and of the batch, by their names behind the id. `stopped`: a cancel was
    requested; `cancelled`: it was accepted. `problems` are those of the client: a batch that hangs, an accepted one
    that is gone, a request that was accepted without effect. `begun` is the generation with which the batch, or its
    redrive, began; `redriven` are the failed calls that a redrive makes again, item and call id; `window` is the last
    one that was tuned, 0 for none. `left` is what must be gone after the end, `remains` what a deletion has left.
    `callbacks` are those of a replica's event loop that took long, `errors` the exceptions in its log. `lost` are
    the keys of objects that were deleted. `over`: nothing will follow on this end.
    """

    rows: list[str]
    options: Mapping[str, Any]
    status: dict[str, Any]
    summary: dict[str, Any] | None
    later: dict[str, Any] | None
    calls: list[tuple[str, str]]
    seen: list[Seen] = field(repr=False)
    objects: dict[str, bytes] = field(default_factory=dict)
    outputs: dict[str, bytes] = field(default_factory=dict)
    notices: tuple[Notice, ...] = ()
    left: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()
    stopped: bool = False
    cancelled: bool = False
    problems: tuple[str, ...] = ()
    begun: int = 0
    window: int = 0
    redriven: frozenset[tuple[str, str]] = frozenset()
    callbacks: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    over: bool = True

    def but(self, **changes: Any) -> "Evidence":
        """Return a copy with changes."""
        return replace(self, **changes)

    def entries(self, name: str) -> list[Entry]:
        """Return the entries of a list of the summary."""
        return list(self.summary[name]["results"]) if self.summary else []

    def items(self, name: str) -> list[str]:
        """Return their items."""
        return [entry[COLUMN] for entry in self.entries(name)]

    @property
    def failed_calls(self) -> frozenset[tuple[str, str]]:
        """Item and call id of each failure."""
        return frozenset((entry[COLUMN], entry["callId"]) for entry in self.entries("failures") if not never_ran(entry))

    @property
    def state(self) -> str:
        """The state of the batch."""
        return str(self.status.get("state"))

    @property
    def lost_rows(self) -> bool:
        """Whether the batch failed because of objects that were deleted, and names one, or how its key begins."""
        named = re.findall(r"the object '([^']+)'", str(self.status.get("reason")))
        return self.state == "failed" and any(key.startswith(name) for key in self.lost for name in named)

    @property
    def too_many_failed(self) -> bool:
        """Whether more items failed than the batch tolerates."""
        tolerated = self.options.get("tolerate")
        if isinstance(tolerated, str):
            tolerated = len(self.rows) * int(tolerated.rstrip("%")) // 100
        return tolerated is not None and sum(not never_ran(entry) for entry in self.entries("failures")) > tolerated


def never_ran(entry: Entry) -> bool:
    """Return whether a failure is that of an item whose batch was stopped before."""
    return entry["statusCode"] is None
