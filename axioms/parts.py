"""What a run of `prefmodel pairs` has finished, on disk: a run that was killed goes on from there."""

from __future__ import annotations

import json
import os
import shutil
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from axioms.build import Counts
from axioms.duplicates import pair_key, question_key
from prefmodel.errors import FileFormatError, InputError, shown
from prefmodel.files import json_line
from prefmodel.types import PreferencePair

FORMAT = 2
_COLUMNS = ("key", "question", "chosen", "rejected", "bytes", "kind")
ROW = np.dtype([(name, "<u8" if name in ("key", "question") else "<u4") for name in _COLUMNS])
"""What is kept of a pair beside its text: two hashes, characters of the sides, bytes of its line, index of its kind."""


@dataclass(frozen=True, slots=True)
class Part:
    """What a block gave.

    Args:
        rows: one of `ROW` for each pair, [n].
        kinds: (axiom, source, recipe) of pairs, the recipe "" where there is none.
        left_out, skipped: pairs that were left out or did not come about, by reason and axiom; see `Counts`.
        size: threads or labels of the block.
    """

    rows: NDArray[Any]
    kinds: list[tuple[str, str, str]]
    left_out: dict[str, dict[str, int]]
    skipped: dict[str, dict[str, int]]
    size: int

    def of_axiom(self, name: str) -> NDArray[np.bool_]:
        """Return which rows are of an axiom, bool [n]."""
        ours: NDArray[np.bool_] = np.array([kind[0] == name for kind in self.kinds], bool)[self.rows["kind"]]
        return ours


class Parts:
    """The folder beside an output with the finished blocks of a run.

    A part is two files: the pairs as JSON lines, and `.npz` with what is counted of them, which is put in place last.
    Only one process at a time works on a folder.

    Args:
        output: the file that the run writes.
        run: what tells this run from others, as JSON values; the parts of another run are removed.

    Raises:
        InputError: the folder is of something else, or another process works on it.
        FileFormatError: the folder of the output does not exist.
    """

    def __init__(self, output: Path, run: Mapping[str, Any]):
        if not output.parent.is_dir():
            raise FileFormatError(f"{output}: the folder {output.parent} does not exist")
        self.folder = output.with_name(f"{output.name}.parts")
        self.told = ""
        """What the user should know: that a run goes on, or why it begins anew."""
        if self.folder.exists() and not _is_ours(self.folder):
            raise InputError(f"{self.folder}: is not of prefmodel; allowed: another name for the output")
        self.folder.mkdir(exist_ok=True)
        self._lock = FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"{output}: another process is writing it") from None
        self._take_up(json.loads(json.dumps({"format": FORMAT, **run})))

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()
        if not any(self.folder.glob("*.npz")):
            shutil.rmtree(self.folder, ignore_errors=True)

    def done(self, number: int) -> bool:
        """Tell whether a block is finished."""
        return (self.folder / f"{number:06}.npz").exists()

    def load(self, number: int) -> Part:
        """Return what a finished block gave, but for the texts."""
        return load_part(self.folder, number)

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        (self.folder / "run.json").unlink(missing_ok=True)  # first: what a kill then leaves is of no run
        shutil.rmtree(self.folder, ignore_errors=True)

    def _take_up(self, run: dict[str, Any]) -> None:
        path = self.folder / "run.json"
        try:
            known = json.loads(path.read_bytes())
        except (OSError, ValueError):
            known = None
        finished = len(list(self.folder.glob("*.npz")))
        if known == run:
            self.told = f"going on: {finished} blocks are finished" if finished else ""
            return
        if known is not None and finished:
            self.told = f"beginning anew: {_difference(known, run)}"
        for file in self.folder.iterdir():
            if file.name != "lock":
                file.unlink()
        _write_whole(path, json.dumps(run, indent=1).encode())


def write_part(folder: Path, number: int, size: int, pairs: Iterable[PreferencePair], counts: Counts) -> int:
    """Write what a block of `size` threads gave and return the number of pairs; the part appears whole or not at all.

    Args:
        folder: of the parts.
        number: of the block.
        size: threads or labels of the block.
        pairs: what it gave; taken one at a time.
        counts: what was left out or skipped, complete when `pairs` is exhausted.
    """
    kinds: dict[tuple[str, str, str], int] = {}
    columns = [array("Q") for _ in _COLUMNS]
    temporary = folder / f"{number:06}.tmp"
    with open(temporary, "wb") as file:
        for pair in pairs:
            line = json_line(pair.to_dict())
            file.write(line)
            kind = kinds.setdefault((pair.axiom, pair.source, str(pair.provenance.get("recipe", ""))), len(kinds))
            lengths = len(pair.chosen), len(pair.rejected), len(line)
            for column, value in zip(
                columns, (pair_key(pair), question_key(pair.question), *lengths, kind), strict=True
            ):
                column.append(value)
        _to_disk(file)
    os.replace(temporary, folder / f"{number:06}.jsonl")
    rows = np.zeros(len(columns[0]), ROW)
    for name, column in zip(_COLUMNS, columns, strict=True):
        rows[name] = column
    known = {"kinds": list(kinds), "left_out": counts.left_out, "skipped": counts.skipped, "size": size}
    about = json.dumps(known).encode()
    with open(temporary, "wb") as file:
        np.savez(file, rows=rows, about=np.frombuffer(about, np.uint8))
        _to_disk(file)
    os.replace(temporary, folder / f"{number:06}.npz")
    return len(rows)


def load_part(folder: Path, number: int) -> Part:
    """Return what a finished block gave, but for the texts."""
    with np.load(folder / f"{number:06}.npz") as arrays:
        about = json.loads(arrays["about"].tobytes())
        kinds = [tuple(kind) for kind in about["kinds"]]
        return Part(arrays["rows"], kinds, about["left_out"], about["skipped"], about["size"])


def lines_file(folder: Path, number: int) -> Path:
    """Return the file with the pairs of a finished block, JSON lines."""
    return folder / f"{number:06}.jsonl"


def _is_ours(folder: Path) -> bool:
    names = {"lock", "run.json", "run.tmp"}
    endings = {".npz", ".jsonl", ".tmp"}
    return folder.is_dir() and all(
        p.name in names or (p.stem.isdigit() and p.suffix in endings) or p.name.startswith("whole")
        for p in folder.iterdir()
    )


def _difference(known: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    """Return in words what tells two runs apart."""
    told = []
    for name in dict.fromkeys((*known, *run)):
        was, now = known.get(name), run.get(name)
        if was != now:
            short = all(isinstance(value, str | int | None) for value in (was, now)) and name.startswith("--")
            told.append(f"{name} was {shown(was)} and is {shown(now)}" if short else f"{name} changed")
    return ", ".join(told)


def _write_whole(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with open(temporary, "wb") as file:
        file.write(data)
        _to_disk(file)
    os.replace(temporary, path)


def _to_disk(file: Any) -> None:
    file.flush()
    os.fsync(file.fileno())
