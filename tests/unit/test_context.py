"""The signing keys are read again while the process lives."""

import asyncio
import secrets
from pathlib import Path

import pytest

from pipeline.context import open_context
from pipeline.errors import ForbiddenError
from pipeline.settings import read_settings
from pipeline.signing import Identity, Signer


def _write(folder: Path, *keys: str) -> None:
    for name in ("s3-key", "s3-secret"):
        (folder / name).write_text(name)
    (folder / "pipeline-key").write_text("\n".join(keys))


async def test_what_goes_on_in_the_background_ends_before_the_clients_do(tmp_path: Path) -> None:
    _write(tmp_path, secrets.token_hex(16))
    settings = read_settings({"s3_bucket": "bucket", "secret_mount_path": str(tmp_path)})
    done: list[str] = []

    async def work() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        done.append("work")

    async with open_context(settings) as context:
        context.background.start(work())
    assert done == ["work"]


@pytest.mark.parametrize("broken", [False, True], ids=["readable", "unreadable"])
async def test_a_new_key_is_found_and_a_file_that_cannot_be_read_leaves_the_old_ones(
    tmp_path: Path, *, broken: bool
) -> None:
    old, new = secrets.token_hex(16), secrets.token_hex(16)
    _write(tmp_path, old)
    settings = read_settings({"s3_bucket": "bucket", "secret_mount_path": str(tmp_path)})
    identity = Identity("batch", 0)
    async with open_context(settings) as context:
        _write(tmp_path, *(["short"] if broken else [new, old]))
        body = b"answer"
        signature = Signer((new.encode(),)).answer(identity, body)
        if broken:
            with pytest.raises(ForbiddenError):
                context.signer.verify_answer(identity, body, signature)
        else:
            context.signer.verify_answer(identity, body, signature)
        context.signer.verify_answer(identity, body, Signer((old.encode(),)).answer(identity, body))
