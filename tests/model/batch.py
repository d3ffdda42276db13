"""What the reference knows of one batch."""

from dataclasses import dataclass, field

Moment = tuple[float, int]

SILENCE = 100.0
OVER_THE_WINDOW = 4
SETTLE_RELEASES = 2
BURST = 1
CUT_OUTCOMES = 3
CUT_BYTES = 300


@dataclass
class Round:
    """One generation: its tasks, and what is known of them. `waiting` answers are in no segment yet."""

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
    heard: Moment = (0, 0)
    mark: Moment = (0, 0)
    heard_at: float = 0
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
        """A settled task is owed nothing."""
        self.due.pop(f"t:{task}", None)
        for known in (self.in_flight, self.attempts, self.failures, self.losses, self.extended):
            known.pop(task, None)

    def unsettled(self) -> int:
        return self.tasks - len(self.settled)


@dataclass
class Told:
    """Who is told of an end, which Redis names: of each target its state, its tries, and since when it is its turn."""

    end: str
    states: list[str]
    tries: list[int]
    since: list[float]


@dataclass
class Batch:
    """A claimed batch. `state` is '' where there is none; `epochs` are those of the generations before this one."""

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
    started: bool = False
    tolerated: int | None = None
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    given_up: int = 0
    deadline_at: float = 0
    closing_at: float = 0
    swept_at: float | None = None
    targets: int = 0
    reduces: bool = False
    told: Told | None = None
    round: Round = field(default_factory=lambda: Round(0, (0, 0)))
