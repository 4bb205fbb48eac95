"""RM-Bench: a correct and a subtly wrong answer, each in three styles; for evaluation only.

Columns: https://github.com/THU-KEG/RM-Bench, README, "Dataset Details". Each correct answer makes a pair with each
wrong one. The scenario is the domain and how hard style makes it (its "how to compute the accuracy"): easy where the
correct answer is the fancier one, hard where the wrong one is.
"""

from __future__ import annotations

from axioms.sources.record import Record
from axioms.sources.rows import Rows
from axioms.sources.source import Loaded, Source, labelled

NAME = "rm-bench"
STYLES = ("concise", "detailed", "markdown")


def load(rows: Rows) -> Loaded:
    """Yield the nine pairs of each prompt."""
    for record in rows:
        chosen, rejected = (_styles(record, side) for side in ("chosen", "rejected"))
        for i, good in enumerate(chosen):
            for j, bad in enumerate(rejected):
                level = "easy" if i > j else "hard" if i < j else "normal"
                yield labelled(
                    record.text("prompt"),
                    good,
                    bad,
                    source=NAME,
                    recipe="label",
                    thread_id=f"{NAME}/{record.value('id')}",
                    scenario=f"{record.text('domain')}, {level}",
                    styles=[STYLES[i], STYLES[j]],
                )


def _styles(record: Record, name: str) -> list[str]:
    texts = record.texts(name)
    if len(texts) != len(STYLES):
        raise record.wrong(name, f"{len(STYLES)} texts: {', '.join(STYLES)}")
    return texts


SOURCES = (
    Source(
        name=NAME,
        kind="pairs",
        licence="ODC-By",
        about="correct and subtly wrong answers in three styles; for evaluation only",
        columns=("id", "prompt", "chosen", "rejected", "domain"),
        load=load,
        hub="THU-KEG/RM-Bench",
        splits={"train": "train"},
        evaluation_only=True,
    ),
)
