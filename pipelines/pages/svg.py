"""Figures as SVG, to be put into a page."""

import html
import io
import re

from matplotlib import rc_context
from matplotlib.figure import Figure


def svg(figure: Figure, description: str) -> str:
    """An `svg` element that screen readers read as its description."""
    file = io.StringIO()
    # As paths, letters need no font of the reader's machine; the salt makes the names of parts the same each time.
    with rc_context({"svg.hashsalt": "report", "svg.fonttype": "path", "text.parse_math": False}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    return text.replace("<svg ", f'<svg role="img" aria-label="{html.escape(description)}" ', 1)
