"""MLproject's entry point ``history``: the command ``stellar-emulator history`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["history", *sys.argv[1:]]))
