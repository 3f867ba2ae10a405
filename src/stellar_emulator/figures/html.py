"""Pages for people: one HTML file with its figures inside, which needs no network."""

import base64
from collections.abc import Sequence
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 110

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1.promoted { color: #00694d; } h1.refused { color: #a33c00; }
table { border-collapse: collapse; margin: 0.5rem 0 1.5rem; }
th, td { padding: 0.2rem 0.7rem; border-bottom: 1px solid #ddd; text-align: right; }
th:first-child, td:first-child, td.text { text-align: left; }
tr.refused td { background: #fde8dc; font-weight: 600; } tr.counts-not td { color: #777; }
img { max-width: 100%; } pre { background: #f5f5f5; padding: 0.7rem; overflow-x: auto; }
"""


def document(title: str, parts: Sequence[str]) -> str:
    """A whole page of parts in HTML."""
    return "\n".join(
        [
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
            f"<style>{STYLE}</style></head><body>",
            *parts,
            "</body></html>",
        ]
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]], classes: Sequence[str] = ()) -> str:
    """A table of texts; ``classes``: of each row, or none."""
    titles = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    lines = []
    for i, row in enumerate(rows):
        kind = f' class="{classes[i]}"' if classes and classes[i] else ""
        lines.append(f"<tr{kind}>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>")
    return f"<table><tr>{titles}</tr>{''.join(lines)}</table>"


def image(figure: "Figure", title: str) -> str:
    """A figure, inside the page."""
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    content = base64.b64encode(stream.getvalue()).decode()
    return f'<img alt="{escape(title)}" src="data:image/png;base64,{content}">'
