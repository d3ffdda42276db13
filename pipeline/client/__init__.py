"""Call the pipeline from Python: `Pipeline` with `async`, `SyncPipeline` without.

async with Pipeline("http://127.0.0.1:8080") as pipeline:
    batch = await pipeline.submit(Path("images.csv"), function="inception")
    async for progress in batch:
        print(progress.succeeded, progress.failed)
    frame = await batch.frame()
"""

from pipeline.client.batch import Batch
from pipeline.client.documents import (
    Batches,
    Brief,
    Check,
    Diagnosis,
    DryRun,
    Link,
    Outputs,
)
from pipeline.client.errors import AnswerError, BrokenError, CallError, RefusedError, SourceError, UnreachableError
from pipeline.client.pipeline import Pipeline
from pipeline.client.progress import Progress, SqlAnswer
from pipeline.client.submission import Source, SpecFields
from pipeline.client.sync import SyncBatch, SyncPipeline

__all__ = [
    "AnswerError",
    "Batch",
    "Batches",
    "Brief",
    "BrokenError",
    "CallError",
    "Check",
    "Diagnosis",
    "DryRun",
    "Link",
    "Outputs",
    "Pipeline",
    "Progress",
    "RefusedError",
    "Source",
    "SourceError",
    "SpecFields",
    "SqlAnswer",
    "SyncBatch",
    "SyncPipeline",
    "UnreachableError",
]
