"""What the harness itself saw and did: the log of ordered faults, and every exchange at the gateway."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from bench.chaos.plan import Step


@dataclass(frozen=True)
class Seen:
    """One delivery or exchange at the gateway.

    `kind` is enqueue, message, callback or call; `call_id` is the X-Call-Id; `item` is a model call's body, or what a
    message is: mode/generation/task/attempt. `fault` says what was done to it, '' for nothing: drop, wipe, refuse,
    lose. `status` is what the caller was answered, 0 for one that never came to that; `seconds` is how long it took.
    """

    kind: str
    call_id: str
    item: str
    fault: str
    status: int
    seconds: float = 0.0


class FaultLog:
    """The steps that have fired, written as they fire; the same seed gives the same lines in the same order."""

    def __init__(self, path: Path) -> None:
        self.fired: list[str] = []
        self.counts: Counter[str] = Counter()
        self._path = path

    def step(self, number: int, step: Step) -> None:
        """Write that a step fired."""
        self.fired.append(str(step))
        self.counts[step.fault] += 1
        with self._path.open("a") as file:
            file.write(json.dumps({"step": number, **asdict(step)}) + "\n")

    def rule(self, kind: str) -> None:
        """Count what a rule did; when is up to the machine, so it is not in the log."""
        self.counts[kind] += 1
