"""The state of one batch in the reference."""

from dataclasses import dataclass, field

Moment = tuple[float, int]

SILENCE = 100.0
WINDOW_EXCESS = 4
SETTLE_RELEASES = 2
BURST = 1
CUT_OUTCOMES = 3
CUT_BYTES = 300


@dataclass
class Round:
    """One generation and its tasks. `waiting` answers are in no segment yet; `runs` are attempts, and until when."""

    tasks: int
    began: Moment
    next: int = 0
    settled: set[int] = field(default_factory=set)
    waiting: list[bytes] = field(default_factory=list)
    pending: int = 0
    unwritten: dict[int, list[bytes]] = field(default_factory=dict)
    segments: int = 0
    in_flight: dict[int, Moment] = field(default_factory=dict)
    due: dict[str, Moment] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    failures: dict[int, int] = field(default_factory=dict)
    losses: dict[int, int] = field(default_factory=dict)
    extended: dict[int, float] = field(default_factory=dict)
    runs: dict[int, tuple[int, Moment]] = field(default_factory=dict)
    heard: Moment = (0, 0)
    mark: Moment = (0, 0)
    heard_at: float = 0
    heard_us: int = 0
    delay: int | None = None
    doubt: Moment | None = None
    proven_us: int | None = None
    probes: int = 0
    probed_us: int = 0
    mark_at: float = 0
    probed_at: float = 0
    not_before: float = 0
    not_found: int = 0
    items: int = 0
    calls: int = 1
    final: bool = False

    def __post_init__(self) -> None:
        self.heard_at = self.mark_at = self.probed_at = self.not_before = self.began[0]

    def forget(self, task: int) -> None:
        """Drop all that is kept of a settled task."""
        for kind in "tl":
            self.due.pop(f"{kind}:{task}", None)
        for known in (self.in_flight, self.attempts, self.failures, self.losses, self.extended, self.runs):
            known.pop(task, None)

    def unsettled(self) -> int:
        return self.tasks - len(self.settled)


@dataclass
class Notices:
    """The targets of one end, its id as Redis makes it: state and tries of each, since when it is due, its last try."""

    end: str
    states: list[str]
    tries: list[int]
    since: list[float]
    at: list[float]


@dataclass
class Batch:
    """A claimed batch. `state` is '' if there is none; `epochs` are those of earlier generations."""

    state: str = ""
    epoch: str = ""
    epochs: dict[int, str] = field(default_factory=dict)
    digest: str = ""
    owner: str = ""
    lease_until: float = 0
    begun: int = 0
    excused: str = ""
    handed: bool = False
    openings: int = 0
    window: int = 0
    rate: float | None = None
    ahead: float = 0
    paced_until: float = 0
    generation: int = 0
    base: int = 0
    batch_size: int = 0
    outcome: str = "done"
    paused: bool = False
    cancelled: bool = False
    redrive: bool = False
    redrives: int = 0
    missing: str = ""
    lost: str = ""
    started: bool = False
    tolerated: int | None = None
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    repeated: int = 0
    given_up: int = 0
    run_at: float = 0
    deadline_at: float = 0
    closing_at: float = 0
    swept_at: float | None = None
    targets: int = 0
    reduces: bool = False
    notices: Notices | None = None
    round: Round = field(default_factory=lambda: Round(0, (0, 0)))
