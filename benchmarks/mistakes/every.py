"""All mistakes, in the order of the table."""

from benchmarks.mistakes import continua, copies, following, labels, lines
from benchmarks.mistakes.material import MISTAKES

MODULES = (labels, copies, lines, following, continua)

__all__ = ["MISTAKES", "MODULES"]
