"""``python -m stellar_emulator``: the command."""

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
