"""Pairs of a file whose answers are about to be scored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from prefmodel.arguments import one_question, one_text
from prefmodel.files import read_pairs
from prefmodel.splits import split_of
from prefmodel.types import PreferencePair


def scorable_pairs(path: Path, split: str | None = None) -> Iterator[PreferencePair]:
    """Yield the pairs of a file, checked for what a model cannot score.

    Args:
        path: a file of pairs.
        split: only pairs whose question is in this split; the others are not looked at.

    Raises:
        InputError: a question or an answer has no text; file and pair, counted from 1, are named.
        FileFormatError: the file cannot be read, or a row is no pair.

    Example: `list(scorable_pairs(Path("labels.jsonl"), "test"))`.
    """
    for number, pair in enumerate(read_pairs(path), 1):
        if split is None or split_of(pair.question) == split:
            one_question(pair.question, f"{path}, pair {number}: question")
            one_text(pair.chosen, f"{path}, pair {number}: chosen")
            one_text(pair.rejected, f"{path}, pair {number}: rejected")
            yield pair
