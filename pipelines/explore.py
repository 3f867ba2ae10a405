"""MLproject's entry point ``explore``: the command ``stellar-emulator explore`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["explore", *sys.argv[1:]]))
