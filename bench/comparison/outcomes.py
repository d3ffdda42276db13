"""What became of a batch that met a fault: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.comparison.forms import Way
    from bench.comparison.verdict import Verdict

End = Literal["summary", "hang", "error"]


@dataclass(frozen=True)
class Outcome:
    """One batch of `items` with one fault.

    `seconds` is from the submission until the summary could be read, or until it was given up. `called` is the items
    that the model function was called for, in the order of its calls. `verdict` is None without a summary, `problem`
    is what the way itself says where it gave up.
    """

    way: Way
    fault: str
    done: str
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

    @property
    def exact(self) -> bool:
        """Whether the summary has every item once, with its result, and counts it once."""
        return self.verdict is not None and self.verdict.complete


def words(outcome: Outcome) -> str:
    """Return one line on what happened."""
    called = f"{len(set(outcome.called))} of {outcome.items} items were called"
    if outcome.end == "hang":
        return f"hangs: no summary, and nothing moves any more; {called}"
    if outcome.end == "error":
        return f"gives up: {outcome.problem}; {called}"
    again = f", {outcome.repeated} calls repeated" if outcome.repeated else ""
    if outcome.verdict is None or outcome.verdict.complete:
        return f"every item once{again}"
    verdict = outcome.verdict
    counts = {
        "lost": verdict.lost,
        "twice in the summary": verdict.duplicated,
        "counted twice": verdict.counted_twice,
        "failed": verdict.failed,
        "with a wrong result": verdict.wrong,
    }
    return ", ".join(f"{count} {what}" for what, count in counts.items() if count) + again
