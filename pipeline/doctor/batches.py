"""Open batches that met a problem, or are past their deadline; messages that the queue delivered again."""

from pipeline.context import Context
from pipeline.doctor.check import Check, ok, warning
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED

MOST_SHOWN = 5
MOST_READ = 100
ENDED_READ = 20
# One message in so many may come again: a queue-worker was restarted.
RARE = 100
# By then the sweep has closed the batch, and its tasks in flight are settled or lost.
OVERDUE = 600.0


async def check_batches(context: Context) -> list[Check]:
    """Check the oldest open batches, and the deliveries of these and of the newest ended ones."""
    await context.ledger.ping()
    noted = await context.ledger.index.open_batches(MOST_READ)
    ended = await context.ledger.index.ended(ENDED_READ)
    stuck, known = [], [await context.ledger.state(batch) for batch, _ in (*noted, *ended)]
    for (batch, _), state in zip(noted, known, strict=False):
        problem = _problem(state) if state is not None else ""
        if problem:
            stuck.append(f"{batch}: {problem}")
    finding = f"{len(noted)} open" if len(noted) < MOST_READ else f"{MOST_READ} or more open"
    deliveries = _deliveries([state for state in known if state is not None])
    if not stuck:
        return [ok("batches: open", finding), deliveries]
    shown = "; ".join(stuck[:MOST_SHOWN]) + "; ..." * (len(stuck) > MOST_SHOWN)
    advice = "see the status of each; the sweep goes on trying, and cancel ends one with what there is"
    return [warning("batches: open", f"{finding}, {len(stuck)} in trouble: {shown}", advice), deliveries]


def _deliveries(states: list[State]) -> Check:
    """Judge how often the queue delivered a message of a task that ran, or was settled."""
    released = sum(state.number("next") + state.number("retried") for state in states)
    repeated = sum(state.number("repeated") for state in states)
    finding = f"{repeated} messages came again, of {released} of the newest batches"
    if repeated * RARE <= released:
        return ok("queue: deliveries", finding)
    advice = (
        "set the queue-worker's ack_wait, and the setting ack_wait, above the longest task: a task that takes longer "
        "is delivered again and again. That fills the queue-workers, and makes each direct call again"
    )
    return warning("queue: deliveries", finding, advice)


def _problem(state: State) -> str:
    if state["state"] in ENDED:
        return ""
    deadline = state.seconds("deadline_at")
    if state["trouble"]:
        return state["trouble"]
    if deadline is not None and state.now > deadline + OVERDUE:
        return f"its deadline passed {state.now - deadline:.0f} s ago"
    return ""
