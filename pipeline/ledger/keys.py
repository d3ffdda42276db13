"""Every key in Redis. Each key of a batch carries the batch in a hash tag, so that a script's keys share a slot."""

from typing import NamedTuple


class Key(NamedTuple):
    """A key: its name after the prefix, or after that of the batch; its type in Redis; and what it holds."""

    name: str
    type: str
    holds: str


# In the order of a script's KEYS.
BATCH_KEYS = (
    Key("", "hash", "the ledger of the batch: see fields.py"),
    Key("settled", "string", "bitmap of the generation's settled tasks"),
    Key("outcomes", "list", "answers of tasks that no written segment holds yet"),
    Key("inflight", "zset", "task in flight -> release time"),
    Key("due", "zset", "duty -> when another replica may take it over"),
    Key("remaining", "string", "how many tasks are not settled"),
    Key("attempts", "hash", "<task> -> attempt; f:, l:, x: its failures, losses, extension; a:, r: its run, and until"),
    Key("series", "string", "32-bit counters: items settled over time, then durations of tasks: see measures.py"),
    Key("failures", "hash", "kind of failure -> how many given up, worth a retry, run again; when; an example"),
    Key(
        "notices",
        "hash",
        "end -> which end, after how many redrives; <target> -> state, attempts, status, when, due since; expire_at",
    ),
)
FUNCTION_KEYS = (
    Key("open", "zset", "open batch -> when it was added, before its claim"),
    Key("telling", "zset", "ended batch with targets still to be notified -> when it was added"),
    Key("ended", "zset", "the newest ended batches -> when they ended"),
    Key("epoch", "string", "missing: Redis lost its memory, or the next survey of the bucket is due"),
    Key("doctor:{<probe>}:<step>", "string", "how far a probe of `doctor` has come"),
)


def batch_keys(prefix: str, batch: str) -> list[str]:
    """Return the keys of a batch."""
    root = f"{prefix}:{{{batch}}}"
    return [root, *(f"{root}:{key.name}" for key in BATCH_KEYS[1:])]
