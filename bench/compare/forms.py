"""What is compared: each way of doing the job, in the forms that its own documentation advises."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from bench.kit.errors import BenchError
from pipeline.client import SpecFields

Way = Literal["pipeline", "original", "celery", "lithops", "dask"]
WAYS: tuple[Way, ...] = ("pipeline", "original", "celery", "lithops", "dask")

# Ten tasks for each of four workers at 1,000 items: enough to share them out evenly.
CHUNK = 25


@dataclass(frozen=True)
class Form:
    """One row of the comparison.

    `chunk` is the items a task; `spec` are further fields of the specification, for the pipeline only.
    """

    way: Way
    name: str
    words: str
    chunk: int | Literal["auto"] = 1
    spec: SpecFields = field(default_factory=SpecFields)


# One item at a time within a task: then no form has more calls under way at once than there are workers.
ONE_BY_ONE = SpecFields(concurrency=1)
CALL = SpecFields(chunk_call=True)

FORMS: tuple[Form, ...] = (
    Form("pipeline", "pipeline", "chunk 1"),
    Form("pipeline", "pipeline-direct", "direct calls", spec=SpecFields(direct=True)),
    Form("pipeline", "pipeline-auto", "chunk auto", "auto"),
    Form("pipeline", "pipeline-auto-call", "chunk auto, called once a chunk", "auto", CALL),
    Form("pipeline", "pipeline-chunk", f"chunk {CHUNK}", CHUNK, ONE_BY_ONE),
    Form("pipeline", "pipeline-chunk-call", f"chunk {CHUNK}, called once a chunk", CHUNK, CALL),
    Form("original", "original", "three functions, one item a message"),
    Form("celery", "celery", "chord, one item a task"),
    Form("celery", "celery-chunk", f"chord over chunks of {CHUNK}", CHUNK),
    Form("lithops", "lithops", "map_reduce, one item a call"),
    Form("lithops", "lithops-chunk", f"map_reduce, {CHUNK} items a call", CHUNK),
    Form("dask", "dask", "futures, one item a task"),
    Form("dask", "dask-chunk", f"futures, {CHUNK} items a task", CHUNK),
)


def choose(ways: str) -> tuple[Form, ...]:
    """Return the forms of the ways that are named, with commas between; all for none. Raises BenchError."""
    named = [part.strip() for part in ways.split(",") if part.strip()] or list(WAYS)
    if unknown := sorted(set(named) - set(WAYS)):
        raise BenchError(f"there is no way {', '.join(unknown)}; there are: {', '.join(WAYS)}")
    return tuple(form for form in FORMS if form.way in named)
