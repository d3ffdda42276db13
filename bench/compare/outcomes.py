"""The outcomes of batches with a fault: pure functions."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.compare.forms import Way
    from bench.compare.summary import Verdict

End = Literal["summary", "hang", "error"]

# Three times the longest time after which a way here notices a lost message.
HANG_SECONDS = 90


@dataclass(frozen=True)
class Outcome:
    """One batch of `items` with one fault, in one of several runs.

    `seconds` is from the submission until the summary could be read, or until the end without one. `called` is the
    items that the model function was called for, in the order of its calls. `verdict` is None without a summary;
    `problem` is the error of a way that gave up.
    """

    way: Way
    fault: str
    done: str
    run: int
    items: int
    end: End
    seconds: float
    called: Sequence[str]
    verdict: Verdict | None = None
    problem: str = ""

    @property
    def repeated(self) -> int:
        """Calls of the model function after the first for the same item."""
        return len(self.called) - len(set(self.called))


def words(outcome: Outcome) -> str:
    """Return the outcome in one line, with its numbers of items and calls."""
    if outcome.end != "summary":
        return f"{kind(outcome)}; {len(set(outcome.called))} of {outcome.items} items were called"
    return kind(outcome) + (f", {outcome.repeated} calls repeated" if outcome.repeated else "")


def kind(outcome: Outcome) -> str:
    """Return the outcome in words that are the same for every run with the same outcome."""
    if outcome.end == "hang":
        return f"hangs: no summary, and nothing has moved for {HANG_SECONDS} s"
    if outcome.end == "error":
        return f"gives up: {outcome.problem}"
    verdict = outcome.verdict
    if verdict is None or verdict.complete:
        return "every item once"
    counts = {
        "lost": verdict.lost,
        "twice in the summary": verdict.duplicated,
        "counted twice": verdict.counted_twice,
        "failed": verdict.failed,
        "with a wrong result": verdict.wrong,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count)


def by_fault(outcomes: Sequence[Outcome]) -> list[list[Outcome]]:
    """Return the runs of each fault, in the order of the first ones."""
    groups: dict[tuple[str, str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.way, outcome.fault, outcome.done), []).append(outcome)
    return list(groups.values())


def summarize(group: Sequence[Outcome]) -> str:
    """Return the outcomes of the runs of a fault in one line, with their numbers where they differ."""
    kinds = Counter(kind(outcome) for outcome in group)
    if len(kinds) == 1:
        return next(iter(kinds))
    return "; ".join(f"{count} of {len(group)} runs: {what}" for what, count in kinds.items())
