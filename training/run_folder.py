"""The folder of a run: what tells it from another run, its pairs, its log, and the record of its result."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from prefmodel.errors import InputError
from prefmodel.files import check_above, read_pairs, whole_file, write_pairs
from training.data import RunData
from training.recipe import Recipe

RECIPE, DATA, LOG, RESULT, BEST, OLD = "recipe.json", "data.json", "log.jsonl", "run.json", "best", "best.old"
BUNDLE_TRAINING = "bundle-training.json"
"""What a bundle recorded of its training, in a checkpoint that was read out of it."""
LOCK = "lock"
DISTIL = "distil"
"""Folder of the teachers' scores; all that there is of a run that was stopped while it made them."""
PAIRS = {"train": "pairs/train.jsonl.gz", "dev": "heldout/dev.jsonl.gz", "test": "heldout/test.jsonl.gz"}
"""Where a run keeps its pairs: it goes on with them, whatever becomes of the files that they were built from."""


class RunFolder:
    """A new folder, or one in which the same run was stopped. It is written to from `begin` on.

    Args:
        path: of the folder.
        recipe: of the run.

    Raises:
        InputError: the folder holds another run, a finished one, or anything else, or a file stands above it.

    >>> import tempfile
    >>> folder = RunFolder(tempfile.mkdtemp() + "/run", Recipe(base="some/encoder"))
    >>> folder.path.exists()
    False
    """

    def __init__(self, path: str | Path, recipe: Recipe):
        self.path = Path(path)
        self._recipe = _as_json(recipe.to_dict())
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"output is {path}; allowed: a folder")
        check_above("output", self.path)
        if (self.path / RESULT).exists():
            raise InputError(f"output is {path}, which holds a finished run; allowed: a new folder")
        if (self.path / RECIPE).exists():
            if (self.path / RECIPE).read_text() != self._recipe:
                raise InputError(f"output is {path}, where a run with another recipe began; allowed: a new folder")
        elif self.path.exists() and any(path.name not in (DISTIL, LOCK) for path in self.path.iterdir()):
            raise InputError(f"output is {path}, which is not empty; allowed: a new folder")

    @contextmanager
    def held(self, main: bool) -> Iterator[None]:
        """Keep other runs from training in this folder; of a run's processes the main one does.

        Raises:
            InputError: another run does.
        """
        if not main:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise InputError(f"output is {self.path}, where another process trains; allowed: a new folder") from None
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open files
                (self.path / LOCK).unlink()
            lock.release()
            with suppress(OSError):  # there is a run in it
                self.path.rmdir()

    def begin(self, run: RunData) -> None:
        """Write the recipe, the facts of the data and the pairs."""
        self.path.mkdir(parents=True, exist_ok=True)
        _write(self.path / RECIPE, self._recipe)
        for name, part in (("train", run.train), ("dev", run.dev), ("test", run.test)):
            path = self.path / PAIRS[name]
            path.parent.mkdir(exist_ok=True)
            write_pairs(path, part)
        _write(self.path / DATA, _as_json(run.report))  # last: with it the pairs are whole

    def begun(self) -> RunData | None:
        """Return the pairs of a run that has begun here, or None."""
        if not (self.path / DATA).exists():
            return None
        train, dev, test = ([*read_pairs(self.path / name)] for name in PAIRS.values())
        return RunData(train, dev, test, json.loads((self.path / DATA).read_text()))

    def rewind_log(self, step: int) -> None:
        """Drop the log's lines of updates after `step`, and what a kill left of a line: they are done again."""
        path = self.path / LOG
        if path.exists():
            lines = path.read_text().splitlines()[:step]  # one line an update
            _write(path, "".join(f"{line}\n" for line in lines))

    def log(self, entry: Mapping[str, Any]) -> None:
        """Append one line to the log."""
        with (self.path / LOG).open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def entries(self) -> list[dict[str, Any]]:
        """Return the lines of the log."""
        path = self.path / LOG
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def put_best(self, fresh: Path) -> None:
        """Put a checkpoint, written beside it, into the place of the best one so far."""
        best, old = self.path / BEST, self.path / OLD
        if best.exists():
            os.replace(best, old)
        os.replace(fresh, best)
        shutil.rmtree(old, ignore_errors=True)

    def settle_best(self) -> None:
        """Put the best checkpoint back where a kill in the middle of `put_best` left none."""
        best, old = self.path / BEST, self.path / OLD
        if old.exists() and not best.exists():
            os.replace(old, best)
        shutil.rmtree(old, ignore_errors=True)

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the record of the result, which makes the run a finished one."""
        _write(self.path / RESULT, _as_json(facts))


def stopped_recipe(path: str | Path) -> Recipe:
    """Return the recipe of a run that was stopped; raise InputError when the folder holds none, or a finished one."""
    if (Path(path) / RESULT).exists():
        raise InputError(f"--resume is {path}, which holds a finished run; allowed: the folder of one that was stopped")
    try:
        return Recipe.from_dict(json.loads((Path(path) / RECIPE).read_text()))
    except (OSError, ValueError) as error:
        text = f"--resume is {path}, which holds no run: {' '.join(str(error).split())}; allowed: a run's folder"
        raise InputError(text) from None


def _as_json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text)
