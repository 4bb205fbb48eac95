"""An evaluation as one HTML page, with its pictures inside: nothing is loaded from elsewhere."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from html import escape
from typing import Any

from prefmodel.evaluation import FileResult, PooledResult
from prefmodel.report import Rows, group_rows, main_rows, notes_of
from prefmodel.report_plots import FEWEST, best_of, by_file, by_length, reliability

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; font-size: 13px; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: .3em .7em; text-align: left; border-bottom: 1px solid #ddd; white-space: nowrap; }
tr:nth-last-child(-n+2) td { font-weight: 600; } table.group tr td { font-weight: 400; }
figure { margin: 1.5em 0; } figcaption { color: #555; font-size: 13px; } svg { max-width: 100%; height: auto; }
pre { background: #f5f5f5; padding: 1em; overflow-x: auto; font-size: 12px; }
"""


def as_html(files: Mapping[str, FileResult], pooled: PooledResult, about: Mapping[str, Any]) -> str:
    """Return the report as a page.

    Args:
        files: the result of each file, by name; all of the same scorers, the model first.
        pooled: all of them together.
        about: models, hashes, seed; for its end.

    Raises:
        MissingExtraError: matplotlib, which draws, is not installed.
    """
    results = list(files.values())
    parts = ["<h1>Evaluation</h1>", _table(main_rows(files, pooled))]
    parts += [f"<p>{escape(LEGEND)}</p>", "<ul>", *(f"<li>{escape(n)}</li>" for n in notes_of(files, pooled)), "</ul>"]
    parts.append(_picture(by_file(files, pooled), "How often each scorer agrees with the labels, with 95% intervals."))
    parts.append(_picture(by_length(results), "The same against how much longer the chosen answer is, all pairs."))
    for name, result in files.items():
        if result.best_of_n:
            text = f"How good the answer is that each picks among n, {result.best_of_n.questions} questions of {name}."
            parts.append(_picture(best_of(name, result.best_of_n), text))
    for name, (plain, own) in pooled.calibrations.items():
        text = (
            "How often the answer with the higher score is the chosen one, against the probability that is told, for "
            f"probabilities that {FEWEST} pairs or more are given."
        )
        parts.append(_picture(reliability(name, plain, own), text))
    for title, rows in group_rows(files).items():
        parts += [f"<h2>{escape(title)}</h2>", _table(rows, "group")]
    parts += ["<h2>About</h2>", f"<pre>{escape(json.dumps(about, indent=2))}</pre>"]
    body = "\n".join(parts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Evaluation</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


LEGEND = (
    "Agreement with the label, ties counting half; in brackets 95% bootstrap intervals over questions. Length-matched: "
    "pairs whose answers differ by a quarter at most. Length-controlled: what a logistic regression on the log ratio "
    "of lengths says for answers of equal length."
)


def _table(rows: Rows, kind: str = "main") -> str:
    head, *body = ("".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) for row, tag in _tagged(rows))
    lines = "\n".join(f"<tr>{row}</tr>" for row in body)
    return f'<table class="{kind}">\n<thead><tr>{head}</tr></thead>\n<tbody>\n{lines}\n</tbody>\n</table>'


def _tagged(rows: Rows) -> list[tuple[list[str], str]]:
    return [(row, "td" if i else "th") for i, row in enumerate(rows)]


def _picture(figure: Any, caption: str) -> str:
    """Return a figure as SVG inside the page."""
    drawn = io.StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    return f"<figure>\n{svg[svg.index('<svg') :]}\n<figcaption>{escape(caption)}</figcaption>\n</figure>"
