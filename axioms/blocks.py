"""Blocks of consecutive threads, or of labelled pairs: what an axiom sees at once, and what a worker does at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TypeVar

from axioms.human import check_label
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import Row, read_pairs, read_rows
from prefmodel.types import PreferencePair, Thread

SIZE = 10_000
"""Threads of a block by default: some 100 MB with what the axioms make of them, and neighbours enough for each."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive threads, or labelled pairs, of one source.

    Args:
        number: counts the blocks of a run from 0; it seeds what is drawn at random in the block.
        threads: questions with answers.
        labels: pairs labelled by humans.
    """

    number: int
    threads: Sequence[Thread] = ()
    labels: Sequence[PreferencePair] = ()


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A block as it was read; its threads are parsed where they are worked on.

    Args:
        number: as in `Block`.
        path: the file.
        rows: (line number from 1, row) of each thread.
        labels: as in `Block`.
    """

    number: int
    path: Path
    rows: Sequence[tuple[int, Row]] = ()
    labels: Sequence[PreferencePair] = ()

    def parse(self) -> Block:
        """Return the block; raise FileFormatError naming file and line where a row is no valid thread."""
        threads = []
        for line, row in self.rows:
            try:
                threads.append(Thread.from_dict(row))
            except InputError as error:
                raise FileFormatError(f"{self.path}, line {line}: {error}") from None
        return Block(self.number, threads, self.labels)


def is_labelled(path: str | Path) -> bool | None:
    """Tell whether a file holds labelled pairs (True) or threads (False) by its first row; None for an empty file.

    Raises:
        FileFormatError: the file is missing or has another format.
    """
    first = next((row for _, row in read_rows(path)), None)
    return None if first is None else "chosen" in first


def read_blocks(paths: Iterable[Path], size: int = SIZE) -> Iterator[RawBlock]:
    """Read files and yield their blocks one at a time; a block never crosses from one file to the next.

    Raises:
        FileFormatError: a file is missing, has another format, or a line is not a JSON object, or a pair no label.
    """
    numbers = count()
    for path in paths:
        if is_labelled(path):
            for labels in chunks(read_pairs(path, check_label), size):
                yield RawBlock(next(numbers), path, labels=labels)
        else:
            for rows in chunks(read_rows(path), size):
                yield RawBlock(next(numbers), path, rows)


def cut(threads: Iterable[Thread], labels: Iterable[PreferencePair], size: int = SIZE) -> Iterator[Block]:
    """Yield blocks of threads, then of labels.

    >>> threads = [Thread(f"demo/{i}", "demo", "Why?", ()) for i in range(5)]
    >>> [(block.number, len(block.threads)) for block in cut(threads, [], size=2)]
    [(0, 2), (1, 2), (2, 1)]
    """
    numbers = count()
    for some in chunks(threads, size):
        yield Block(next(numbers), threads=some)
    for labelled in chunks(labels, size):
        yield Block(next(numbers), labels=labelled)


def chunks(rows: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` consecutive rows; the last may have fewer."""
    rows = iter(rows)
    while some := list(islice(rows, size)):
        yield some
