"""MLproject's entry point ``synthesize``: the command ``stellar-emulator synthesize`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["synthesize", *sys.argv[1:]]))
