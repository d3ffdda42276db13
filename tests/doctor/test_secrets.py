"""doctor: the files of the secrets, whose content is never shown."""

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pipeline.access import Access
from pipeline.doctor.check import Check
from pipeline.doctor.secrets import check_secrets

if TYPE_CHECKING:
    from pipeline.context import Context

FILES = {
    "s3-key": "AKIAHUSHHUSH",
    "s3-secret": "hushhushhush",
    "s3-token": "hushhushhush",
    "redis-password": "hushhushhush",
    "pipeline-key": "hushhushhushhush",
    "pipeline-token": "hushhushhushhushhush",
    "webhook-key": "hushhushhushhushhush",
}


async def checked(folder: Path, files: dict[str, str], *tokens: bytes) -> dict[str, Check]:
    for name, value in files.items():
        (folder / name).write_text(value)
    context = SimpleNamespace(settings=SimpleNamespace(secret_mount_path=folder), access=Access(tokens))
    checks = await check_secrets(cast("Context", context))
    assert "hush" not in str(checks).lower()
    return {check.name.removeprefix("secret: "): check for check in checks}


async def test_mounted_secrets_are_ok(tmp_path: Path) -> None:
    found = await checked(tmp_path, FILES, b"a token")
    assert {name: (check.status, check.found) for name, check in found.items()} == dict.fromkeys(FILES, ("ok", "there"))


@pytest.mark.parametrize(
    ("name", "status"),
    [
        *[(name, "failed") for name in ("s3-key", "s3-secret", "pipeline-key")],
        *[(name, "ok") for name in ("s3-token", "redis-password", "webhook-key")],
        ("pipeline-token", "warning"),
    ],
)
async def test_missing_secrets_fail_if_required(tmp_path: Path, name: str, status: str) -> None:
    found = await checked(tmp_path, {other: value for other, value in FILES.items() if other != name})
    assert found[name].status == status
    assert "not mounted" in found[name].found or f"secret {name}: cannot read it" in found[name].found


@pytest.mark.parametrize("name", FILES)
async def test_empty_secret_fails(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, FILES | {name: " \n"}, b"a token")
    assert (found[name].status, found[name].found[-8:]) == ("failed", "is empty")


@pytest.mark.parametrize("name", ["pipeline-key", "pipeline-token", "webhook-key"])
async def test_short_line_fails(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, FILES | {name: f"{FILES[name]}\nhush"}, b"a token")
    kind = name.rpartition("-")[2]
    assert found[name].found == f"secret {name}: expected at least 16 characters a {kind}"
    assert found[name].status == "failed"


@pytest.mark.parametrize("name", ["pipeline-key", "pipeline-token"])
async def test_two_lines_are_a_rotation(tmp_path: Path, name: str) -> None:
    found = await checked(tmp_path, FILES | {name: f"{FILES[name]}\n{FILES[name]}x"}, b"a token")
    assert (found[name].status, found[name].found) == ("ok", "2 lines: the first is used, all are accepted")
    assert found[name].advice == "the rotation is over once the others are taken out"


async def test_token_mounted_after_the_start_needs_a_restart(tmp_path: Path) -> None:
    found = (await checked(tmp_path, FILES))["pipeline-token in use"]
    assert (found.status, found.found) == ("warning", "it was mounted after the start")


async def test_token_unmounted_after_the_start_is_a_warning(tmp_path: Path) -> None:
    files = {name: value for name, value in FILES.items() if name != "pipeline-token"}
    found = (await checked(tmp_path, files, b"a token"))["pipeline-token in use"]
    assert (found.status, found.found) == ("warning", "it is not mounted any more")


async def test_every_webhook_key_signs_during_a_rotation(tmp_path: Path) -> None:
    found = await checked(
        tmp_path, FILES | {"webhook-key": f"{FILES['webhook-key']}\n{FILES['webhook-key']}x"}, b"a token"
    )
    assert (found["webhook-key"].status, found["webhook-key"].found) == ("ok", "2 lines: each signs")


async def test_webhook_key_that_is_not_base64_fails(tmp_path: Path) -> None:
    found = (await checked(tmp_path, FILES | {"webhook-key": "whsec_hush.hush.hush"}, b"a token"))["webhook-key"]
    assert (found.status, found.found) == ("failed", "secret webhook-key: what follows whsec_ is not base64")
