"""The tasks of a Celery chord on Redis: `celery -A bench.compare.baselines.celery_app worker` works on them.

`REDIS_URL` is broker and result backend, `VISIBILITY_TIMEOUT` the seconds after which Redis' messages are delivered
again that were not acknowledged.
"""

import os

from celery import Celery

from bench.compare.baselines.calls import Entry, call_model
from bench.compare.baselines.calls import write_summary as write

app = Celery("bench", broker=os.environ["REDIS_URL"], backend=os.environ["REDIS_URL"])
app.conf.update(
    # As the documentation advises for tasks that may run again: no message is lost with its worker.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # Looked after every ten seconds, not every hundred: else a short timeout would be a long one.
    broker_transport_options={
        "visibility_timeout": int(os.environ["VISIBILITY_TIMEOUT"]),
        "unacked_restore_throttle": 1,
    },
    broker_connection_retry_on_startup=True,
)


@app.task
def call_item(item: str) -> Entry:
    """Call the model function for one item."""
    return call_model(item)


@app.task
def write_summary(entries: list[Entry | list[Entry]], batch: str) -> None:
    """Write the summary of the results of the header's tasks, or chunks."""
    write(batch, entries)
