"""What a run has finished, on disk: a run that was killed goes on from there, and no row is lost or doubled."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prefmodel.errors import FileFormatError, InputError, shown

FORMAT = 1
BATCH_TOKENS = "the tokens of a batch"
"""A run that goes on keeps what it began with of this: it changes where chunks end, and the last digits of scores."""
SYNC_SECONDS = 1.0
"""What was finished longer ago than this survives a power cut, and the kill of the process."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a run has come.

    Args:
        source: index of the source that is read.
        records: records of it that are done.
        digest: of its text up to there, as in `Chunk`.
        rows: rows that were scored, of all sources.
        kept: those of them that are in the output.
        bad: rows that could not be scored.
        cut: rows of which the model saw a question or an answer only in part.
        row_bytes: length of the kept rows on disk.
        error_bytes: length of the bad rows on disk.
        stopped_by: the source that could not be read on, or that has the bad row at which a strict run stopped.
    """

    source: int = 0
    records: int = 0
    digest: str = ""
    rows: int = 0
    kept: int = 0
    bad: int = 0
    cut: int = 0
    row_bytes: int = 0
    error_bytes: int = 0
    stopped_by: int | None = None


def led_to(output: Path) -> Path:
    """Return the file that an output's name leads to: a link stays one, and what it leads to is written."""
    return output.resolve() if output.is_symlink() else output


def progress_folder(output: Path) -> Path:
    """Return the folder beside an output that has what is finished of it.

    >>> progress_folder(Path("scored.jsonl")).name
    'scored.jsonl.progress'
    """
    output = led_to(output)
    return output.with_name(f"{output.name}.progress")


def errors_file(output: Path) -> Path:
    """Return the file beside an output that has the rows which could not be scored.

    >>> errors_file(Path("scored.jsonl")).name
    'scored.jsonl.errors.jsonl'
    """
    output = led_to(output)
    return output.with_name(f"{output.name}.errors.jsonl")


class Journal:
    """The folder of a run that is under way.

    `rows` and `errors` only grow, `journal.json` says how much of them counts. The journal is replaced as a whole,
    after what it speaks of has reached the disk; what lies behind the lengths in it is cut off when a run goes on. Only
    one process at a time works on a folder.

    Args:
        output: the file that the run writes.
        run: what tells this run from others, as JSON values; `sources` is a list of `Source.facts`.
        restart: forget what was finished.

    Raises:
        InputError: the folder is of another run, or another process works on it.
        FileFormatError: the folder or the output may not be written, or the disk is full.
    """

    def __init__(self, output: Path, run: Mapping[str, Any], restart: bool = False):
        self.output = output = led_to(output)
        self.folder = progress_folder(output)
        self.errors = errors_file(output)
        self.run = dict(run)
        self.place = Place()
        self.ready: str | None = None
        """Name of the file in the folder that is the whole output."""
        self._files: list[FileIO] = []
        self._synced = time.monotonic()
        if not output.parent.is_dir():
            raise FileFormatError(f"{output}: the folder {output.parent} does not exist")
        if output.is_dir():
            raise FileFormatError(f"{output}: is a folder; allowed: the name of a file")
        with self._told():
            _check_ours(self.folder, self.errors)
            self.folder.mkdir(exist_ok=True)
            self._lock = FileLock(self.folder / "lock")
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise InputError(f"{output}: another process is writing it") from None
        try:
            if not restart:
                self._take_up()
            if not self.ready:
                self._open()
        except BaseException:
            self._lock.release()
            raise

    def append(self, rows: bytes, errors: bytes, place: Place) -> None:
        """Add finished rows and bad rows; `place` is how far the run has come with them, but for the lengths."""
        with self._told():
            for file, data in zip(self._files, (rows, errors), strict=True):
                left = memoryview(data)
                while left:
                    left = left[file.write(left) :]
            lengths = self.place.row_bytes + len(rows), self.place.error_bytes + len(errors)
            self.place = replace(place, row_bytes=lengths[0], error_bytes=lengths[1])
            if time.monotonic() - self._synced >= SYNC_SECONDS:
                self._sync()

    def stop(self, source: int) -> None:
        """Note which source made the run stop: it may be mended before the run goes on."""
        self.place = replace(self.place, stopped_by=source)

    def finish(self, convert: Callable[[Path, Path], list[str]] | None) -> list[str]:
        """Put the output and the bad rows in place and remove the folder; return what `convert` has to tell.

        Args:
            convert: makes the output out of the rows, both given as paths; None where the rows are the output.
        """
        told: list[str] = []
        with self._told():
            self._sync()
            if convert:
                whole = self.folder / "whole"
                part = whole.with_suffix(".part")
                told = convert(self.folder / "rows", part)
                _to_disk(part)
                os.replace(part, whole)
            self.ready = "whole" if convert else "rows"
            self._write()
            self._publish()
        return told

    def close(self) -> None:
        """Keep what is finished and let go of the folder; one without a row that was scored is removed."""
        if not self.ready:
            with suppress(OSError):  # the disk may be full: then the journal of before counts
                self._cut()
                self._sync()
            if not self.place.rows:
                shutil.rmtree(self.folder, ignore_errors=True)
        self._let_go()

    def _take_up(self) -> None:
        """Go on from the journal, if there is one. A run that was killed while it put its output in place is ended."""
        path = self.folder / "journal.json"
        if not path.exists():
            return
        try:
            known = json.loads(path.read_bytes())
            version, run, place, ready = (known[name] for name in ("format", "run", "place", "ready"))
            place = Place(**place)
        except (OSError, ValueError, KeyError, TypeError):
            raise InputError(f"{path}: damaged; start over with --restart") from None
        if version != FORMAT:
            raise InputError(f"{path}: format is {shown(version)}; allowed: {FORMAT}; start over with --restart")
        difference = _difference(run, self.run, place.stopped_by)
        if ready:
            self.place, self.ready = place, ready
            with self._told():
                self._publish()
            if difference or not self.output.exists():  # that run is done; this one begins
                self.__init__(self.output, self.run)  # type: ignore[misc]
        elif difference:
            raise InputError(
                f"{self.folder}: has {place.rows} finished rows of another run, {difference}; "
                "repeat that command to finish it, or start over with --restart"
            )
        else:
            self.place = replace(place, stopped_by=None)
            self.run |= {name: run[name] for name in (BATCH_TOKENS,) if name in run}

    def _open(self) -> None:
        with self._told():
            self._files = [FileIO(self.folder / name, "ab") for name in ("rows", "errors")]
            self._cut()
            self._sync()
            _to_disk(self.folder.parent)

    def _cut(self) -> None:
        """Cut off what lies behind the last place."""
        for file, length in zip(self._files, (self.place.row_bytes, self.place.error_bytes), strict=True):
            if os.fstat(file.fileno()).st_size < length:
                raise InputError(f"{self.folder}: damaged; start over with --restart")
            file.truncate(length)

    def _sync(self) -> None:
        for file in self._files:
            os.fsync(file.fileno())
        self._write()
        self._synced = time.monotonic()

    def _write(self) -> None:
        state = {"format": FORMAT, "run": self.run, "place": asdict(self.place), "ready": self.ready}
        part = self.folder / "journal.part"
        part.write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        _to_disk(part)
        os.replace(part, self.folder / "journal.json")
        _to_disk(self.folder)

    def _publish(self) -> None:
        ready = self.folder / str(self.ready)
        self._close_files()  # Windows moves no open files
        if ready.exists():
            errors = self.folder / "errors"
            if not self.place.bad:
                self.errors.unlink(missing_ok=True)
            elif errors.exists():  # a run that was killed here has moved them already
                os.replace(errors, self.errors)
            if self.output.exists():
                shutil.copymode(self.output, ready)
            os.replace(ready, self.output)
            _to_disk(self.output.parent)
        with suppress(OSError):  # rows may take a while: until they are gone the journal tells of the end
            for name in ("rows", "errors"):
                (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._let_go()

    def _close_files(self) -> None:
        for file in self._files:
            file.close()

    def _let_go(self) -> None:
        self._close_files()
        self._lock.release()

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            kept = f"; {self.place.rows} finished rows are kept: mend this and repeat the command"
            told = f"{error.filename or self.folder}: {error.strerror}"
            raise FileFormatError(told + (kept if self.place.rows else "")) from None


def _check_ours(folder: Path, errors: Path) -> None:
    """Raise InputError if the names that a run uses belong to something else, which it would remove."""
    names = {"lock", "journal.json", "journal.part", "rows", "errors", "whole", "whole.part"}
    if folder.exists() and not (folder.is_dir() and {path.name for path in folder.iterdir()} <= names):
        raise InputError(f"{folder}: is not of prefmodel; allowed: another name for the output")
    if errors.exists():
        try:
            with open(errors, encoding="utf-8") as file:
                line = file.readline()
            ours = not line or json.loads(line).keys() == {"file", "line", "reason", "row"}
        except (OSError, ValueError, AttributeError):
            ours = False
        if not ours:
            raise InputError(f"{errors}: is not of prefmodel; allowed: another name for the output")


def _difference(known: Mapping[str, Any], run: Mapping[str, Any], stopped_by: int | None) -> str:
    """Return in words what tells two runs apart, or ""."""
    sources = [(s if i != stopped_by else None) for i, s in enumerate(known["sources"])]
    now = [(s if i != stopped_by else None) for i, s in enumerate(run["sources"])]
    if sources != now:
        return "the input has changed"
    same = ("sources", BATCH_TOKENS)
    names = [name for name in dict.fromkeys((*known, *run)) if name not in same and known.get(name) != run.get(name)]
    return ", ".join(f"{name} was {shown(known.get(name))} and is {shown(run.get(name))}" for name in names)


def _to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)  # Windows syncs no file that is read only
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
