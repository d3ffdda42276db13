"""The snapshot, segments and summary of a batch of three rows, as the function writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import polars as pl

from pipeline.answers.outcome import Outcome
from pipeline.store.columns import INDEX, ITEM
from pipeline.store.cut_tasks import Cutter
from pipeline.store.snapshot import _to_parquet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rigs.client.contract import Contract

ROWS = pl.DataFrame({"id": ["1", "2", "3"], "url": ["a", "b", "c"], "note": ["x", None, "z"]})
SUMMARY = b'{"batchId": "b-1", "results": {"count": 0, "results": []}}'


def parts(rows: pl.DataFrame, column: str, chunk: int = 2) -> list[bytes]:
    """Cut rows as an opening does, one part a task."""
    cutter = Cutter(chunk, part_bytes=1)
    indices = pl.int_range(rows.height, dtype=pl.Int64, eager=True).alias(INDEX)
    frame = rows.rename({column: ITEM}).with_columns(indices)
    return [_to_parquet(part) for part in [*cutter.feed(frame), *cutter.rest()]]


def segment(*outcomes: Outcome) -> bytes:
    return b"\n".join(map(msgspec.json.encode, outcomes))


def outcome(index: int, result: str = "null", *, failed: bool = False, **more: Any) -> Outcome:
    fields = {"status_code": 500 if failed else 200, "attempts": 1, "duration": 0.5, "call_id": f"call-{index}", **more}
    status: Any = "failed" if failed else "succeeded"
    return Outcome(index=index, item="", status=status, result=msgspec.Raw(result.encode()), **fields)


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def with_parts(server: Contract, **more: Any) -> dict[str, Any]:
    """Answer for a batch of three rows: one failed and then succeeded, one succeeded, one never ran."""
    first = segment(outcome(0, '"no"', failed=True), outcome(1, '"two"'))
    segments = [(0, first), (1, segment(outcome(0, '"one"')))]
    document = {
        "batch_id": "b-1",
        "expires": 9.5,
        "summary": server.link("b-1.json", SUMMARY),
        "column": "url",
        "snapshot": [server.link(f"b-1/{n}.parquet", body) for n, body in enumerate(parts(ROWS, "url"))],
        "segments": [server.link(f"b-1/{n}.ndjson", body, generation=n) for n, body in segments],
        **more,
    }
    server.answer("outputs", document)
    return document
