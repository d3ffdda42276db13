"""The environment of the tests and of all that they start: the same on every machine and from every caller."""

import os
import time
from collections.abc import Mapping

from tests.rigs.images import ROOT

# Where things are, how this processor computes, and what somebody chooses for the tests on purpose.
NAMES = frozenset(
    {
        *("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "CI"),
        *("BROWSER_PATH", "LEDGER_PROFILE", "PYTHONDONTWRITEBYTECODE"),
        *("PYTEST_CURRENT_TEST", "PYTEST_DEBUG_TEMPROOT", "PYTEST_VERSION"),
    }
)
PREFIXES = ("OPENBLAS_", "NVPL_BLAS_", "PIPELINE_LOCAL_", "PYTEST_XDIST_")
# They are keys of an S3 server that was chosen for the tests, else the keys of somebody's account.
S3_KEYS = frozenset({"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"})
FIXED = {"LC_ALL": "C.UTF-8", "PYTHONPATH": str(ROOT), "TZ": "UTC"}


def clean_environment(inherited: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the tests for an inherited one."""
    names = NAMES | S3_KEYS if "PIPELINE_LOCAL_S3_ENDPOINT" in inherited else NAMES
    return {name: text for name, text in inherited.items() if name in names or name.startswith(PREFIXES)} | FIXED


def enter_clean_environment() -> None:
    """Change the environment of this process to that of the tests."""
    clean = clean_environment(os.environ)
    os.environ.clear()
    os.environ.update(clean)
    time.tzset()
