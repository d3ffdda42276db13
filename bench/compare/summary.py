"""The comparison of a summary with the input: the same for every way."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


@dataclass(frozen=True)
class Verdict:
    """A summary compared with its input; all are numbers of items.

    `present` have an entry, `lost` have none, `duplicated` are the entries of an item after its first, `failed` are
    entries without a result, `wrong` are entries with another item's, or of no item. `counted_twice` is by how many the
    summary's own counts exceed the items that are there.
    """

    present: int
    lost: int
    duplicated: int
    counted_twice: int
    failed: int
    wrong: int

    @property
    def complete(self) -> bool:
        """Whether every item is there once with its own result, and counted once."""
        return not any((self.lost, self.duplicated, self.counted_twice, self.failed, self.wrong))


def make_items(count: int) -> list[str]:
    """Return items of ten lengths, so that the model's answer to one is not the answer to its neighbour."""
    return [f"item-{index:07}{'.' * (index % 10)}" for index in range(count)]


def result_of(item: str) -> dict[str, int]:
    """Return the answer of the model function."""
    return {"length": len(item.encode())}


def judge(summary: Document, items: Sequence[str]) -> Verdict:
    """Compare a summary `{results: {count, results}, failures: {count, results}}` with the items of its input."""
    results, failures = summary["results"]["results"], summary["failures"]["results"]
    entries = Counter(entry["item"] for entry in [*results, *failures])
    known = Counter({item: entries[item] for item in items if item in entries})
    counted = summary["results"]["count"] + summary["failures"]["count"]
    mistaken = sum(entry["item"] in known and entry["result"] != result_of(entry["item"]) for entry in results)
    return Verdict(
        present=len(known),
        lost=len(items) - len(known),
        duplicated=known.total() - len(known),
        counted_twice=max(0, counted - len(known)),
        failed=len(failures),
        wrong=entries.total() - known.total() + mistaken,
    )
