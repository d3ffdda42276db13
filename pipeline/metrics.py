"""The metrics of one process, in the format of Prometheus: each with its name, type, labels and help.

Labels have few values: a mode, a status, a verdict, but never a batch or a function. Counters begin at 0 with the
process; the outcome of a batch is in the ledger only.
"""

from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

VERSION = "0.1.0"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)


class Metrics:
    """The metrics of one context, in a registry of its own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._gauge("build_info", "The version that runs.", "version").labels(VERSION).set(1)
        self._requests()
        self._work()
        self._redis = self._counter("redis_errors", "Failed attempts at commands to Redis.", "kind")
        self._s3 = self._counter("s3_errors", "Failed attempts at requests to S3.", "kind")

    def _requests(self) -> None:
        requests = self._counter("requests", "Answered requests.", "mode", "status")
        seconds = self._histogram("request_seconds", "Seconds from a request to its answer.", "mode")
        self._answered = cache(lambda mode, status: (requests.labels(mode, status), seconds.labels(mode)))
        self._in_flight = self._gauge("requests_in_flight", "Requests that are being answered.")
        calls = self._histogram("model_call_seconds", "Seconds of one call of a model function.", "status")
        self._calls = cache(calls.labels)
        self._retries = self._counter("model_retries", "Calls that repeat another one of the same item and task.")

    def _work(self) -> None:
        settles = self._counter("tasks_settled", "Answers of tasks, by the verdict of the ledger.", "verdict")
        self._settles = _children(settles, "settled", "duplicate", "closed", "unknown")
        items = self._counter("items_settled", "Items of settled tasks, once in each generation.", "outcome")
        self._items = _children(items, "succeeded", "failed")
        self.unanswered = self._counter("tasks_unanswered", "Callbacks without an answer of a task.")
        self.lost = self._counter("tasks_lost", "Tasks that were released again because no answer came.")
        releases = self._counter("releases", "Messages for tasks, by the answer of the gateway.", "result")
        self._releases = _children(releases, "accepted", "refused")
        self.opened = self._counter("batches_opened", "Batches that were opened.")
        ends = self._counter("batches_ended", "Ends of batches; one that is redriven ends again.", "state")
        self._ends = _children(ends, "done", "cancelled", "failed")
        notifications = self._counter("notifications", "Attempts at notifications of the end of a batch.", "result")
        self._notifications = _children(notifications, "delivered", "refused", "given up")
        self._open = self._gauge("open_batches", "Open batches, as this process' last sweep saw them.")
        self.segments = self._counter("segments_written", "Objects of outcomes that were written to S3.")
        self.rebuilt = self._counter("ledgers_rebuilt", "Ledgers that Redis had lost, rebuilt from S3.")

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(name, words, labels, namespace="pipeline", registry=self._registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(name, words, labels, namespace="pipeline", registry=self._registry)

    def _histogram(self, name: str, words: str, *labels: str) -> Histogram:
        return Histogram(name, words, labels, namespace="pipeline", registry=self._registry, buckets=SECONDS)

    def exposition(self) -> bytes:
        """Return all metrics in the text format 0.0.4 of Prometheus."""
        return generate_latest(self._registry)

    def in_flight(self, change: int) -> None:
        """Count a request that begins (1) or ends (-1)."""
        self._in_flight.inc(change)

    def answered(self, mode: str, status: int, seconds: float) -> None:
        """Count a request's answer."""
        counter, histogram = self._answered(mode, str(status))
        counter.inc()
        histogram.observe(seconds)

    def called(self, status: int, seconds: float) -> None:
        """Count one call of a model function."""
        self._calls(f"{status // 100}xx").observe(seconds)

    def tried(self, attempts: int) -> None:
        """Count the calls of an item after its first."""
        if attempts > 1:
            self._retries.inc(attempts - 1)

    def settled(self, verdict: str, succeeded: int, failed: int) -> None:
        """Count the answer of a task, and its items if it is the first answer."""
        self._settles[verdict].inc()
        if verdict == "settled":
            self._items["succeeded"].inc(succeeded)
            self._items["failed"].inc(failed)

    def released(self, result: str) -> None:
        """Count a message for a task: `accepted` or `refused`."""
        self._releases[result].inc()

    def ended(self, state: str) -> None:
        """Count a batch's end."""
        self._ends[state].inc()

    def notified(self, result: str) -> None:
        """Count an attempt at a notification: `delivered`, `refused` (it is repeated) or `given up`."""
        self._notifications[result].inc()

    def swept(self, open_batches: int) -> None:
        """Set the number of open batches."""
        self._open.set(open_batches)

    def redis_failed(self, kind: str) -> None:
        """Count an error of Redis."""
        self._redis.labels(kind).inc()

    def s3_failed(self, kind: str) -> None:
        """Count an error of S3."""
        self._s3.labels(kind).inc()


def _children(counter: Counter, *values: str) -> dict[str, Counter]:
    """Return the counter of each value of the label: made at once, so that the first event is an increase."""
    return {value: counter.labels(value) for value in values}
