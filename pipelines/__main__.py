"""MLproject's entry points, ``python -m pipelines VERB ...``: the command with this checkout's sources."""

from stellar_emulator.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
