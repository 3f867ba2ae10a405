"""MLproject's entry point ``tune``: the command ``stellar-emulator tune`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["tune", *sys.argv[1:]]))
