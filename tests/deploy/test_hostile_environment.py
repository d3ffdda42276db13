"""The tests pass in whatever environment they are started."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.environment import FIXED, clean_environment
from tests.rigs.images import ROOT

NOWHERE = "http://127.0.0.1:9"
# As make, a proxy, a foreign account, other tools and the project's own variables leave it behind.
HOSTILE = dict(
    word.split("=", 1)
    for word in shlex.split(f"""
        MAKEFLAGS="n -- ARGS=--durations=20" MAKELEVEL=2 MFLAGS=-n MAKEFILES=nowhere.mk PYTEST_ADDOPTS=--durations=3
        http_proxy={NOWHERE} https_proxy={NOWHERE} HTTP_PROXY={NOWHERE} HTTPS_PROXY={NOWHERE} all_proxy={NOWHERE}
        PIP_INDEX_URL={NOWHERE} PIP_REQUIRE_VIRTUALENV=1 UV_INDEX_URL={NOWHERE} UV_PYTHON=nowhere PYTHONPATH=/nowhere
        TZ=Pacific/Apia LANG=tr_TR.ISO-8859-9 LC_ALL=C LANGUAGE=de COLUMNS=20 LINES=3 NO_COLOR=1 FORCE_COLOR=1 TERM=dumb
        AWS_PROFILE=nobody AWS_ENDPOINT_URL={NOWHERE} AWS_ACCESS_KEY_ID=nobody AWS_REGION=nowhere PIPELINE_TOKEN=nothing
        OPENFAAS_URL={NOWHERE} GATEWAY={NOWHERE} gateway_url={NOWHERE} redis_url={NOWHERE} s3_endpoint={NOWHERE}
        CSV=nowhere.csv FUNCTION={NOWHERE} ARGS=--nothing VENV=nowhere PYTHON=nowhere FAAS_CLI=old PORT=9
    """)
)
TESTS = (
    "tests/deploy/test_hostile_environment.py::test_environment_is_clean",
    "tests/deploy/test_makefile.py::test_dry_run_quotes_for_the_shell",
    "tests/deploy/test_setup.py::test_demo_installs_what_the_local_stack_needs",
    "tests/settings/test_settings.py",
    "tests/store/test_credentials.py::test_concurrent_refusals_read_the_files_once",
)


def test_environment_is_clean() -> None:
    assert set(os.environ) == set(clean_environment(os.environ)) | {"PYTEST_CURRENT_TEST"}
    assert {name: os.environ[name] for name in FIXED} == FIXED


@pytest.mark.attack
@pytest.mark.parametrize("processes", ["0", "1"])
def test_tests_pass_in_a_hostile_environment(processes: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "--numprocesses", processes, "--basetemp", str(tmp_path / "inner")]
    environment = {name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")} | HOSTILE
    ran = subprocess.run([*command, *TESTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "slowest 3 durations" in ran.stdout
    assert re.search(r"^\d+ passed in ", ran.stdout, re.MULTILINE)


def test_services_that_are_chosen_for_the_tests_stay() -> None:
    chosen = {"PIPELINE_LOCAL_REDIS_URL": "redis://h", "PIPELINE_LOCAL_S3_ENDPOINT": "http://h", "AWS_REGION": "here"}
    assert clean_environment(chosen | {"AWS_PROFILE": "nobody"}) == chosen | FIXED
    assert "AWS_REGION" not in clean_environment({"AWS_REGION": "here"})
