"""Promotions and rollbacks that die: after each write to the registry, and at any moment by kill -9."""

import json
import signal
import subprocess
import sys
from pathlib import Path

CRASH = Path(__file__).parents[1] / "support" / "crash.py"
COMMANDS = ("promote", "rollback")


def test_after_every_crash_the_next_command_leaves_a_consistent_pair(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, CRASH, tmp_path], capture_output=True, text=True, check=False)
    trials = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"command"')]
    assert [trial for trial in trials if trial["troubles"]] == []
    assert done.returncode == 0, done.stderr
    crashed = {name: [t["write"] for t in trials if t["command"] == name and t["ended"] == 77] for name in COMMANDS}
    # Lock, record, its tags, the newest one's tag, aliases, the end, lock, run: each was once the last.
    assert crashed["promote"] == list(range(1, len(crashed["promote"]) + 1))
    assert len(crashed["promote"]) >= 12
    assert len(crashed["rollback"]) >= 11
    assert sum(trial["ended"] == -signal.SIGKILL for trial in trials) == 3
