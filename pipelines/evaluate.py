"""MLproject's entry point ``evaluate``: the command ``stellar-emulator evaluate`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["evaluate", *sys.argv[1:]]))
