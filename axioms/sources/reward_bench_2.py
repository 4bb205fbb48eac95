"""RewardBench 2: one correct answer and three wrong ones, or several correct ones; for evaluation only.

Columns: https://huggingface.co/datasets/allenai/reward-bench-2 (card) and arXiv 2506.01937, section 3. Its leaderboard
asks whether the correct answer beats all wrong ones at once; here each is a pair, with the subset as its scenario.
"""

from __future__ import annotations

from itertools import product

from axioms.sources.rows import Rows
from axioms.sources.source import Loaded, Skipped, Source, labelled

NAME = "reward-bench-2"


def load(rows: Rows) -> Loaded:
    """Yield each correct answer of a prompt with each wrong one."""
    for record in rows:
        pairs = list(product(record.texts("chosen"), record.texts("rejected")))
        if not pairs:
            yield Skipped("no correct answer, or no wrong one")
        for chosen, rejected in pairs:
            yield labelled(
                record.text("prompt"),
                chosen,
                rejected,
                source=NAME,
                recipe="label",
                thread_id=f"{NAME}/{record.value('id')}",
                scenario=record.text("subset"),
            )


SOURCES = (
    Source(
        name=NAME,
        kind="pairs",
        licence="ODC-By",
        about="correct answers and wrong ones, in six subsets; for evaluation only",
        columns=("id", "prompt", "chosen", "rejected", "subset"),
        load=load,
        hub="allenai/reward-bench-2",
        splits={"test": "test"},
        evaluation_only=True,
    ),
)
