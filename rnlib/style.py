"""How figures look: one palette, and axes that say what they show."""

from matplotlib.axes import Axes

# Okabe and Ito's palette: told apart with any colour vision; and markers to go with it.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "osD^vP*"


def label(axes: Axes, title: str, x: str, y: str, grid: str = "both") -> None:
    """Title, axis labels with their units, faint grid lines ("x", "y" or "both") behind the data, no box."""
    axes.set(title=title, xlabel=x, ylabel=y)
    axes.set_axisbelow(True)
    axes.grid(axis="x" if grid == "x" else "y" if grid == "y" else "both", alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
