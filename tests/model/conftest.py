"""How long the machine runs: see test_ledger_machine."""

from hypothesis import HealthCheck, Phase, settings

_ALWAYS = settings(database=None, deadline=None, suppress_health_check=list(HealthCheck), print_blob=False)

# Shrinking takes minutes: it is for those who look for the reason.
settings.register_profile(
    "ledger", _ALWAYS, derandomize=True, max_examples=60, stateful_step_count=40, phases=[Phase.generate]
)
settings.register_profile("ledger-long", _ALWAYS, max_examples=3_000, stateful_step_count=80)
