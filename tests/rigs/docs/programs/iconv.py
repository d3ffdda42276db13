"""`iconv -f FROM -t TO FILE`, for a machine that has no iconv."""

import argparse
import sys
from pathlib import Path


def main() -> None:
    """Write a file to stdout in another encoding."""
    arguments = argparse.ArgumentParser("iconv", allow_abbrev=False)
    arguments.add_argument("-f", required=True, dest="source")
    arguments.add_argument("-t", required=True, dest="target")
    arguments.add_argument("file", type=Path)
    options = arguments.parse_args()
    sys.stdout.buffer.write(options.file.read_bytes().decode(options.source).encode(options.target))


if __name__ == "__main__":
    main()
