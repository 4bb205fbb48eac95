"""The card of a bundle, in the Hub's format: what its `prefmodel.json` records, and what commands measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from prefmodel.bundle import Bundle
from prefmodel.errors import InputError
from prefmodel.report import pipes

BASELINES = ("longer", "bm25")
NOTICE = "NOTICE.md"
PARITY = "{pairs}, {max_difference:.4f}, {tau:.4f}, {flipped:.2%} of {clear}, {accuracy_change:+.4f}"

TAGS = ("reward-model", "preference-model")
USE = """# A compact reward model

Tells how good an answer to a question is: a raw logit, higher is better, comparable within a question.

```python
from prefmodel import PreferenceModel

model = PreferenceModel.from_pretrained("PATH_OR_HUB_NAME")
model.score("Why is the sky blue?", "Air scatters short waves more than long ones.")
```
"""
NOT_RUN = "RewardBench 2 and RM-Bench: `prefmodel source` loads them; this model was not run on them.\n"


@dataclass(frozen=True, slots=True)
class Measured:
    """What commands printed of a bundle, for its card; a part that is None is left out.

    Args:
        results: JSON values of `prefmodel evaluate --report`.
        evaluation: its Markdown.
        probes: Markdown of `prefmodel probe --markdown`.
        invariance: Markdown of `prefmodel invariance --format markdown`.
        ablation: Markdown of `prefmodel ablate`.
        speed: Markdown of `python -m benchmarks.speed`.
        notes: title of a section to what a person has to say at its end.
    """

    results: Mapping[str, Any] | None = None
    evaluation: str | None = None
    probes: str | None = None
    invariance: str | None = None
    ablation: str | None = None
    speed: str | None = None
    notes: Mapping[str, str] = field(default_factory=dict)


def card(bundle: Bundle, measured: Measured | None = None) -> str:
    """Return the card of a bundle as Markdown, in the Hub's format; a part whose facts are not recorded is left out.

    Args:
        bundle: what it tells of, by its `prefmodel.json` and its `NOTICE.md`.
        measured: what was measured of it since.

    Raises:
        InputError: a note is for a section that the card does not have.
    """
    facts: Mapping[str, Any] = bundle.info["training"]
    accuracy = facts.get("accuracy", {})
    seen = measured or Measured()
    parts = [
        _notice(bundle.folder / NOTICE, seen.results),
        _agreement(seen),
        _section("Whether it can be fooled", seen.probes),
    ]
    parts += [_section("What must not move it", seen.invariance), _section("What each axiom is worth", seen.ablation)]
    parts += [_origin(facts), _data(facts), _pairs(facts)]
    parts += [_heldout(accuracy), _contributions(accuracy), _parity(facts)]
    parts += [_section("Speed", seen.speed), _limits(bundle)]
    return "\n".join([_metadata(facts, seen.results), USE, *_noted([part for part in parts if part], seen.notes)])


def _metadata(facts: Mapping[str, Any], results: Mapping[str, Any] | None) -> str:
    """Return what the Hub reads: the licence, the kind of model, and its results as a model-index."""
    found = [
        EvalResult(
            task_type="text-ranking",
            task_name="agreement with human labels",
            dataset_type=name,
            dataset_name=name,
            metric_type="accuracy",
            metric_value=round(accuracy["value"], 4),
            metric_args={
                "low": _rounded(accuracy["low"]),
                "high": _rounded(accuracy["high"]),
                "pairs": result["pairs"],
            },
        )
        for name, result in (results or {}).get("files", {}).items()
        for accuracy in [next(iter(result["accuracy"].values()))]
    ]
    about = ModelCardData(
        language="en",
        license="apache-2.0",
        library_name="prefmodel",
        pipeline_tag="text-ranking",
        tags=list(TAGS),
        model_name="prefmodel" if found else None,
        eval_results=found or None,
    )
    return f"---\n{about.to_yaml()}\n---\n"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _notice(path: Path, results: Mapping[str, Any] | None) -> str:
    """Return what has to be read first: where text and weights come from, and where a trivial baseline is better."""
    if not path.exists():
        return ""
    _, _, text = path.read_text(encoding="utf-8").strip().partition("\n")
    return f"## Read first\n\n{text.strip()}\n" + "".join(f"\n{line}\n" for line in _beaten(results))


def _beaten(results: Mapping[str, Any] | None) -> Iterator[str]:
    files = (results or {}).get("files", {})
    for who, value in (("this model", _model), ("GPT-4's own labels", _gpt4)):
        told = {name: value(result) for name, result in files.items()}
        worse = [
            f"`{name}` ({result['accuracy']['longer']['value']:.3f}, against {told[name]:.3f})"
            for name, result in files.items()
            if told[name] is not None and result["accuracy"]["longer"]["value"] > told[name]
        ]
        if worse:
            yield f"To take the longer answer agrees with people more often than {who} does on {', '.join(worse)}."


def _model(result: Mapping[str, Any]) -> float:
    return float(next(iter(result["accuracy"].values()))["value"])


def _gpt4(result: Mapping[str, Any]) -> float | None:
    return result["gpt4"]["value"] if result["gpt4"] else None


def _agreement(seen: Measured) -> str:
    if seen.evaluation is None:
        return ""
    _, _, text = seen.evaluation.partition("\n")
    tables, mark, groups = text.partition("## About")[0].strip().partition("\n## ")
    if mark:  # tables by scenario are long: a reader opens them
        groups = f"<details>\n<summary>By group</summary>\n\n## {groups.strip()}\n\n</details>\n\n"
    return _section("On human labels that were not trained on", f"{tables.strip()}\n\n{groups}{NOT_RUN}")


def _section(title: str, text: str | None) -> str:
    """Return a section; headings of the text go a level down, and its title goes."""
    if text is None:
        return ""
    lines = [f"#{line}" if line.startswith("## ") else line for line in text.strip().splitlines() if line[:2] != "# "]
    return f"## {title}\n\n" + "\n".join(lines).strip() + "\n"


def _noted(parts: list[str], notes: Mapping[str, str]) -> list[str]:
    """Return the sections, each with the note for it at its end."""
    titles = [part.partition("\n")[0].removeprefix("## ") for part in parts]
    for title in notes:
        if title not in titles:
            raise InputError(f"a note is for the section {title!r}; allowed: {', '.join(titles)}")
    return [
        f"{part}\n{notes[title].strip()}\n" if title in notes else part
        for title, part in zip(titles, parts, strict=True)
    ]


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table.

    >>> print(table(["axiom", "pairs"], [["relevance", 3000]]))
    | axiom | pairs |
    | --- | --- |
    | relevance | 3000 |
    """
    return pipes([[str(cell) for cell in line] for line in (heading, *rows)])


def _stages(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts of the trainings that a model went through, the first one first."""
    before = facts.get("before")
    return [*(_stages(before) if before else ()), facts]


def _learned(facts: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the facts of all trainings that are in a model's weights: its own, and those of `train.blend_base`."""
    found: list[Mapping[str, Any]] = []
    for stage in _stages(facts):
        others = _learned(stage["blended_with"]) if stage.get("blended_with") else []
        found += [one for one in (*others, stage) if one not in found]
    return found


def trained_on(facts: Mapping[str, Any]) -> set[str]:
    """Return the SHA-256 of each file that a model was trained on, by what its bundle records."""
    return {entry["sha256"] for stage in _learned(facts) for entry in stage.get("data") or ()}


def _origin(facts: Mapping[str, Any]) -> str:
    first, *more = _stages(facts)
    text = f"## How it came to be\n\nStarting point: `{first.get('base')}`."
    if "updates" in first:
        text += f" Trained for {_training(first)}"
    elif "notes" in first:
        text += f" {first['notes'].capitalize()}."
    return text + "".join(f" Then trained on for {_training(stage)}" for stage in more) + "\n"


def _training(facts: Mapping[str, Any]) -> str:
    train = facts["recipe"]["train"]
    loss = "hinge" if facts["recipe"].get("objective", {}).get("loss") == "hinge" else "Bradley-Terry"
    blend = train.get("blend", 1)
    whence = f"`{train['blend_base']}`" if train.get("blend_base") else "before"
    kept = f" The weights are {blend:g} of the way from {whence} to after it." if blend < 1 else ""
    if blended := facts.get("blended_with"):
        kept += "".join(f" That model was trained for {_training(s)}" for s in _stages(blended) if "updates" in s)
    return (
        f"{facts['updates']} updates of {train['step_pairs']} pairs with a {loss} loss,"
        f" peak learning rate {train['learning_rate']:g}, in {facts['hours']} hours ({facts['device']})."
        f" Seed {facts['recipe']['seed']}.{kept}"
    )


def _data(facts: Mapping[str, Any]) -> str:
    stages = _learned(facts)
    files = {entry["file"]: entry for stage in stages for entry in stage.get("data") or ()}
    if not files:
        return ""
    rows = [[name, entry["licence"], f"`{entry['sha256'][:16]}`"] for name, entry in files.items()]
    excluded = set.intersection(*(set(stage.get("excluded_files", ())) for stage in stages))
    listed = ", ".join(sorted(excluded)) or "none"
    return (
        "## Data\n\n"
        + table(["file", "licence of the text", "SHA-256 (beginning)"], rows)
        + f"\n\nNo pair with a question of these evaluation files, or nearly one, was trained on: {listed}.\n"
    )


def _pairs(facts: Mapping[str, Any]) -> str:
    own = _stages(facts)
    others = [stage for stage in _learned(facts) if stage not in own]
    stages = [stage.get("pairs") or {} for stage in (*own, *others)]
    axioms = sorted({axiom for pairs in stages for axiom in pairs})
    if not axioms:
        return ""
    heading = ["axiom", "pairs", *(f"in training {number}" for number in range(2, len(own) + 1))]
    heading += ["behind `train.blend_base`"] * len(others)
    rows = [[axiom, *(pairs.get(axiom, 0) for pairs in stages)] for axiom in axioms]
    return "## Training pairs\n\n" + table(heading, rows) + "\n"


def _heldout(accuracy: Mapping[str, Any]) -> str:
    if "axioms" not in accuracy:
        return ""
    rows = [
        [name, r["pairs"], "{accuracy:.3f} [{low:.3f}, {high:.3f}]".format(**r), *(f"{r[k]:.3f}" for k in BASELINES)]
        for name, r in accuracy["axioms"].items()
    ]
    heading = ["axiom", "pairs", "accuracy [95% interval]", "longer answer", "BM25"]
    return "## On held-out pairs\n\nQuestions that were not trained on.\n\n" + table(heading, rows) + "\n"


def _contributions(accuracy: Mapping[str, Any]) -> str:
    if "contributions" not in accuracy:
        return ""
    names = list(next(iter(accuracy["contributions"].values())))
    rows = [[kind, *(f"{row[n]:.3f}" for n in names)] for kind, row in accuracy["contributions"].items()]
    trusted = ", ".join(accuracy["trusted"]) or "none"
    return (
        "## Contributions\n\nAccuracy of each contribution alone (columns) on the held-out pairs of each principle "
        "(rows). A contribution is trusted where it tells better than every other in its own row, beyond chance: "
        f"{trusted}. The others are experimental.\n\n" + table(["pairs of", *names], rows) + "\n"
    )


def _parity(facts: Mapping[str, Any]) -> str:
    if not facts.get("parity"):
        return ""
    rows = [[name, *PARITY.format(**p).split(", ")] for name, p in facts["parity"].items()]
    heading = ["graph", "pairs", "largest difference, logits", "Kendall tau", "clear pairs flipped", "accuracy"]
    return "## Agreement with the trained model\n\n" + table(heading, rows) + "\n"


def _limits(bundle: Bundle) -> str:
    encoding = bundle.encoding
    return (
        "## Scale and limits\n\n"
        f"The probability that a is better than b is sigmoid((score of a - score of b) / {bundle.temperature:.3f}). "
        f"An input has at most {encoding.max_tokens} tokens, the question at most {encoding.question_tokens} of them; "
        "what does not fit is cut in the middle and reported. Mostly English text was trained on. A score is no proof "
        "that an answer is true.\n"
    )
