"""What a run of `prefmodel pairs` built, and what a model could learn from it in place of the principles."""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axioms.build import Counts
from axioms.leak import LIMIT, Leak, leak_score
from axioms.llm.registry import LLM_AXIOMS
from axioms.parts import Part
from axioms.selection import parsed_line
from prefmodel import baselines
from prefmodel.errors import missing_extra
from prefmodel.files import check_above, whole_file
from prefmodel.types import PreferencePair

CONSTRUCTED = ("relevance", "groundedness", "relevant_grounding", "truthfulness", "thoroughness", *LLM_AXIOMS)
"""Axioms that write or choose a side themselves: for these a leak is a fault of ours, not a fact of the data."""
MATCHED = 0.25
"""Sides whose characters differ by at most this share of the longer one have about the same length."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(slots=True)
class Tally:
    """Sums over the pairs of each axiom; a part of a run is added at a time.

    Args:
        sources: pairs by axiom and source.
        recipes: pairs by axiom and recipe.
        longer: pairs whose chosen answer has more characters, by axiom; ties count half.
        matched: pairs whose sides have about the same length, by axiom.
        sample: some pairs of each axiom, drawn at random.
    """

    sources: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    recipes: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    longer: Counter[str] = field(default_factory=Counter)
    matched: Counter[str] = field(default_factory=Counter)
    sample: dict[str, list[PreferencePair]] = field(default_factory=lambda: defaultdict(list))

    def add(self, part: Part, kept: NDArray[np.bool_]) -> None:
        """Add the kept pairs of a part, bool [n]."""
        rows = part.rows[kept]
        chosen, rejected = rows["chosen"].astype(np.int64), rows["rejected"].astype(np.int64)
        longer = (np.sign(chosen - rejected) + 1) / 2
        matched = abs(chosen - rejected) <= MATCHED * np.maximum(chosen, rejected)
        size = len(part.kinds)
        sums = (np.bincount(rows["kind"], weight, size) for weight in (None, longer, matched))
        for (axiom, source, recipe), pairs, won, near in zip(part.kinds, *sums, strict=True):
            if pairs:
                self.sources[axiom][source] += int(pairs)
                self.recipes[axiom][recipe or "-"] += int(pairs)
                self.longer[axiom] += won
                self.matched[axiom] += int(near)

    def add_line(self, line: bytes) -> None:
        """Add a pair, given as a JSON line, to the sample of its axiom."""
        pair = parsed_line(line)
        self.sample[pair.axiom].append(pair)


def prepare(folder: Path) -> None:
    """Make the folder of a report; what the report would lack after the work is told before it.

    Raises:
        InputError: a file stands above it.
        MissingExtraError: scikit-learn, bm25s or matplotlib is not installed.
    """
    try:
        import bm25s  # noqa: F401
        import matplotlib  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError:
        raise missing_extra("--report", "axioms") from None
    check_above("--report", folder)
    folder.mkdir(parents=True, exist_ok=True)


def report_of(names: Sequence[str], counts: Counts, tally: Tally, seed: int) -> dict[str, Any]:
    """Return the report as JSON values: for each axiom counts, lengths and what tells its sides apart.

    Args:
        names: the axioms of the run.
        counts: what was built and left out.
        tally: the sums over the pairs.
        seed: of the leak scores.

    Raises:
        MissingExtraError: scikit-learn or bm25s is not installed.
    """
    axioms = {name: _of_axiom(name, counts, tally, seed) for name in names}
    leaking = [name for name in CONSTRUCTED if ((axioms.get(name) or {}).get("leak") or {}).get("accuracy", 0) > LIMIT]
    return {"pairs": counts.built.total(), "leak_limit": LIMIT, "leaking": leaking, "axioms": axioms}


def _of_axiom(name: str, counts: Counts, tally: Tally, seed: int) -> dict[str, Any]:
    built, sample = counts.built[name], tally.sample[name]
    left_out = {reason: by_axiom[name] for reason, by_axiom in counts.left_out.items() if by_axiom[name]}
    skipped = {why: by_axiom[name] for why, by_axiom in counts.skipped.items() if by_axiom[name]}
    out: dict[str, Any] = {"pairs": built, "left_out": left_out, "skipped": skipped}
    if not built:
        return out
    ratios = [(len(pair.chosen) or 1) / (len(pair.rejected) or 1) for pair in sample]
    return {
        **out,
        "sources": dict(tally.sources[name].most_common()),
        "recipes": dict(tally.recipes[name].most_common()),
        "length_ratio": [round(float(value), 3) for value in np.quantile(ratios, QUANTILES)],
        "length_matched": tally.matched[name] / built,
        "longer_wins": tally.longer[name] / built,
        "word_overlap_wins": _word_overlap_wins(sample),
        "leak": _known(leak_score(sample, seed)),
        "sample": len(sample),
    }


def _word_overlap_wins(sample: Sequence[PreferencePair]) -> float:
    questions = [pair.question for pair in sample for _ in range(2)]
    scores = baselines.bm25(questions, [text for pair in sample for text in (pair.chosen, pair.rejected)])
    return float((np.sign(scores[::2] - scores[1::2]) + 1).mean() / 2)


def _known(leak: Leak) -> dict[str, Any] | None:
    return None if math.isnan(leak.accuracy) else asdict(leak)


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the report as Markdown.

    >>> print(as_markdown({"pairs": 0, "leak_limit": .65, "leaking": [], "axioms": {}}).splitlines()[0])
    # Pairs
    """
    heading = ("axiom", "pairs", "length ratio", "same length", "longer wins", "word overlap wins", "leak score")
    rows: list[Sequence[str]] = [heading, ["---", *["---:"] * (len(heading) - 1)]]
    lists = []
    for name, found in report["axioms"].items():
        if not found["pairs"]:
            rows.append((name, "0", *["-"] * (len(heading) - 2)))
        else:
            shares = (f"{found[key]:.0%}" for key in ("length_matched", "longer_wins", "word_overlap_wins"))
            rows.append((name, f"{found['pairs']:,}", f"{found['length_ratio'][2]:.2f}", *shares, _leak(found["leak"])))
            lists.append(f"- {name}: sources {_listed(found['sources'])}; recipes {_listed(found['recipes'])}.")
        if found["left_out"]:
            lists.append(f"- {name}, left out: {_listed(found['left_out'])}.")
        if found["skipped"]:
            lists.append(f"- {name}, not written: {_listed(found['skipped'])}.")
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"""# Pairs

{report["pairs"]:,} pairs. {verdict(report)}

{table}

Length ratio: characters of the chosen by those of the rejected answer, the median. Same length: within {MATCHED:.0%}.
Longer wins, word overlap wins: how often the longer answer, and the one with the higher BM25 score for the question,
is the chosen one. Leak score: how often a bag of words that sees no question finds the chosen answer among held-out
pairs, with its 95% interval; 50% is guessing. Ratio, overlap and leak are of a random sample of each axiom.

![Lengths and leak scores by axiom](report.png)

{chr(10).join(lists)}
"""


def verdict(report: Mapping[str, Any]) -> str:
    """Return a line that says which constructed axioms leak.

    >>> verdict({"leak_limit": .65, "leaking": [], "axioms": {"relevance": {"leak": {"accuracy": .5}}}})
    'No constructed axiom has a leak score above 65%.'
    """
    limit, measured = f"{report['leak_limit']:.0%}", report["axioms"]
    if not any(measured[name].get("leak") for name in CONSTRUCTED if name in measured):
        return "No constructed axiom has pairs enough for a leak score."
    if not report["leaking"]:
        return f"No constructed axiom has a leak score above {limit}."
    scores = (f"{name} ({measured[name]['leak']['accuracy']:.0%})" for name in report["leaking"])
    return f"Constructed axioms with a leak score above {limit}: {', '.join(scores)}."


def _leak(leak: Mapping[str, float] | None) -> str:
    return f"{leak['accuracy']:.0%} ({leak['low']:.0%} to {leak['high']:.0%})" if leak else "-"


def _listed(counts: Mapping[str, int], most: int = 8) -> str:
    shown = [f"{name} {number:,}" for name, number in list(counts.items())[:most]]
    more = len(counts) - most
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write `report.json`, `report.md` and `report.png` into a folder.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from axioms.plot import draw

    texts = {"report.json": json.dumps(report, indent=1, ensure_ascii=False) + "\n", "report.md": as_markdown(report)}
    for name, text in texts.items():
        with whole_file(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    draw(report, folder / "report.png")
