"""Count the outcomes of a batch, and group its failures by kind."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from pipeline.answers.failure_kinds import OTHER_KINDS, Example, example_of, kind_of
from pipeline.answers.outcome import Outcome

MOST_GROUPS = 100


@dataclass
class Group:
    """Failures of one kind; `status_code` is None for the group of all kinds past the 100th."""

    kind: str
    status_code: int | None
    example: Example
    count: int = 0


@dataclass
class Tally:
    """Counts of items, and of each kind of failure; from the 101st kind on, in input order, all kinds are one group."""

    succeeded: int = 0
    failed: int = 0
    not_run: int = 0
    _groups: dict[tuple[int | None, str], Group] = field(default_factory=dict)

    def add(self, outcomes: Sequence[Outcome | None]) -> None:
        """Count the next items; None is one that never ran."""
        kinds: dict[bytes, str] = {}
        for outcome in outcomes:
            if outcome is None:
                self.not_run += 1
            elif outcome.status == "succeeded":
                self.succeeded += 1
            else:
                self.failed += 1
                self._group(outcome, kinds).count += 1

    def _group(self, outcome: Outcome, kinds: dict[bytes, str]) -> Group:
        """Return the group of a failure; `kinds` remembers the kinds of results, since neighbours often fail alike."""
        result = bytes(outcome.result)
        if result not in kinds:
            kinds[result] = kind_of(msgspec.Raw(result))
        key: tuple[int | None, str] = (outcome.status_code, kinds[result])
        if key not in self._groups and len(self._groups) >= MOST_GROUPS:
            key = (None, OTHER_KINDS)
        if key not in self._groups:
            self._groups[key] = Group(key[1], key[0], example_of(outcome))
        return self._groups[key]

    def groups(self) -> list[Group]:
        """Return the groups, the largest first."""
        return sorted(self._groups.values(), key=lambda group: (-group.count, group.example.index))
