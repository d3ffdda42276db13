"""The batches that are run."""

from __future__ import annotations

from bench.speed.sizing.figures import Case

SIZES = (
    *(Case("size", items, chunk) for items in (1_000, 10_000) for chunk in (1, 10, 100)),
    *(Case("size", 100_000, chunk) for chunk in (10, 100)),
)
WINDOWS = tuple(Case("window", 10_000, 10, window=window) for window in (32, 128, 512))
RESULTS = (
    *(Case("result", 5_000, chunk, result_bytes=1024) for chunk in (1, 10, 100)),
    *(Case("result", 2_000, chunk, result_bytes=10_240) for chunk in (1, 10)),
)
ATTEMPTS = tuple(
    Case("attempts", 300, 1, attempts=attempts, fails=fails, workers=16)
    for fails in ("calls", "items")
    for attempts in (1, 2, 3)
)
# Three times over, since it is the seconds that count here; repeats outermost.
PARALLELISM = (
    *(Case("parallelism", 480, 1, window=window, workers=16, model_ms=100) for window in (8, 16, 24, 32, 64, 128)),
) * 3
CASES = (*SIZES, *WINDOWS, *RESULTS, *ATTEMPTS, *PARALLELISM)
