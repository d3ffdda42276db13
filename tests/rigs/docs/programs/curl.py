"""`curl` with the options that the pages use, for a machine that has none; any other option is an error."""

import argparse
import sys
import urllib.error
import urllib.request
from pathlib import Path


def body_of(text: str, *, binary: bool) -> bytes:
    """Return what -d or --data-binary send: the text, or a file, of which -d takes the line ends out."""
    if not text.startswith("@"):
        return text.encode()
    data = Path(text[1:]).read_bytes()
    return data if binary else data.replace(b"\r", b"").replace(b"\n", b"")


def main() -> None:
    """Make one request and write the answer's body to stdout, whatever its status is."""
    arguments = argparse.ArgumentParser("curl", allow_abbrev=False)
    arguments.add_argument("url")
    arguments.add_argument("-H", dest="headers", action="append", default=[])
    arguments.add_argument("-d", dest="data")
    arguments.add_argument("--data-binary", dest="binary")
    arguments.add_argument("-N", "--no-buffer", action="store_true")
    arguments.add_argument("-s", "--silent", action="store_true")
    options = arguments.parse_args()
    text = options.binary if options.data is None else options.data
    body = None if text is None else body_of(text, binary=options.data is None)
    headers = {"User-Agent": "curl/8", "Accept": "*/*"}
    headers |= {name: value.strip() for name, _, value in (line.partition(":") for line in options.headers)}
    request = urllib.request.Request(options.url, body, headers)
    try:
        with urllib.request.urlopen(request) as response:
            sys.stdout.buffer.writelines(response)
    except urllib.error.HTTPError as error:
        sys.stdout.buffer.write(error.read())
    except urllib.error.URLError as error:
        sys.stderr.write(f"curl: (7) {error.reason}\n")
        sys.exit(7)


if __name__ == "__main__":
    main()
