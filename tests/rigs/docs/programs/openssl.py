"""`openssl rand -hex N`, for a machine that has no openssl."""

import argparse
import secrets
import sys


def main() -> None:
    """Write so many random bytes in hexadecimal, and a line end."""
    arguments = argparse.ArgumentParser("openssl", allow_abbrev=False)
    arguments.add_argument("command", choices=["rand"])
    arguments.add_argument("-hex", type=int, required=True)
    sys.stdout.write(secrets.token_hex(arguments.parse_args().hex) + "\n")


if __name__ == "__main__":
    main()
