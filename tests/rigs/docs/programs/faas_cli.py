"""`faas-cli` as far as the pages use it: `invoke`, `secret create` and `up`.

`invoke` does what commands/invoke.go of github.com/openfaas/faas-cli does since it calls InvokeFunction of go-sdk
(vendor/github.com/openfaas/go-sdk/functions.go at commit 8b5c765): the body comes from stdin and goes to
`/function/NAME.openfaas-fn` (`/async-function/` with --async) of --gateway, else of $OPENFAAS_URL; a header is
`Key: Value` or, with a warning, `key=value`; any 2xx is written to stdout, anything else ends with `server returned
unexpected status code` and 1. Headers are parsed as since version 0.17.6 (pull request 1009): what has a colon is split
there, wherever the `=` stands.
With FAAS_CLI=old it does as proxy/invoke.go did before (commit 73004c2): no namespace in the path, `key=value` only,
--content-type goes before a header, of a 202 no body is shown, and a 201 is unexpected.

`secret create` keeps the secret in the folder $FAAS_SECRETS, after the checks of commands/secret_create.go. `up` reads
stack.yml and stops where a build or a deployment would: a handler, an image or a secret that is not there.
"""

import argparse
import os
import re
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import yaml

from tests.rigs.images import SUBSTITUTION

OLD = os.environ.get("FAAS_CLI") == "old"
DEFAULT_GATEWAY = "http://127.0.0.1:8080"
SECRET_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
DEPRECATED = "Warning: Using deprecated 'key=value' format for headers. Please use 'Key: Value' format instead.\n"
IMAGE = re.compile(r"[a-z0-9]+([._/:-][a-z0-9]+)*:[\w.-]+")
ARGUMENTS = argparse.ArgumentParser("faas-cli", allow_abbrev=False)


class CommandError(Exception):
    """An error that cobra prints before it ends with 1."""


def pairs(given: list[str], flag: str) -> list[tuple[str, str]]:
    """Split each text at its first `=`."""
    split = [text.partition("=") for text in given]
    if any(not key or not value for key, _, value in split):
        raise CommandError(f"the {flag} flag must take the form of key=value")
    return [(key, value) for key, _, value in split]


def headers_of(given: list[str]) -> list[tuple[str, str]]:
    """Split each header at its first colon, or with one warning at its first `=`."""
    headers = []
    for text in given:
        key, _, value = (part.strip() for part in text.partition(":")) if ":" in text else text.partition("=")
        if not key or not value:
            raise CommandError("the --header or -H flag must take the form of 'Key: Value' or 'key=value'")
        if not TOKEN.fullmatch(key):
            raise CommandError(f'failed to invoke function: net/http: invalid header field name "{key}"')
        headers.append((key, value))
    if any(":" not in text for text in given):
        sys.stderr.write(DEPRECATED)
    return headers


def invoke(options: argparse.Namespace) -> None:
    """Call a function with the body from stdin."""
    gateway = options.gateway or os.environ.get("OPENFAAS_URL") or DEFAULT_GATEWAY
    route = "async-function" if options.asynchronous else "function"
    query = pairs(options.query, "--query")
    namespace, encoded = ("", "&".join(options.query)) if OLD else (".openfaas-fn", urllib.parse.urlencode(query))
    url = f"{gateway.rstrip('/')}/{route}/{options.name}{namespace}" + (f"?{encoded}" if encoded else "")
    default = {"Content-Type": options.content_type}
    headers = (
        dict(pairs(options.header, "--header or -H")) | default if OLD else default | dict(headers_of(options.header))
    )
    request = urllib.request.Request(url, sys.stdin.buffer.read(), headers, method="POST")
    try:
        with urllib.request.urlopen(request) as response:
            status, body = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, body = error.code, error.read()
    if status not in ({200, 202} if OLD else range(200, 300)):
        raise CommandError(f"server returned unexpected status code: {status} - {body.decode()}")
    if status == 202 and (OLD or options.asynchronous):
        sys.stderr.write("Function submitted asynchronously.\n")
    else:
        sys.stdout.buffer.write(body)


def create_secret(options: argparse.Namespace) -> None:
    """Store a secret for `up`."""
    if not SECRET_NAME.fullmatch(options.name):
        raise CommandError(f"ERROR: invalid secret name {options.name}")
    try:
        value = Path(options.from_file).read_text().strip()
    except OSError as error:
        raise CommandError(f"open {options.from_file}: {error.strerror}") from error
    if not value:
        raise CommandError("must provide a non empty secret via --from-literal, --from-file or STDIN")
    sys.stdout.write(f"Creating secret: {options.name}\n")
    (Path(os.environ["FAAS_SECRETS"]) / options.name).write_text(value)


def up(_options: argparse.Namespace) -> None:
    """Check the parts that building and deploying stack.yml would need."""
    text = SUBSTITUTION.sub(lambda m: os.environ.get(m[1]) or m[2] or "", Path("stack.yml").read_text())
    for name, function in yaml.safe_load(text)["functions"].items():
        deploy(name, function)
        sys.stdout.write(f"Deployed. 202 Accepted.\nURL: {DEFAULT_GATEWAY}/function/{name}\n")


def deploy(name: str, function: dict[str, Any]) -> None:
    """Check one function."""
    if not IMAGE.fullmatch(function["image"]):
        raise CommandError(f"{name}: invalid reference format: {function['image']}")
    if not function.get("skip_build") and not (Path(function["handler"]) / "Dockerfile").is_file():
        raise CommandError(f"{name}: building {function['handler']} failed: there is no Dockerfile")
    for part in ("environment", "annotations", "labels"):
        if any(not isinstance(value, str) for value in function.get(part, {}).values()):
            raise CommandError(f"{name}: cannot unmarshal {part} into a string")
    for secret in function.get("secrets", []):
        if not (Path(os.environ["FAAS_SECRETS"]) / secret).exists():
            raise CommandError(f"{name}: unable to find secret: {secret}")


def parse(given: list[str]) -> argparse.Namespace:
    """Read the command line; an option that no page has is an error."""
    commands = ARGUMENTS.add_subparsers(required=True)
    calling = commands.add_parser("invoke", allow_abbrev=False)
    calling.add_argument("name")
    calling.add_argument("--gateway", "-g", default="")
    calling.add_argument("--content-type", default="text/plain")
    calling.add_argument("--header", "-H", action="append", default=[])
    calling.add_argument("--query", action="append", default=[])
    calling.add_argument("--async", "-a", action="store_true", dest="asynchronous")
    calling.set_defaults(run=invoke)
    secret = commands.add_parser("secret").add_subparsers(required=True).add_parser("create", allow_abbrev=False)
    secret.add_argument("name")
    secret.add_argument("--from-file", required=True)
    secret.set_defaults(run=create_secret)
    commands.add_parser("up").set_defaults(run=up)
    return ARGUMENTS.parse_args(given)


def main() -> None:
    """Run one command."""
    options = parse(sys.argv[1:])
    try:
        options.run(options)
    except CommandError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
