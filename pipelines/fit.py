"""MLproject's entry point ``fit``: the command ``stellar-emulator fit`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["fit", *sys.argv[1:]]))
