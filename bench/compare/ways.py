"""The compared ways, their forms, as their own documentation advises them, and how large they run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

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


@dataclass(frozen=True)
class Layout:
    """The size of a way: `parallelism` queue-workers, or processes of so many worker `nodes` in all.

    `lost_after` is the seconds after which a message of a dead worker is delivered again, in ways with such a setting;
    `ack_wait` is that of the queue-workers. `replicas` are those of the function that works on items, and `settings`
    the pipeline's, for the ways that have them.
    """

    parallelism: int
    nodes: int = 1
    lost_after: int = 3600
    ack_wait: int = 60
    replicas: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
