"""From finished parts to the file of pairs: duplicates, caps and limits over the whole run."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from axioms.build import Counts, Plan, count
from axioms.duplicates import chosen
from axioms.parts import Part, lines_file, load_part
from prefmodel.files import write_pairs
from prefmodel.types import PreferencePair

SAMPLE = 4000
"""Pairs of each axiom that are drawn at random for the report."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which pairs of the parts make the output.

    Args:
        kept: for each part, which of its pairs, bool [n].
        sampled: for each part, which of those are in the sample of their axiom for the report.
        counts: what was built and left out, of the whole run.
    """

    kept: list[NDArray[np.bool_]]
    sampled: list[NDArray[np.bool_]]
    counts: Counts


def select(
    folder: Path, blocks: int, plan: Plan, per_question: int, limits: Mapping[str, int], sample: int = SAMPLE
) -> Selection:
    """Choose among the pairs of all parts, one axiom at a time; some 70 bytes a pair of an axiom are held at once.

    Args:
        folder: of the parts, of which there are `blocks`.
        plan: what was done.
        per_question: at most so many pairs of an axiom for one question, drawn at random.
        limits: at most so many pairs of an axiom, drawn at random.
        sample: pairs of an axiom for the report.
    """
    counts = Counts()
    kept, sampled = [], []
    for number in range(blocks):
        part = load_part(folder, number)
        kept.append(np.zeros(len(part.rows), bool))
        sampled.append(np.zeros(len(part.rows), bool))
        for reason, by_axiom in part.left_out.items():
            counts.left_out[reason].update(by_axiom)
        for why, by_axiom in part.skipped.items():
            counts.skipped[why].update(by_axiom)
    for name in plan.axioms:
        own, keys, questions = [], [], []
        for number in range(blocks):
            part = load_part(folder, number)
            own.append(part.of_axiom(name))
            keys.append(part.rows["key"][own[-1]])
            questions.append(part.rows["question"][own[-1]])
        choice = chosen(_joined(keys), _joined(questions), plan.seed, per_question, limits.get(name))
        count(counts, name, choice.left_out)
        if built := int(choice.kept.sum()):
            counts.built[name] = built
        places = np.flatnonzero(choice.kept)
        drawn = np.zeros(len(choice.kept), bool)
        drawn[places[np.argsort(choice.order[places], kind="stable")[:sample]]] = True
        ends = np.cumsum([len(some) for some in keys])[:-1]
        for masks, whole in ((kept, choice.kept), (sampled, drawn)):
            for mask, where, values in zip(masks, own, np.split(whole, ends), strict=True):
                mask[where] = values
    return Selection(kept, sampled, counts)


def _joined(arrays: Sequence[NDArray[np.uint64]]) -> NDArray[np.uint64]:
    return np.concatenate([np.zeros(0, np.uint64), *arrays])


def selected_lines(
    folder: Path, selection: Selection, part: Callable[[Part, NDArray[np.bool_]], None], sample: Callable[[bytes], None]
) -> Iterator[bytes]:
    """Yield the lines of the kept pairs in the order of the blocks.

    Args:
        folder: of the parts.
        selection: which pairs.
        part: is told each part and which of its pairs are kept.
        sample: is told each line that is in the sample.
    """
    for number, (kept, sampled) in enumerate(zip(selection.kept, selection.sampled, strict=True)):
        found = load_part(folder, number)
        part(found, kept)
        with open(lines_file(folder, number), "rb") as file:
            for length, keep, draw in zip(found.rows["bytes"].tolist(), kept.tolist(), sampled.tolist(), strict=True):
                line = file.read(length)
                if draw:
                    sample(line)
                if keep:
                    yield line


def write_lines(path: Path, lines: Iterable[bytes]) -> None:
    """Write pairs, given as JSON lines, to a file of any format that `write_pairs` knows."""
    if path.suffix == ".parquet":
        write_pairs(path, map(parsed_line, lines))
        return
    with open(path, "wb") as plain:
        if path.suffix == ".gz":  # no name and no time in the header: the same lines give the same bytes
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=plain, mtime=0) as packed:
                _write(packed, lines)
        else:
            _write(plain, lines)


def _write(file: IO[bytes] | gzip.GzipFile, lines: Iterable[bytes]) -> None:
    for line in lines:
        file.write(line)


def parsed_line(line: bytes) -> PreferencePair:
    """Return the pair of a JSON line."""
    row: dict[str, Any] = json.loads(line)
    return PreferencePair.from_dict(row)
