"""The folder of a run: what tells it from another run, its log, and the record of its result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefmodel.errors import InputError
from prefmodel.files import whole_file, write_pairs
from training.data import RunData
from training.recipe import Recipe

RECIPE, DATA, LOG, RESULT = "recipe.json", "data.json", "log.jsonl", "run.json"


class RunFolder:
    """A new folder, or one in which the same run was stopped. It is written to from `begin` on.

    Args:
        path: of the folder.
        recipe: of the run.

    Raises:
        InputError: the folder holds another run, a finished one, or anything else.

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
        if (self.path / RESULT).exists():
            raise InputError(f"output is {path}, which holds a finished run; allowed: a new folder")
        if (self.path / RECIPE).exists():
            if (self.path / RECIPE).read_text() != self._recipe:
                raise InputError(f"output is {path}, where a run with another recipe began; allowed: a new folder")
        elif self.path.exists() and any(self.path.iterdir()):
            raise InputError(f"output is {path}, which is not empty; allowed: a new folder")

    def begin(self, run: RunData) -> None:
        """Write the recipe, the facts of the data and the held-out pairs; in a stopped run, check the data.

        Raises:
            InputError: the run began with other data.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        facts = _as_json({name: run.report[name] for name in ("files", "pairs")})
        if not (self.path / RECIPE).exists():
            _write(self.path / RECIPE, self._recipe)
        if not (self.path / DATA).exists():
            _write(self.path / DATA, facts)
        elif (self.path / DATA).read_text() != facts:
            raise InputError(f"output is {self.path}, where a run with other data began; allowed: a new folder")
        (self.path / "heldout").mkdir(exist_ok=True)
        for name, part in (("dev", run.dev), ("test", run.test)):
            write_pairs(self.path / "heldout" / f"{name}.jsonl.gz", part)

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

    def finish(self, facts: Mapping[str, Any]) -> None:
        """Write the record of the result, which makes the run a finished one."""
        _write(self.path / RESULT, _as_json(facts))


def _as_json(value: object) -> str:
    return json.dumps(value, indent=1) + "\n"


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text)
