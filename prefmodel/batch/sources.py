"""What is to be scored: a file, a folder or a glob of files, or standard input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

from prefmodel.errors import FileFormatError, InputError, shown
from prefmodel.files import sha256

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


def suffix_of(path: str | Path, allowed: Sequence[str] = FORMATS) -> str:
    """Return which of the allowed endings a name has; raise FileFormatError for another.

    >>> suffix_of("rows.jsonl.gz")
    '.jsonl.gz'
    """
    for suffix in allowed:
        if str(path).endswith(suffix):
            return suffix
    raise FileFormatError(f"{path}: unknown file type; allowed: {', '.join(allowed)}")


def find_sources(
    where: str | Path, stdin_format: str = ".jsonl", without: Sequence[Path] = ()
) -> tuple[list[Source], list[str]]:
    """Return the files that a name stands for, sorted, and those beside them that have another format.

    Args:
        where: a file; a folder, which stands for the files in it and below; a glob such as `data/*.csv`; or "-".
        stdin_format: one of `FORMATS` that are text, for "-".
        without: files that a folder or a glob leaves out, as the output that lies in the same folder. Hidden files
            are left out too.

    Raises:
        FileFormatError: there is no such file, or its format is unknown.
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
        return [Source(where, suffix_of(where))], []
    if path.is_dir():
        found = sorted(path.rglob("*"))
    elif any(mark in where for mark in "*?["):
        found = sorted(Path(name) for name in glob(where, recursive=True))
    else:
        raise FileFormatError(f"{where}: {'not a file or folder' if path.exists() else 'no such file'}")
    hidden_below = path if path.is_dir() else Path()
    apart = {p.resolve() for p in without}
    files = [p for p in found if p.is_file() and not _hidden(p, hidden_below) and not _inside(p.resolve(), apart)]
    known = [p for p in files if str(p).endswith(FORMATS)]
    if not known:
        raise FileFormatError(f"{where}: no file in it ends with {', '.join(FORMATS)}")
    return [Source(str(p), suffix_of(p)) for p in known], [str(p) for p in files if p not in known]


def _hidden(path: Path, base: Path) -> bool:
    parts = path.relative_to(base).parts if path.is_relative_to(base) else path.parts[-1:]
    return any(part.startswith(".") and part not in (".", "..") for part in parts)


def _inside(path: Path, apart: set[Path]) -> bool:
    return path in apart or any(parent in apart for parent in path.parents)
