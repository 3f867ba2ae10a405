"""MLproject's entry point ``serve``: the command ``stellar-emulator serve`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["serve", *sys.argv[1:]]))
