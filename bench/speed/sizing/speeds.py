"""Items a second by chunk and model time, from the rows of `bench.speed.parallelism`."""

from __future__ import annotations

import csv
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING

from bench.kit.errors import BenchError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PARALLELISM = 8
WAYS = ("chunk 1", "direct", "chunk 10")

# Items a second by way and by milliseconds of a model call.
Speeds = dict[tuple[str, int], float]


def read_speeds(path: Path) -> Speeds:
    """Return the medians at 8 queue-workers; raises BenchError for a file that has none."""
    found: Mapping[tuple[str, int], list[float]] = defaultdict(list)
    try:
        with path.open(newline="") as file:
            for line in csv.DictReader(file):
                if int(line["parallelism"]) == PARALLELISM and line["way"] in WAYS:
                    found[line["way"], int(line["model_ms"])].append(float(line["items_per_second"]))
    except (KeyError, OSError, ValueError) as error:
        raise BenchError(f"{path} holds no rows of bench.speed.parallelism: {error!r}") from error
    if not found:
        raise BenchError(f"{path} has no rows of {PARALLELISM} queue-workers")
    return {way: median(values) for way, values in found.items()}
