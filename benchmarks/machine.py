"""What a benchmark ran on, and the limit that it is measured against: a plain float32 matrix product."""

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

SIZE = 4096
REPEATS = 5

Row = tuple[str, str, str]
"""Measure, result, bar."""

Table = tuple[list[tuple[str, ...]], tuple[str, ...]]
"""Rows and heads."""

LEAST_SECONDS = 0.1
"""Of a repeat: shorter calls are timed many at once."""

_PRODUCTS = {
    "numpy": "import numpy as np; a = np.ones((n, n), np.float32); run = lambda: a @ a",
    "tensorflow": "import tensorflow as tf; a = tf.ones((n, n)); run = lambda: tf.matmul(a, a).numpy()",
    "jax": "import jax.numpy as jnp; a = jnp.ones((n, n)); run = lambda: (a @ a).block_until_ready()",
}


def describe() -> str:
    """One line: date, processor, cores, Python."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    today = datetime.now(UTC).date().isoformat()
    return f"{today}, {model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def product_rates() -> dict[str, float]:
    """Best of some 4096 x 4096 x 4096 float32 products in GFLOP/s by library, each in a process of its own."""
    return {name: max(rates) for name, rates in every_product_rate().items()}


def every_product_rate() -> dict[str, list[float]]:
    """Rates of all `REPEATS` products in GFLOP/s by library."""
    return {name: [float(rate) for rate in isolated(_timing(code)).split()] for name, code in _PRODUCTS.items()}


def _timing(code: str) -> str:
    return (
        f"import time; n = {SIZE}\n{code}\nrun(); times = []\n"
        f"for _ in range({REPEATS}):\n    t = time.perf_counter(); run(); times.append(time.perf_counter() - t)\n"
        "print(*(2 * n**3 / t / 1e9 for t in times))"
    )


def isolated(code: str, environment: dict[str, str] | None = None) -> str:
    """Run Python code in a fresh process and return its last line of output, if any."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, **quiet, **(environment or {})},
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip()[-2000:])
    return done.stdout.strip().rpartition("\n")[2]


def seconds(code: str) -> float:
    """Seconds from the start of a fresh Python process that runs the code to its end."""
    start = time.perf_counter()
    isolated(code)
    return time.perf_counter() - start


def milliseconds(call: Callable[[], object], repeats: int = REPEATS) -> list[float]:
    """Time of one call, after one that is not counted; each repeat lasts `LEAST_SECONDS` at least."""
    call()
    begun = time.perf_counter()
    call()
    one = time.perf_counter() - begun
    calls = max(1, int(LEAST_SECONDS / one))
    times = [1000.0 * one] if calls == 1 else []
    while len(times) < repeats:
        begun = time.perf_counter()
        for _ in range(calls):
            call()
        times.append(1000.0 * (time.perf_counter() - begun) / calls)
    return times


def spread(values: list[float], digits: int = 2) -> str:
    """Median of repeats with their range."""
    ordered = sorted(values)
    return f"{ordered[len(ordered) // 2]:.{digits}f} ({ordered[0]:.{digits}f}-{ordered[-1]:.{digits}f})"


def table(title: str, rows: Sequence[tuple[str, ...]], columns: tuple[str, ...] = ("measure", "result", "bar")) -> str:
    """A Markdown table under the machine's description."""
    lines = [f"### {title}", "", f"{describe()}.", "", _line(columns), _line(["---"] * len(columns))]
    return "\n".join([*lines, *map(_line, rows), ""])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
