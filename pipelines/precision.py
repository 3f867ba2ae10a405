"""MLproject's entry point ``precision``: the command ``stellar-emulator precision`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["precision", *sys.argv[1:]]))
