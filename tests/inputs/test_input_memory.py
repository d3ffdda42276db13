"""A million rows of any format are read and cut in bounded memory, including that of the reader's process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import pipeline
from pipeline.units import MIB

ROWS = 1_000_000
READ = """
import asyncio, json, resource, sys
from pathlib import Path
from types import SimpleNamespace
from pipeline.spec.submission import Submission
from pipeline.inputs.open_input import open_input
from pipeline.settings.environment import Settings
from pipeline.store.snapshot import Snapshots
from pipeline.temporary import TemporarySpace
from pipeline.capacity import ANYBODY, few_at_once

class Sink:
    bucket = "rows"
    sent = 0
    def elsewhere(self, bucket):
        return self
    async def download(self, key, etag, path):
        path.hardlink_to(key)
    async def put(self, key, body, kind=""):
        self.sent += len(body)

def peaks():
    unit = 1 if sys.platform == "darwin" else 1024
    found = [resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    # On Linux getrusage includes the memory of the tests when they started this process.
    status = Path("/proc/self/status")
    if status.exists():
        found[0] = int(status.read_text().partition("VmHWM:")[2].split()[0]) * 1024
    return found

async def main(key, columns):
    store = Sink()
    capacities = {"temporary": TemporarySpace.of_disk(), "readers": few_at_once()}
    context = SimpleNamespace(store=store, settings=Settings(s3_bucket="rows"), **capacities)
    fields = {"input": key.lstrip("/"), "function": "f", "columns": columns}
    async with open_input(context, Submission(fields, "", 0, ""), ANYBODY) as given:
        manifest = await Snapshots(store).write("b", 0, given.frames, given.shape, given.chunk)
    print(json.dumps({"items": manifest.items, "sent": store.sent, "peaks": peaks()}))

asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
"""


def rows() -> pl.DataFrame:
    numbers = pl.int_range(ROWS, eager=True)
    return pl.DataFrame({"n": numbers}).select(
        "n",
        url=pl.format("https://example.org/pictures/{}.jpg", "n"),
        score=pl.col("n") * 0.37,
        note=pl.when(pl.col("n") % 4 == 0).then(pl.lit("x" * 40)),
    )


def write(path: Path, form: str) -> None:
    frame = rows()
    match form:
        case "csv":
            frame.write_csv(path)
        case "tsv":
            frame.write_csv(path, separator="\t")
        case "parquet":
            frame.write_parquet(path, row_group_size=ROWS)
        case "ndjson":
            frame.write_ndjson(path)
        case _:
            frame.write_ndjson(path)
            path.write_bytes(b"[" + path.read_bytes().rstrip().replace(b"\n", b",\n") + b"]")


@pytest.mark.attack
@pytest.mark.parametrize("form", ["csv", "tsv", "parquet", "ndjson", "json"])
def test_million_rows_are_read_in_bounded_memory(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"rows.{form}"
    write(path, form)
    environment = {**os.environ, "PYTHONPATH": str(Path(pipeline.__file__).parent.parent)}
    told = subprocess.run(
        [sys.executable, "-c", READ, path, json.dumps(["n", "url", "score"])],
        env=environment,
        cwd="/",
        capture_output=True,
        check=True,
    )
    found = json.loads(told.stdout)
    assert found["items"] == ROWS
    assert found["sent"] > MIB
    assert sum(found["peaks"]) < 1024 * MIB
