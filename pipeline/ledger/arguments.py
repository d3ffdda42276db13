"""Arguments of the ledger's scripts that belong together; the fields have the names in the headers of the scripts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NewGeneration:
    """A generation to begin: `tasks` of `items`, each task with so many `calls`; times are in seconds.

    `again` items failed before and run again in it. `delay` passes before the first release. `final`: items that fail
    in it do not run again by themselves. More than `tolerated` final failures end the batch; None is any number.
    `direct`: queue-workers call the model function themselves.
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
    direct: bool = False


@dataclass(frozen=True)
class Published:
    """What a reduce has published: the counts of the summary, the other outputs, notes, and the query's answer.

    `outcome` is the state of the batch in these outputs.
    """

    succeeded: int
    failed: int
    outputs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sql: Mapping[str, Any] | None = None
    outcome: str = "done"
