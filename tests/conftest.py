"""Fixtures that the tests share."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from prefmodel.batch.run import Options, score_files
from prefmodel.cli import main
from prefmodel.errors import BundleError
from prefmodel.model import PreferenceModel
from tests.batch import bad_rows, read
from tests.command import fails
from tests.hostile import contents
from tests.tiny import build_bundle


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole bundle; tests that damage one take `copied_bundle`."""
    return build_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def copied_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "copied"))


@pytest.fixture(scope="session")
def model(tiny_bundle: Path) -> PreferenceModel:
    return PreferenceModel.from_pretrained(tiny_bundle, threads=1)


@pytest.fixture
def run(tiny_bundle: Path) -> Callable[..., Result]:
    """Run a command in this process with the tiny bundle; stdout and stderr are kept apart."""

    def run(*arguments: object, model: Path = tiny_bundle) -> Result:
        return CliRunner().invoke(main, [*map(str, arguments), "--model", str(model)])

    return run


@pytest.fixture
def score(model: PreferenceModel, tmp_path: Path) -> Callable[..., Any]:
    """Score a file and return (finished rows, bad rows, summary)."""

    def score(path: Path, output: str = "out.jsonl", **options: Any) -> Any:
        summary = score_files(model, path, tmp_path / output, Options(**options))
        return read(tmp_path / output), bad_rows(tmp_path / output), summary

    return score


@pytest.fixture
def refused(run: Callable[..., Result]) -> Callable[..., None]:
    """Check that a bundle is refused by `BundleError` and by one line of the command, and is left as it was."""

    def refused(folder: Path, *messages: str) -> None:
        before = contents(folder)
        with pytest.raises(BundleError) as caught:
            PreferenceModel.from_pretrained(folder)
        text = str(caught.value)
        assert text.isprintable()  # hence one line
        for message in messages:
            assert message in text
        result = run("score", "--question", "Why?", "--answer", "Because.", model=folder)
        fails(result, *messages)
        assert contents(folder) == before

    return refused
