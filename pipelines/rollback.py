"""MLproject's entry point ``rollback``: the command ``stellar-emulator rollback`` with this checkout's sources."""

import sys

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main(["rollback", *sys.argv[1:]]))
