"""MLproject's entry point ``promote``: the command ``stellar-emulator promote`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["promote", *sys.argv[1:]]))
