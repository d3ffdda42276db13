"""The files of the secrets: they exist and are readable; their contents are never shown."""

from pathlib import Path

from pipeline.context import Context
from pipeline.doctor.check import Check, failed, ok, warning
from pipeline.errors import ConfigurationError
from pipeline.settings.secrets import read_lines, read_secret, read_webhook_keys

_NEEDED = ("s3-key", "s3-secret")
_LINES = {"pipeline-key": "key", "pipeline-token": "token", "webhook-key": "key"}
_ABSENT = {
    "s3-token": "not mounted: the credentials for S3 are lasting ones",
    "redis-password": "not mounted: Redis is asked without a password",
    "webhook-key": "not mounted: nobody can be told of the end of a batch",
}
_WRITE = "write the secret anew (pipeline/docs/deploy.md, 'Secrets')"


async def check_secrets(context: Context) -> list[Check]:
    """Read each file again, as the function does at its start."""
    path = context.settings.secret_mount_path
    names = ("s3-key", "s3-secret", "s3-token", "redis-password", "pipeline-key", "pipeline-token", "webhook-key")
    checks = [_check(path, name) for name in names]
    is_mounted = (path / "pipeline-token").exists()
    if is_mounted and not context.access.tokens:
        advice = "restart the function: it asks for no token until then"
        checks.append(warning("secret: pipeline-token in use", "it was mounted after the start", advice))
    elif context.access.tokens and not is_mounted:
        advice = "restart the function: it asks for the tokens that it knows until then"
        checks.append(warning("secret: pipeline-token in use", "it is not mounted any more", advice))
    return checks


def _check(path: Path, name: str) -> Check:
    title = f"secret: {name}"
    if not (path / name).exists() and name not in {*_NEEDED, "pipeline-key"}:
        if name in _ABSENT:
            return ok(title, _ABSENT[name])
        finding = "not mounted: whoever reaches the gateway may use the function"
        return warning(title, finding, "mount pipeline-token, unless something before the gateway keeps strangers out")
    try:
        if name not in _LINES:
            read_secret(path, name)
            return ok(title, "there")
        lines = len(read_lines(path, name, f"a {_LINES[name]}"))
        if name == "webhook-key":
            read_webhook_keys(path)
    except ConfigurationError as error:
        return failed(title, str(error), _WRITE)
    if lines == 1:
        return ok(title, "there")
    used = "each signs" if name == "webhook-key" else "the first is used, all are accepted"
    finding = f"{lines} lines: {used}"
    return ok(title, finding, "the rotation is over once the others are taken out")
