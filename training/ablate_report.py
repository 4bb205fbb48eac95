"""The results of an ablation as Markdown tables, aligned so that they can be read on a terminal too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from prefmodel.intervals import Estimate
from prefmodel.report import HEADINGS, NONE, shown_estimate
from training.ablate_results import REFERENCES, headlines

Rows = list[list[str]]


def as_tables(results: Mapping[str, Any]) -> str:
    """Return what `training.ablate_results.results_of` made: human labels, each set of pairs, what was trained on.

    Args:
        results: JSON values.

    >>> half = {"value": 0.5, "low": 0.25, "high": 0.75}
    >>> found = {"accuracy": {"human": half}}
    >>> rung = found | {"pairs": {"human": 9}, "seeds": {"human": [0.5, 0.5]}, "same_as": None}
    >>> sets = {"human": {"pairs": 8, "questions": 8, "file": False}}
    >>> about = {"pairs": 9, "updates": 1, "max_tokens": 64, "seeds": [0, 1], "seeds_asked": 2, "left_out": []}
    >>> all_of_it = {"about": about, "sets": sets, "rungs": {"all": rung}, "baselines": {"longer": found}}
    >>> print(as_tables(all_of_it).partition("\\n\\n")[0])
    | rung          | held-out human labels | minus start | minus all | over seeds   |
    | ------------- | --------------------- | ----------- | --------- | ------------ |
    | all           | .500 [.250, .750]     | -           | -         | .500 to .500 |
    | longer answer | .500 [.250, .750]     | -           | -         | -            |
    """
    about, sets = results["about"], results["sets"]
    what = "axioms and files" if any(told["file"] for told in sets.values()) else "axioms"
    parts = [_aligned(_compared(results, key, text)) for key, text in headlines(results).items()]
    parts += [f"Accuracy on held-out pairs by {what}, ± half of the 95% interval:", _aligned(_sets(results))]
    parts += ["Pairs that a run is trained on:", _aligned(_mixes(results))]
    return "\n\n".join([*parts, "\n".join(_notes(about, results["rungs"]))])


def as_markdown(results: Mapping[str, Any]) -> str:
    """Return the tables as a file, with the picture beside it."""
    return f"# Ablation of the axioms\n\n![Accuracy of each rung](ablation.png)\n\n{as_tables(results)}\n"


def _compared(results: Mapping[str, Any], key: str, text: str) -> Rows:
    rows = [["rung", text, "minus start", "minus all", "over seeds"]]
    for name, found in _all(results).items():
        differences = [_estimate(found.get(label, {}).get(key)) for label in REFERENCES]
        cells = [shown_estimate(difference, sign="+") for difference in differences]
        seeds = _spread(found.get("seeds", {}).get(key))
        rows.append([name, shown_estimate(_estimate(found["accuracy"][key])), *cells, seeds])
    return rows


def _sets(results: Mapping[str, Any]) -> Rows:
    rows = [["rung", *(f"{name} ({told['pairs']})" for name, told in results["sets"].items())]]
    for name, found in _all(results).items():
        rows.append([name, *(_narrow(found["accuracy"][key]) for key in results["sets"])])
    return rows


def _mixes(results: Mapping[str, Any]) -> Rows:
    axioms = dict.fromkeys(axiom for found in results["rungs"].values() for axiom in found["pairs"])
    rows = [["rung", *axioms]]
    for name, found in results["rungs"].items():
        rows.append([name, *(str(found["pairs"].get(axiom, NONE)) for axiom in axioms)])
    return rows


def _notes(about: Mapping[str, Any], rungs: Mapping[str, Any]) -> list[str]:
    seeds = about["seeds"]
    notes = [
        f"{about['pairs']} pairs and {about['updates']} updates in each run, inputs of at most {about['max_tokens']} "
        f"tokens, mean of seeds {', '.join(map(str, seeds))}.",
        "Intervals are 95% over questions, differences paired; what other seeds do is not in them.",
    ]
    if len(seeds) < about["seeds_asked"]:
        notes.append(f"{len(seeds)} of {about['seeds_asked']} seeds are done.")
    same = [f"{name} is {found['same_as']}" for name, found in rungs.items() if found["same_as"]]
    if same:
        notes.append(f"Rungs with the same axioms share their runs: {', '.join(same)}.")
    if about["left_out"]:
        notes.append(f"Left out, without pairs: {', '.join(about['left_out'])}.")
    return [f"- {note}" for note in notes]


def _all(results: Mapping[str, Any]) -> dict[str, Any]:
    baselines = {HEADINGS.get(name, name): found for name, found in results["baselines"].items()}
    return {**results["rungs"], **baselines}


def _estimate(found: Mapping[str, Any] | None) -> Estimate | None:
    if found is None:
        return None
    low, high = (float("nan") if found[end] is None else found[end] for end in ("low", "high"))
    return Estimate(found["value"], low, high, count=0)


def _narrow(found: Mapping[str, Any]) -> str:
    half = "?" if found["low"] is None else _share((found["high"] - found["low"]) / 2)
    return f"{_share(found['value'])} ±{half}"


def _spread(seeds: Sequence[float] | None) -> str:
    return f"{_share(min(seeds))} to {_share(max(seeds))}" if seeds else NONE


def _share(value: float) -> str:
    return f"{value:.3f}".removeprefix("0")


def _aligned(rows: Rows) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
