"""What the ledger's scripts take together, typed: a generation to begin, and what a reduce has published."""

from dataclasses import asdict, dataclass

import orjson

from pipeline.ledger.scripts import microseconds

Arguments = dict[str, str | bytes | float]


@dataclass(frozen=True)
class NewGeneration:
    """A generation to begin: `tasks` of `items`, each task with so many `calls`; times are in seconds.

    `again` items failed before and run again in it. `delay` passes before the first release. `final`: items that fail
    in it do not run again by themselves. More than `tolerated` final failures end the batch; None is any number.
    """

    generation: int
    tasks: int
    items: int
    deadline: float
    calls: int = 1
    delay: float = 0
    again: int = 0
    final: bool = False
    tolerated: int | None = None

    def arguments(self) -> Arguments:
        """Return it as `begin.lua` takes it."""
        tolerated = "" if self.tolerated is None else self.tolerated
        fields = {"delay": microseconds(self.delay), "final": int(self.final), "tolerated": tolerated}
        return asdict(self) | fields


@dataclass(frozen=True)
class Published:
    """What a reduce has published: the counts of the summary, the other outputs, notes, and the query's answer."""

    succeeded: int
    failed: int
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sql: str = ""

    def arguments(self) -> Arguments:
        """Return it as `finish.lua` takes it."""
        return asdict(self) | {"outputs": orjson.dumps(self.outputs), "notes": orjson.dumps(self.notes)}
