"""Open batches that met a problem, or are past their deadline."""

from pipeline.context import Context
from pipeline.doctor.check import Check, ok, warning
from pipeline.ledger.replies import State
from pipeline.ledger.states import ENDED

MOST_SHOWN = 5
MOST_READ = 100
# By then the sweep has closed the batch, and its tasks in flight are settled or lost.
OVERDUE = 600.0


async def check_batches(context: Context) -> list[Check]:
    """Check the oldest open batches."""
    await context.ledger.ping()
    noted = await context.ledger.index.open_batches(MOST_READ)
    stuck = []
    for batch, _ in noted:
        state = await context.ledger.state(batch)
        problem = _problem(state) if state is not None else ""
        if problem:
            stuck.append(f"{batch}: {problem}")
    finding = f"{len(noted)} open" if len(noted) < MOST_READ else f"{MOST_READ} or more open"
    if not stuck:
        return [ok("batches: open", finding)]
    shown = "; ".join(stuck[:MOST_SHOWN]) + "; ..." * (len(stuck) > MOST_SHOWN)
    advice = "see the status of each; the sweep goes on trying, and cancel ends one with what there is"
    return [warning("batches: open", f"{finding}, {len(stuck)} in trouble: {shown}", advice)]


def _problem(state: State) -> str:
    if state["state"] in ENDED:
        return ""
    deadline = state.seconds("deadline_at")
    if state["trouble"]:
        return state["trouble"]
    if deadline is not None and state.now > deadline + OVERDUE:
        return f"its deadline passed {state.now - deadline:.0f} s ago"
    return ""
