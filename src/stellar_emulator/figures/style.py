"""The common style of figures: palette, fonts, and the texts and marks that follow from the data contract.

Matplotlib takes a second to import, so it is imported only for drawing, and this room can be imported at once.
"""

import math
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec

import numpy as np
from numpy.typing import NDArray

from stellar_emulator.contract.contract import Contract
from stellar_emulator.contract.label import Label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure
    from matplotlib.typing import RcKeyType

COMPUTED, GENERATED = "black", "#D55E00"
BLUE, GREY = "#0072B2", "#8C8C8C"
"""Two colours of Okabe and Ito's palette, which all kinds of colour vision can distinguish."""

ERRORS = "cividis"
"""Colour map of errors: even in lightness, so all kinds of colour vision can distinguish its colours."""

BLANK = "#EEEEEE"
"""Colour of bins without spectra."""

WIDTH = 9.0
"""Width of a figure in inches: 1,080 pixels, so that texts remain readable when it is shown 900 pixels wide."""

SMALLEST = 1e-7
"""Flux below which residuals are rounding errors; it keeps a scale of residuals finite."""

SETTINGS: "dict[RcKeyType, Any]" = {
    "figure.dpi": 120,
    "figure.titlesize": 12,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "lines.linewidth": 1.0,
}

P = ParamSpec("P")


def styled(draw: Callable[P, "Figure"]) -> Callable[P, "Figure"]:
    """Draw a figure with the project's settings, without changing the caller's."""

    @wraps(draw)
    def inner(*args: P.args, **kwargs: P.kwargs) -> "Figure":
        import matplotlib

        with matplotlib.rc_context(SETTINGS):
            return draw(*args, **kwargs)

    return inner


@cache
def densities() -> "Colormap":
    """Colours of densities, light to dark."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("densities", ["#C6DBEF", BLUE, "#08306B"])


def few_ticks(axis: "Axis") -> None:
    """Let an axis of a small panel have four ticks at most."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator(3))


def new_figure(
    title: str, height: float, width: float = WIDTH, layout: Literal["constrained"] | None = "constrained"
) -> "Figure":
    """Start a figure of some inches with a title at its left."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    figure.suptitle(title, x=0.01, horizontalalignment="left", fontweight="bold")
    return figure


def label_of(contract: Contract, name: str) -> Label:
    """Find a label of the contract by its name."""
    return contract.labels[contract.label_names.index(name)]


def plain(text: str) -> str:
    """A name as it stands: matplotlib would take what is between two dollars for a formula."""
    return text.replace("$", r"\$")


@cache
def formula(symbol: str) -> str:
    """A label's symbol as matplotlib typesets it; one that it can't is shown as it stands."""
    from matplotlib.mathtext import MathTextParser

    try:
        MathTextParser("path").parse(f"${symbol}$")
    except (ValueError, RecursionError):
        return plain(symbol)
    return f"${symbol}$"


def title_of(label: Label) -> str:
    """Symbol and unit for an axis."""
    return label.title.replace(f"${label.symbol}$", formula(label.symbol), 1)


def quantity(label: Label, value: float, signed: bool = False) -> str:
    """Write a value with its unit, in steps of about a thousandth of the label's range."""
    decimals = max(0, 3 - math.ceil(math.log10(label.upper - label.lower)))
    text = f"{value:{'+' if signed else ''}.{decimals}f}".replace("-", "\N{MINUS SIGN}")
    return f"{text} {label.unit}".rstrip()


def three_digits(value: float) -> str:
    """Write a positive number in three significant digits, without exponent."""
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(rounded)) if rounded > 0 else 0
    return f"{rounded:.{max(0, decimals)}f}"


LABELS_A_LINE = 6
"""As many as a figure is wide enough for."""


def described(contract: Contract, labels: NDArray[np.floating]) -> str:
    """All labels of one spectrum, shape (labels,), in one line, or in as many as a figure's width asks for."""
    texts = [
        f"{formula(label.symbol)} = {quantity(label, float(value), signed=label.lower < 0 < label.upper)}"
        for label, value in zip(contract.labels, labels, strict=True)
    ]
    lines = -(-len(texts) // LABELS_A_LINE)
    size = -(-len(texts) // lines)
    return "\n".join("    ".join(texts[first : first + size]) for first in range(0, len(texts), size))


def wavelength_title(contract: Contract) -> str:
    """Medium and unit for a wavelength axis."""
    return f"Wavelength in {contract.wavelength.medium} (\N{LATIN CAPITAL LETTER A WITH RING ABOVE})"


def frame_wavelengths(axes: "Axes", contract: Contract) -> None:
    """Limit the x axis to the contract's pixels; a step beyond the last lies a round number."""
    axes.set_xlim(contract.wavelength.start, contract.wavelength.stop + float(contract.wavelength.widths[-1]))


def mark_line_cores(axes: "Axes", contract: Contract) -> None:
    """Draw dotted lines behind the curves at the contract's line cores."""
    for centre in _line_cores(contract).values():
        axes.axvline(centre, color=GREY, linestyle=":", linewidth=0.9, zorder=0.5)


def name_line_cores(axes: "Axes", contract: Contract) -> None:
    """Name the contract's line cores above the axes."""
    cores = _line_cores(contract)
    top = axes.secondary_xaxis("top")
    top.set_xticks(list(cores.values()), labels=[plain(name) for name in cores], fontsize=8.5)
    top.tick_params(length=3, pad=1, color=GREY, labelcolor="#555555")
    top.spines["top"].set_visible(False)


def _line_cores(contract: Contract) -> dict[str, float]:
    """Centres in Angstrom of those that lie on the wavelength axis."""
    axis = contract.wavelength
    return {name: centre for name, centre in contract.regions.line_cores.items() if axis.holds(centre)}
