"""Pictures of results: a figure without a display, and a file that appears whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefmodel.errors import missing_extra
from prefmodel.files import whole_file


def new_figure(what: str, extra: str, **settings: Any) -> Any:
    """Return a figure of matplotlib.

    Args:
        what: the picture's name in an error, as in "the picture of the report".
        extra: of this package, which brings matplotlib.
        settings: as `matplotlib.figure.Figure` takes them.

    Raises:
        MissingExtraError: matplotlib is not installed.

    >>> new_figure("the picture", "axioms", figsize=(4, 3)).get_size_inches().tolist()
    [4.0, 3.0]
    """
    try:
        from matplotlib.figure import Figure  # without pyplot, which would keep the figure and look for a display
    except ImportError:
        raise missing_extra(what, extra) from None
    return Figure(**settings)


def save_figure(figure: Any, path: Path, dots: int = 130) -> None:
    """Write a figure to a PNG file.

    Args:
        figure: of `new_figure`.
        path: the file.
        dots: for an inch.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=dots)
