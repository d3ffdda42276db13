"""The steps of a deployment succeed in the order of their page, as far as that shows without a cluster."""

from pathlib import Path

import pytest

from tests.rigs.docs.commands import Command
from tests.rigs.docs.kinds import Kind, kind_of
from tests.rigs.docs.pages import DEPLOY, README, Page, pages
from tests.rigs.docs.shells import Shell, make_shell
from tests.rigs.images import ROOT, stack

NEEDED = sorted({name for function in stack()["functions"].values() for name in function.get("secrets", [])})
# The files that a person who deploys has: keys of S3 and a password of Redis.
GIVEN = {"s3-key.txt": "AKIA\n", "s3-secret.txt": "hidden\n", "redis-password.txt": "hidden\n"}


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A checkout with the files of a person who deploys."""
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    made = make_shell(tmp_path / "shell", {"FAAS_SECRETS": str(secrets)})
    for name in ("stack.yml", "pipeline"):
        (made.folder / name).symlink_to(ROOT / name)
    for name, text in GIVEN.items():
        (made.folder / name).write_text(text)
    return made


def secrets_of(shell: Shell) -> dict[str, str]:
    return {path.name: path.read_text() for path in Path(shell.variables["FAAS_SECRETS"]).iterdir()}


def steps(page: Page) -> list[Command]:
    return [one for one in page.commands() if kind_of(one) is Kind.DEPLOY and one.stands_in == "block"]


def test_the_steps_are_on_two_pages() -> None:
    assert [page.name for page in pages() if steps(page)] == [README.name, DEPLOY.name]


@pytest.mark.parametrize(
    ("page", "optional"), [(README, []), (DEPLOY, ["pipeline-token", "webhook-key"])], ids=["README", "deploy"]
)
async def test_every_step_succeeds_after_the_ones_before_it(shell: Shell, page: Page, optional: list[str]) -> None:
    (up,) = (step for step in steps(page) if step.text == "faas-cli up")
    for step in steps(page):
        ran = await shell.run(step.text, S3_BUCKET="my-bucket", IMAGE_PREFIX="team")
        assert ran.code == 0, f"{step.text}: {ran.err}"
    assert sorted(secrets_of(shell)) == sorted([*NEEDED, *optional])
    assert len(secrets_of(shell)["pipeline-key"]) == 64
    assert set(NEEDED) <= set(DEPLOY.table("secret"))
    for name in NEEDED:
        path = Path(shell.variables["FAAS_SECRETS"]) / name
        value = path.read_text()
        path.unlink()
        ran = await shell.run(up.text)
        assert (ran.code, ran.err) == (1, f"pipeline: unable to find secret: {name}\n"), "a step that is left out shows"
        path.write_text(value)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("faas-cli secret create S3_KEY --from-file=s3-key.txt", "ERROR: invalid secret name S3_KEY"),
        ("faas-cli secret create s3-key --from-file=nowhere.txt", "open nowhere.txt: No such file or directory"),
        ("faas-cli secret create s3-key --from-file=/dev/null", "must provide a non empty secret"),
        ("IMAGE_PREFIX=Team faas-cli up", "pipeline: invalid reference format: Team/pipeline:"),
        ("rm pipeline && faas-cli up", "pipeline: building ./pipeline failed: there is no Dockerfile"),
        ("faas-cli up --force", "unrecognized arguments: --force"),
    ],
)
async def test_a_wrong_step_is_refused(shell: Shell, command: str, error: str) -> None:
    ran = await shell.run(command)
    assert ran.code
    assert error in ran.err
