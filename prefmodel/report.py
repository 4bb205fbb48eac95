"""Evaluation results as a table for terminals, as Markdown and as JSON; numbers are rounded only when shown."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefmodel.best_of_n import IDEAL, BestOfN
from prefmodel.calibration import Bin, Calibration
from prefmodel.evaluation import Estimate, FileResult, PooledResult
from prefmodel.files import whole_file
from prefmodel.writers import Scale, WriterRanking

HEADINGS = {"longer": "longer answer", "bm25": "BM25", "embedding": "likeness", IDEAL: "the labels' own choice"}
GAP = "  "
NONE = "-"

Rows = list[list[str]]


def as_text(files: Mapping[str, FileResult], pooled: PooledResult) -> str:
    """Return the report for a terminal: aligned columns, then what the columns do not say.

    Args:
        files: the result of each file, by name; all of the same scorers, the model first.
        pooled: all of them together.

    >>> from prefmodel.baselines import longer
    >>> from prefmodel.evaluation import evaluate_pairs, pool
    >>> from prefmodel.types import PreferencePair
    >>> pairs = [PreferencePair(f"Why {i}?", "Because.", "No" * i, axiom="human", source="demo") for i in (1, 2, 4, 9)]
    >>> result = evaluate_pairs(pairs, {"longer": longer})
    >>> print(as_text({"demo": result}, pool([result])))
    file            pairs  longer answer       length-matched (n)
    demo                4  .625 [.250, 1.000]  .500 [?] (1)
    mean of 1 file      -  .625 [.250, 1.000]  -
    all pairs           4  .625 [.250, 1.000]  .500 [?] (1)
    <BLANKLINE>
    length-controlled, all pairs: longer answer .504 [.488, .520]
    <BLANKLINE>
    scores of longer answer  answers  by        mean  standard deviation  5%    95%
    demo                           8  not said  8.00  4.36                2.70  14.50
    """
    tables = [columns(rows) for rows in [main_rows(files, pooled), *group_rows(files).values()]]
    return "\n\n".join([tables[0], *_notes_block(files, pooled), *tables[1:]])


def as_markdown(files: Mapping[str, FileResult], pooled: PooledResult, about: Mapping[str, Any]) -> str:
    """Return the report as Markdown; `about` (models, hashes, seed) becomes a list at its end."""
    parts = ["# Evaluation", pipes(main_rows(files, pooled))]
    parts += ["\n".join(f"- {note}" for note in notes_of(files, pooled))] if notes_of(files, pooled) else []
    parts += [f"## {title}\n\n{pipes(rows)}" for title, rows in group_rows(files).items()]
    parts += ["## About\n\n" + "\n".join(f"- {name}: `{json.dumps(value)}`" for name, value in about.items())]
    return "\n\n".join(parts) + "\n"


def as_json(files: Mapping[str, FileResult], pooled: PooledResult, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the report as JSON values, unrounded; an interval that is unknown is null."""
    return {
        "about": dict(about),
        "files": {name: _values(result) for name, result in files.items()},
        "pooled": _values(pooled),
    }


def write_report(
    folder: str | Path, files: Mapping[str, FileResult], pooled: PooledResult, about: Mapping[str, Any]
) -> None:
    """Write `results.json` and `results.md` into a folder; neither takes its place before both are written.

    Raises:
        FileFormatError: the folder does not exist.
    """
    folder = Path(folder)
    with whole_file(folder / "results.json") as numbers, whole_file(folder / "results.md") as text:
        values = as_json(files, pooled, about)
        numbers.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        text.write_text(as_markdown(files, pooled, about), encoding="utf-8", errors="replace")


def shown_estimate(estimate: Estimate | None, with_count: bool = False, sign: str = "") -> str:
    """Return an estimate as a cell of a table; with `sign` "+" also numbers above 0 show theirs.

    >>> shown_estimate(Estimate(0.5, 0.25, 1.0, count=8), with_count=True)
    '.500 [.250, 1.000] (8)'
    >>> shown_estimate(None)
    '-'
    """
    if estimate is None:
        return NONE
    value, low, high = (_number(number, sign) for number in (estimate.value, estimate.low, estimate.high))
    interval = "[?]" if math.isnan(estimate.low) else f"[{low}, {high}]"
    return f"{value} {interval}" + (f" ({estimate.count})" if with_count else "")


def _number(value: float, sign: str) -> str:
    """Return three decimals without the zero before the point, as shares are written."""
    return f"{value:{sign}.3f}".replace("0.", ".", 1) if abs(value) < 0.9995 else f"{value:{sign}.3f}"


def main_rows(files: Mapping[str, FileResult], pooled: PooledResult) -> Rows:
    """Return the heading and the rows of the table by file."""
    model, *others = pooled.accuracy
    judged = any(result.gpt4 for result in files.values())
    heading = ["file", "pairs", model, "length-matched (n)", *others]
    heading = [HEADINGS.get(name, name) for name in heading] + (["GPT-4 (n)", "GPT-4 length-matched (n)"] * judged)
    rows = [heading]
    for name, result in files.items():
        row = [name, str(result.pairs), *_cells(result.accuracy, result.matched)]
        rows.append(row + [shown_estimate(e, with_count=True) for e in (result.gpt4, result.gpt4_matched)] * judged)
    mean = f"mean of {len(files)} file{'s' * (len(files) != 1)}"
    total = str(sum(result.pairs for result in files.values()))
    rows.append([mean, NONE, *_cells(pooled.macro, {})] + [NONE] * 2 * judged)
    rows.append(["all pairs", total, *_cells(pooled.accuracy, pooled.matched)] + [NONE] * 2 * judged)
    return rows


def _cells(accuracy: Mapping[str, Estimate], matched: Mapping[str, Estimate]) -> list[str]:
    model, *others = accuracy
    cells = [shown_estimate(accuracy[model]), shown_estimate(matched.get(model), with_count=True)]
    return cells + [shown_estimate(accuracy[name]) for name in others]


def group_rows(files: Mapping[str, FileResult]) -> dict[str, Rows]:
    """Return the tables by axiom, principle and so on of each file that has several, and of the scales, by title."""
    tables = {}
    for name, result in files.items():
        kinds = {
            "axiom": result.by_axiom,
            "principle": result.by_principle,
            "scenario": result.by_scenario,
            "what was cut": result.by_cut,
            "who wrote the two answers": result.by_writer,
        }
        for word, groups in kinds.items():
            if groups:
                heading = [f"{name}, by {word}", "pairs", *(HEADINGS.get(s, s) for s in result.accuracy)]
                rows = [
                    [group, str(_count(found)), *map(shown_estimate, found.values())] for group, found in groups.items()
                ]
                tables[f"{name}, by {word}"] = [heading, *rows]
        if result.ranking:
            tables[f"{name}, share of pairs won by who wrote"] = _writer_rows(name, result.ranking)
    tables["where the scores lie"] = _scale_rows(files)
    return tables


def _writer_rows(name: str, ranking: WriterRanking) -> Rows:
    heading = [f"{name}, share of pairs won", "pairs", *(HEADINGS.get(s, s) for s in ranking.shares)]
    rows = [
        [w, str(n), *(_number(share[w], "") for share in ranking.shares.values())] for w, n in ranking.pairs.items()
    ]
    return [heading, *rows]


def _scale_rows(files: Mapping[str, FileResult]) -> Rows:
    scorer = next(iter(next(iter(files.values())).accuracy))
    numbers = ["mean", "standard deviation", "5%", "95%"]
    heading = [f"scores of {HEADINGS.get(scorer, scorer)}", "answers", "by", *numbers]
    rows = [
        [name, str(s.answers), kind, *(f"{value:.2f}" for value in (s.mean, s.deviation, s.low, s.high))]
        for name, result in files.items()
        for kind, s in result.scales.items()
    ]
    return [heading, *rows]


def _count(accuracy: Mapping[str, Estimate]) -> int:
    return next(iter(accuracy.values())).count


def notes_of(files: Mapping[str, FileResult], pooled: PooledResult) -> list[str]:
    """Return what the tables do not say, a sentence each."""
    model = next(iter(pooled.accuracy))
    minus = f"{HEADINGS.get(model, model)} minus"
    notes = [
        f"{minus} {HEADINGS.get(name, name)}, mean of files: {shown_estimate(difference, sign='+')}"
        for name, difference in pooled.differences.items()
    ]
    equal = (f"{HEADINGS.get(name, name)} {shown_estimate(e)}" for name, e in pooled.length_controlled.items())
    notes.append(f"length-controlled, all pairs: {', '.join(equal)}")
    for name, (plain, own) in pooled.calibrations.items():
        errors = (
            f"{_number(plain.error, '')} at temperature 1, {_number(own.error, '')} at its own, {own.temperature:.3g}"
        )
        notes.append(f"{name}, expected calibration error, all pairs: {errors}")
    for name, moved in pooled.positions.items():
        notes.append(f"{name}, two answers that change places: a probability moves by {moved:.1g} at most")
    for name, result in files.items():
        if found := result.best_of_n:
            most = len(next(iter(found.curves.values())))
            shown = ", ".join(f"{HEADINGS.get(s, s)} {shown_estimate(curve[-1])}" for s, curve in found.curves.items())
            notes.append(f"{name}, best of {most}, share of comparisons won, {found.questions} questions: {shown}")
        if result.prefers_human:
            often = ", ".join(f"{HEADINGS.get(s, s)} {shown_estimate(e)}" for s, e in result.prefers_human.items())
            notes.append(f"{name}, {_count(result.prefers_human)} pairs of human and model, human preferred: {often}")
        if ranked := result.ranking:
            alike = ", ".join(f"{HEADINGS.get(s, s)} {shown_estimate(e)}" for s, e in ranked.agreement.items())
            ranks = f"{len(ranked.pairs)} writers ranked, Spearman's correlation with the labels"
            notes.append(f"{name}, {ranks}: {alike}")
        if result.ignored:
            notes.append(f"{name}: pairs ignored for a target of .5 or less: {result.ignored}")
        if result.gpt4 and result.gpt4.count < result.pairs:
            notes.append(f"{name}: {result.gpt4.count} of {result.pairs} pairs say whether GPT-4 agrees")
    return notes


def _notes_block(files: Mapping[str, FileResult], pooled: PooledResult) -> list[str]:
    notes = notes_of(files, pooled)
    return ["\n".join(notes)] if notes else []


def columns(rows: Rows) -> str:
    """Return rows as aligned columns; those of the second one stand to the right.

    >>> print(columns([["file", "pairs"], ["a", "7"]]))
    file  pairs
    a         7
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if i == 1 else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(GAP.join(cells).rstrip())
    return "\n".join(lines)


def pipes(rows: Rows) -> str:
    """Return rows as a Markdown table.

    >>> print(pipes([["file", "pairs"], ["a", "7"]]))
    | file | pairs |
    | --- | --- |
    | a | 7 |
    """
    lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def _values(item: Any) -> Any:
    """Return dataclasses and mappings as JSON values, without the arrays and with null for NaN."""
    if isinstance(item, Mapping):
        return {name: _values(value) for name, value in item.items()}
    if isinstance(item, list | tuple):
        return [_values(value) for value in item]
    if isinstance(item, FileResult | PooledResult | Calibration | Bin | BestOfN | Scale | WriterRanking):
        # What is not shown in a repr is the arrays, one number for each pair.
        return {f: _values(getattr(item, f)) for f, d in item.__dataclass_fields__.items() if d.repr}
    if isinstance(item, Estimate):
        return {name: _values(getattr(item, name)) for name in ("value", "low", "high", "count")}
    return None if isinstance(item, float) and math.isnan(item) else item
