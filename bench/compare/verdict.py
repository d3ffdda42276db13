"""What a summary says about each item: pure functions, the same for every way."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Verdict:
    """How a summary stands to its input; all are numbers of items.

    `present` have an entry, `lost` have none, `duplicated` are the entries of an item after its first, `failed` are
    entries without a result, `wrong` are entries with another item's, or of no item. `counted_twice` is by how many the
    summary's own counts exceed the items that are there.
    """

    items: int
    present: int
    lost: int
    duplicated: int
    failed: int
    wrong: int
    counted_twice: int

    @property
    def complete(self) -> bool:
        """Whether every item is there once with its own result, and counted once."""
        return self.present == self.items and not any(
            (self.lost, self.duplicated, self.failed, self.wrong, self.counted_twice)
        )


def make_items(count: int) -> list[str]:
    """Return items of ten lengths, so that the model's answer to one is not the answer to its neighbour."""
    return [f"item-{index:07}{'.' * (index % 10)}" for index in range(count)]


def result_of(item: str) -> dict[str, int]:
    """Return what the model function answers."""
    return {"length": len(item.encode())}


def judge(summary: Mapping[str, Any], items: Sequence[str]) -> Verdict:
    """Hold a summary `{results: {count, results}, failures: {count, results}}` against the items of its input."""
    results, failures = summary["results"]["results"], summary["failures"]["results"]
    entries = Counter(entry["item"] for entry in [*results, *failures])
    known = set(items)
    present = len(known & entries.keys())
    counted = summary["results"]["count"] + summary["failures"]["count"]
    strangers = sum(count for item, count in entries.items() if item not in known)
    mistaken = sum(entry["item"] in known and entry["result"] != result_of(entry["item"]) for entry in results)
    return Verdict(
        items=len(items),
        present=present,
        lost=len(items) - present,
        duplicated=sum(count - 1 for item, count in entries.items() if item in known),
        failed=len(failures),
        wrong=strangers + mistaken,
        counted_twice=max(0, counted - present),
    )
