"""`prefmodel evaluate`: how often a model agrees with labelled pairs, beside the baselines it has to beat."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from prefmodel.baselines import Likeness, bm25, longer, readability
from prefmodel.commands import backend_option, print_text
from prefmodel.cpus import usable_cpus
from prefmodel.encoding import encodable
from prefmodel.errors import FileFormatError, InputError, PrefModelError
from prefmodel.evaluation import FileResult, PooledResult, Scorer, evaluate_pairs, pool, position
from prefmodel.files import format_of, sha256
from prefmodel.model import PreferenceModel
from prefmodel.picture import new_figure
from prefmodel.report import as_json, as_markdown, as_text, write_report
from prefmodel.report_page import as_html
from prefmodel.scorable import scorable_pairs
from prefmodel.sentence_encoder import SentenceEncoder
from prefmodel.splits import SPLITS
from prefmodel.types import PreferencePair, Question

CHUNK = 256
"""Answers that are scored between two signs of progress."""
LOG_SECONDS = 10.0

FORMS: Mapping[str, Callable[[Mapping[str, FileResult], PooledResult, Mapping[str, Any]], str]] = {
    "text": lambda files, pooled, _: as_text(files, pooled),
    "markdown": as_markdown,
    "json": lambda *results: json.dumps(as_json(*results), indent=2, allow_nan=False),
    "html": as_html,
}
"""What `--format` may be, and what writes it."""


@click.command()
@click.argument("pairs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", metavar="BUNDLE", help="Folder, or owner/name on the Hub; by default the package's own.")
@click.option("--compare", metavar="BUNDLE", multiple=True, help="Another bundle to compare with; may be repeated.")
@click.option(
    "--encoder",
    metavar="ENCODER",
    help="Sentence encoder, a folder or Hub name with an ONNX graph: adds a baseline, how like an answer is to its "
    "question, by the first 128 tokens of each.",
)
@click.option("--report", type=click.Path(path_type=Path), help="Folder for results.json and results.md.")
@click.option(
    "--format", "form", type=click.Choice(list(FORMS)), default="text", show_default=True, help="Of what is printed."
)
@click.option("--split", type=click.Choice(SPLITS), help="Keep only the pairs whose question is in this split.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the intervals.")
@click.option("--threads", type=click.IntRange(min=1), help="CPU threads; by default all that are usable.")
@backend_option
def evaluate(
    pairs: tuple[Path, ...],
    model: str | None,
    compare: tuple[str, ...],
    encoder: str | None,
    report: Path | None,
    form: str,
    split: str | None,
    seed: int,
    threads: int | None,
    backend: str | None,
) -> None:
    """Compare a model with the labels of the pairs in files.

    Shows for each file how often the preferred answer scores higher, on all pairs and on those of about equal length,
    beside the longer answer, BM25, the more readable answer and other models. Intervals are 95% bootstraps over
    questions. Every file is read and checked before the first is scored. The format html is one page with tables and
    pictures.
    """
    paths = _by_name(pairs)
    files = {name: _read(path, split) for name, path in paths.items()}
    if report is not None:
        _make_folder(report)
    models = {
        name: PreferenceModel.from_pretrained(bundle, threads=threads, backend=backend)
        for name, bundle in _bundles(model, compare)
    }
    baselines: dict[str, Scorer] = {"longer": longer, "bm25": bm25, "readability": readability}
    if encoder is not None:
        baselines["embedding"] = Likeness(SentenceEncoder(encoder, threads=threads or usable_cpus()))
    bm25([], [])  # says now, not after an hour, that bm25s is missing
    if form == "html":
        new_figure("the format html", "evaluate")
    temperatures = {name: m.bundle.temperature for name, m in models.items()}
    about: dict[str, Any] = {
        "seed": seed,
        "split": split,
        "models": {name: _model_facts(m) for name, m in models.items()},
        "files": {name: {"path": str(path), "sha256": sha256(path)} for name, path in paths.items()},
    }
    results: dict[str, FileResult] = {}
    moved: dict[str, float] = {}
    try:
        for name, kept in files.items():
            results[name] = _evaluate(name, kept, models, baselines, seed)
            for key, one in models.items():
                moved[key] = max(moved.get(key, 0.0), position(one, kept))
    finally:  # whatever stops the work, what is done is shown and kept
        if results:
            about["unfinished"] = unfinished = [name for name in files if name not in results]
            if unfinished:
                click.echo(f"not evaluated: {', '.join(unfinished)}", err=True)
            pooled = pool(list(results.values()), seed, temperatures, moved)
            try:  # neither is lost where the other cannot be written
                if report is not None:
                    write_report(report, results, pooled, about)
            finally:
                print_text(FORMS[form](results, pooled, about))


class Reading:
    """A model as a scorer that remembers what it did not read."""

    def __init__(self, model: PreferenceModel):
        self._model = model
        self._cut: dict[tuple[Question, str], int] = {}

    def __call__(self, questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        """Return the score of each answer, float32 [n]."""
        found = self._model.score_batch(questions, answers)
        self._cut.update(zip(zip(questions, answers, strict=True), found.answer_cut.tolist(), strict=True))
        return found.scores

    def cut(self, question: Question, answer: str) -> int:
        """Return how many tokens of an answer that was scored were not read."""
        return self._cut[question, answer]


class Progress:
    """A scorer that asks another one in chunks and shows how far it is: a bar on a terminal, else lines on stderr."""

    def __init__(self, scorer: Scorer, label: str):
        self._scorer = scorer
        self._label = label

    def __call__(self, questions: Sequence[Question], answers: Sequence[str]) -> NDArray[np.float32]:
        """Return the score of each answer, float32 [n]."""
        scores = np.zeros(len(answers), np.float32)
        shown = time.monotonic()
        with tqdm(total=len(answers), desc=self._label, unit="answer", disable=not sys.stderr.isatty()) as bar:
            for start in range(0, len(answers), CHUNK):
                end = min(start + CHUNK, len(answers))
                scores[start:end] = self._scorer(questions[start:end], answers[start:end])
                bar.update(end - start)
                if bar.disable and (end == len(answers) or time.monotonic() - shown > LOG_SECONDS):
                    click.echo(f"{self._label}: {end} of {len(answers)} answers", err=True)
                    shown = time.monotonic()
        return scores


def _evaluate(
    name: str,
    pairs: Sequence[PreferencePair],
    models: Mapping[str, PreferenceModel],
    baselines: Mapping[str, Scorer],
    seed: int,
) -> FileResult:
    readers = {key: Reading(model) for key, model in models.items()}
    first, *others = readers
    ordered: dict[str, Scorer] = {first: readers[first], **baselines, **{key: readers[key] for key in others}}
    slow = {key: Progress(ordered[key], f"{name}, {key}") for key in ordered if key in readers or key == "embedding"}
    try:
        return evaluate_pairs(pairs, ordered | slow, seed, readers[first].cut)
    except PrefModelError as error:
        raise InputError(f"{name}: {error}") from None


def _by_name(paths: Sequence[Path]) -> dict[str, Path]:
    """Return the paths by the name that the table shows: the file's, or the whole path where names clash."""
    short = [path.name.removesuffix(format_of(path)) for path in paths]
    names = [str(path) if short.count(name) > 1 else name for path, name in zip(paths, short, strict=True)]
    named = dict(zip(map(encodable, names), paths, strict=True))  # matplotlib draws no other names
    if len(named) < len(paths):
        twice = next(path for path in paths if paths.count(path) > 1)
        raise InputError(f"PAIRS names {twice} twice; allowed: each file once")
    return named


def _bundles(model: str | None, compare: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return (name in the table, bundle) of each model, the one to evaluate first."""
    short = [Path(bundle).name for bundle in compare]
    taken = ["model", "longer", "bm25", "readability", "embedding", *short]
    names = [encodable(bundle if taken.count(name) > 1 else name) for bundle, name in zip(compare, short, strict=True)]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"--compare names {name} twice; allowed: each bundle once")
    return [("model", model), *zip(names, compare, strict=True)]


def _read(path: Path, split: str | None) -> list[PreferencePair]:
    """Return the pairs of a file that are in `split`, checked for what a model cannot score."""
    kept = list(scorable_pairs(path, split))
    if not any(pair.target > 0.5 for pair in kept):
        where = f" in split {split}" if split else ""
        raise FileFormatError(f"{path}: no pairs to evaluate{where}; allowed: at least one with a target above .5")
    return kept


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--report is {folder}: {error.strerror}; allowed: a folder that can be made") from None


def _model_facts(model: PreferenceModel) -> dict[str, Any]:
    bundle = model.bundle
    graph = bundle.onnx.relative_to(bundle.folder).as_posix()
    return {
        "folder": str(bundle.folder),
        "precision": bundle.precision,
        "backend": model.backend.name,
        "compute": model.backend.compute,
        "graph": bundle.info["files"][graph],
    }
