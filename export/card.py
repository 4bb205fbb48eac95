"""The card of a bundle: its `README.md`, written from what the bundle's `prefmodel.json` records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from prefmodel.bundle import Bundle

BASELINES = ("longer", "bm25")
PARITY = "{pairs}, {max_difference:.4f}, {tau:.4f}, {flipped:.2%} of {clear}, {accuracy_change:+.4f}"

HEADER = """---
license: apache-2.0
library_name: prefmodel
pipeline_tag: text-ranking
tags:
- reward-model
- preference-model
---

# A compact reward model

Tells how good an answer to a question is: a raw logit, higher is better, comparable within a question.

```python
from prefmodel import PreferenceModel
model = PreferenceModel.from_pretrained("PATH_OR_HUB_NAME")
model.score("Why is the sky blue?", "Air scatters short waves more than long ones.")
```
"""


def card(bundle: Bundle) -> str:
    """Return the card of a bundle as Markdown; a part whose facts are not recorded is left out."""
    facts: Mapping[str, Any] = bundle.info["training"]
    accuracy = facts.get("accuracy", {})
    parts = [HEADER, _origin(facts), _data(facts), _pairs(facts)]
    parts += [_heldout(accuracy), _contributions(accuracy), _parity(facts), _limits(bundle)]
    return "\n".join(part for part in parts if part)


def table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table.

    >>> print(table(["axiom", "pairs"], [["relevance", 3000]]))
    | axiom | pairs |
    | --- | --- |
    | relevance | 3000 |
    """
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def _origin(facts: Mapping[str, Any]) -> str:
    text = f"## How it came to be\n\nStarting point: `{facts.get('base')}`."
    if "updates" in facts:
        train = facts["recipe"]["train"]
        loss = "hinge" if facts["recipe"].get("objective", {}).get("loss") == "hinge" else "Bradley-Terry"
        text += (
            f" Trained for {facts['updates']} updates of {train['step_pairs']} pairs with a {loss} loss,"
            f" peak learning rate {train['learning_rate']:g}, in {facts['hours']} hours ({facts['device']})."
            f" Seed {facts['recipe']['seed']}."
        )
    elif "notes" in facts:
        text += f" {facts['notes'].capitalize()}."
    return text + "\n"


def _data(facts: Mapping[str, Any]) -> str:
    if not facts.get("data"):
        return ""
    rows = [[entry["file"], entry["licence"], f"`{entry['sha256'][:16]}`"] for entry in facts["data"]]
    excluded = ", ".join(facts.get("excluded_files", [])) or "none"
    return (
        "## Data\n\n"
        + table(["file", "licence of the text", "SHA-256 (beginning)"], rows)
        + f"\n\nNo pair with a question of these evaluation files, or nearly one, was trained on: {excluded}.\n"
    )


def _pairs(facts: Mapping[str, Any]) -> str:
    if not facts.get("pairs"):
        return ""
    return "## Training pairs\n\n" + table(["axiom", "pairs"], facts["pairs"].items()) + "\n"


def _heldout(accuracy: Mapping[str, Any]) -> str:
    if not accuracy:
        return ""
    rows = [
        [name, r["pairs"], "{accuracy:.3f} [{low:.3f}, {high:.3f}]".format(**r), *(f"{r[k]:.3f}" for k in BASELINES)]
        for name, r in accuracy["axioms"].items()
    ]
    heading = ["axiom", "pairs", "accuracy [95% interval]", "longer answer", "BM25"]
    return "## On held-out pairs\n\nQuestions that were not trained on.\n\n" + table(heading, rows) + "\n"


def _contributions(accuracy: Mapping[str, Any]) -> str:
    if not accuracy:
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
