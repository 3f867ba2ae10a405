"""The tests whose bounds are of rounding, under every arithmetic that this processor can be made to use.

OpenBLAS's kernels, oneDNN's instruction sets (TensorFlow) and threads can be switched, those of ONNX Runtime can't.
Each adds in an order of its own, as other processors do: a bound that only one order meets fails here.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.machine import table

TESTS = Path("tests")
MARK = "mark.rounding"
KERAS = "rounding(keras=True)"

KERNELS = ("Prescott", "Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX", "Cooperlake", "SapphireRapids")
INSTRUCTIONS = ("SSE41", "AVX2", "AVX512_CORE")
"""Those of oneDNN beside its own choice."""

THREADS = ("1", "2")
COLUMNS = ("OpenBLAS kernel", "oneDNN", "threads", "passed", "failed", "largest share of a bound", "skipped because")

_SWITCHES = ("OPENBLAS_CORETYPE", "ONEDNN_MAX_CPU_ISA", "NPY_DISABLE_CPU_FEATURES")
_TAKEN = (
    "import numpy as np, scipy.linalg, threadpoolctl; a = np.ones((200, 200), np.float32); a @ a; "
    "scipy.linalg.blas.sgemm(1.0, a, a); "
    "print(*sorted({one['architecture'] for one in threadpoolctl.threadpool_info() if one['user_api'] == 'blas'}))"
)
_ONEDNN_TAKEN = "import tensorflow as tf; a = tf.ones((200, 200)); tf.matmul(a, a)"

Row = tuple[str, ...]


class Counted:
    """Outcomes of a run of pytest by the tests' names; a failure of what a test needs is one of its own."""

    def __init__(self) -> None:
        self.worst: dict[str, str] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.outcome == "failed" or report.when == "call":
            self.worst[report.nodeid] = report.outcome


def main() -> None:
    """Print the table, in ten minutes; with ``--select``, run the tests of that expression here, as one row does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--select", help="a pytest marker expression")
    selected = parser.parse_args().select
    if selected:
        print(json.dumps(_run(selected)))
    else:
        print(table("Tests of rounding", list(_rows()), COLUMNS))


def _rows() -> Iterator[Row]:
    own = _kernels_taken({})
    known = set()
    for kernel in KERNELS:
        taken = _kernels_taken({"OPENBLAS_CORETYPE": kernel})
        if not taken:
            yield (kernel, "", "", "", "", "", "this processor can't run it")
        elif taken in known:
            yield (kernel, "", "", "", "", "", f"OpenBLAS takes {taken} for it")
        elif _unknown(kernel, taken):
            yield (kernel, "", "", "", "", "", f"this OpenBLAS has no such kernel, it takes {taken}")
        else:
            known.add(taken)
            for threads in THREADS:
                yield _row(f"{kernel} ({taken})", "its own choice", threads, {"OPENBLAS_CORETYPE": kernel}, "rounding")
    if own not in known:
        for threads in THREADS:
            yield _row(f"its own choice ({own})", "its own choice", threads, {}, "rounding")
    for instructions in INSTRUCTIONS:
        taken = _instructions_taken(instructions)
        for threads in THREADS:
            switched = {"ONEDNN_MAX_CPU_ISA": instructions}
            yield _row(f"its own choice ({own})", f"{instructions} ({taken})", threads, switched, KERAS)


def _row(kernel: str, onednn: str, threads: str, switched: dict[str, str], selected: str) -> Row:
    counted = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), threads)
    command = ["-m", "benchmarks.rounding", "--select", selected]
    done = _python(command, switched | counted)
    try:
        found = json.loads(done.stdout.strip().rpartition("\n")[2])
    except ValueError:
        return (kernel, onednn, threads, "", "", "", f"it ended with {done.returncode}")
    for test in found["failed"]:
        print(f"{kernel}, {onednn}, {threads}: {test} failed", file=sys.stderr)
    return (kernel, onednn, threads, str(found["passed"]), str(len(found["failed"])), f"{found['share']:.2f}", "")


def _run(selected: str) -> dict[str, object]:
    """Run tests in this process."""
    files = [str(path) for path in sorted(TESTS.rglob("test_*.py")) if MARK in path.read_text()]
    counted = Counted()
    pytest.main(["-m", selected, "-p", "no:cacheprovider", "--tb=line", *files], plugins=[counted])
    outcomes = counted.worst
    return {
        "passed": sum(outcome == "passed" for outcome in outcomes.values()),
        "failed": sorted(test for test, outcome in outcomes.items() if outcome == "failed"),
        # The tests' own module, which pytest's settings have put on the path.
        "share": max(sys.modules["rounding"].shares),
    }


def _kernels_taken(switched: dict[str, str]) -> str:
    """Kernels that NumPy's and SciPy's OpenBLAS really use; empty where one of them crashes."""
    done = _python(["-c", _TAKEN], {**switched, "OPENBLAS_NUM_THREADS": "1"})
    return done.stdout.strip() if done.returncode == 0 else ""


def _unknown(kernel: str, taken: str) -> bool:
    """Whether OpenBLAS ignores the name: one that is none gives the same, and the kernel is not of that name."""
    return taken.lower() != kernel.lower() and taken == _kernels_taken({"OPENBLAS_CORETYPE": "none"})


def _instructions_taken(instructions: str) -> str:
    """What oneDNN says that it uses."""
    done = _python(["-c", _ONEDNN_TAKEN], {"ONEDNN_MAX_CPU_ISA": instructions, "ONEDNN_VERBOSE": "1"})
    told = [line.partition(",isa:")[2] for line in done.stdout.splitlines() if ",isa:" in line]
    return told[0] if told else "unknown"


def _python(arguments: list[str], switched: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """A fresh Python whose arithmetic is switched by these variables alone."""
    kept = {name: value for name, value in os.environ.items() if name not in _SWITCHES}
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return subprocess.run(
        [sys.executable, *arguments], env={**kept, **quiet, **switched}, capture_output=True, text=True, check=False
    )


if __name__ == "__main__":
    main()
