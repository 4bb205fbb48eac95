"""What is to be scored: a file, a folder or a glob of files, or standard input."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from prefmodel.errors import FileFormatError, InputError, shown
from prefmodel.files import format_of, sha256

FORMATS = (".jsonl", ".jsonl.gz", ".csv", ".tsv", ".parquet")
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """One file of rows, or standard input.

    Args:
        path: where it lies; "-" is standard input.
        suffix: one of `FORMATS`.

    >>> Source("data/rows.jsonl.gz", ".jsonl.gz").name
    'data/rows.jsonl.gz'
    """

    path: str
    suffix: str

    @property
    def name(self) -> str:
        """What messages call it."""
        return "standard input" if self.path == STDIN else self.path

    @property
    def bytes(self) -> int:
        """Size of the file; 0 for standard input."""
        return 0 if self.path == STDIN else Path(self.path).stat().st_size

    def facts(self) -> dict[str, Any]:
        """Return what tells this content from another: format, and SHA-256 in hex (none for standard input).

        Raises:
            FileFormatError: the file cannot be read.
        """
        if self.path == STDIN:
            return {"suffix": self.suffix, "sha256": None}
        try:
            return {"suffix": self.suffix, "sha256": sha256(self.path)}
        except OSError as error:
            raise FileFormatError(f"{self.path}: {error.strerror}") from None


def find_sources(
    where: str | Path, stdin_format: str = ".jsonl", without: Sequence[Path] = ()
) -> tuple[list[Source], list[str]]:
    """Return the files that a name stands for, sorted, and the names of what lies beside them and is not read.

    Args:
        where: a file; a folder, which stands for the files in it and below; a glob such as `data/*.csv`; or "-".
        stdin_format: one of `FORMATS` that are text, for "-".
        without: files that a folder or a glob leaves out, as the output that lies in the same folder. Hidden files
            of a folder are left out too; a glob has them where it names the dot. So are lists of bad rows, and what is
            in folders of runs that are not finished.

    Raises:
        FileFormatError: there is no such file, or its format is unknown, or a folder cannot be read.
        InputError: `stdin_format` is not what is allowed.
    """
    where = str(where)
    if where == STDIN:
        texts = [name for name in FORMATS if name in (".jsonl", ".csv", ".tsv")]
        if stdin_format not in texts:
            raise InputError(f"the format of standard input is {shown(stdin_format)}; allowed: {', '.join(texts)}")
        return [Source(STDIN, stdin_format)], []
    path = Path(where)
    if path.is_file():
        return [Source(where, format_of(where, FORMATS))], []
    if where and path.is_dir():
        found = _files_below(path)
    elif any(mark in where for mark in "*?["):
        found = [Path(name) for name in glob(where, recursive=True) if not os.path.isdir(name)]
    else:
        kind = "not a file or folder" if where and path.exists() else "no such file"
        raise FileFormatError(f"{where or shown(where)}: {kind}")
    apart = {p.resolve() for p in without}
    files = sorted(p for p in found if not _inside(p.resolve(), apart) and not _of_a_run(p))
    # Only a regular file: a pipe would never end, and a link may lead nowhere.
    known = {str(p): None for p in files if str(p).endswith(FORMATS) and p.is_file()}
    if not known:
        raise FileFormatError(f"{where}: no file in it ends with {', '.join(FORMATS)}")
    return [Source(name, format_of(name, FORMATS)) for name in known], [str(p) for p in files if str(p) not in known]


def _files_below(folder: Path) -> list[Path]:
    def stop(error: OSError) -> None:
        raise FileFormatError(f"{error.filename}: {error.strerror}")

    found = [Path(above, name) for above, _, names in os.walk(folder, onerror=stop) for name in names]
    return [p for p in found if not any(part.startswith(".") for part in p.relative_to(folder).parts)]


def _of_a_run(path: Path) -> bool:
    return path.name.endswith(".errors.jsonl") or any(part.endswith(".progress") for part in path.parts[:-1])


def _inside(path: Path, apart: set[Path]) -> bool:
    return path in apart or any(parent in apart for parent in path.parents)
