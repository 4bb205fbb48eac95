"""`prefmodel ablate` from end to end on small data: budgets, what is measured, what is left behind, going on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from matplotlib.image import imread

from prefmodel.cli import main
from prefmodel.files import read_pairs, write_pairs, write_threads
from prefmodel.splits import split_of
from prefmodel.types import PreferencePair
from tests.command import fails
from tests.small_run import ENVIRONMENT, SmallRun, forum, labels, small_run

RUNGS = ["start", "0", "all", "without-usefulness", "without-human", "human", "axioms"]
TRAINED = ["0", "all", "without-usefulness"]
"""Rungs that have runs of their own: the others have the same axioms as one of these."""
SEEDS = (3, 4)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    small = small_run(tmp_path_factory.mktemp("small"))
    write_threads(small.folder / "data" / "threads.jsonl", forum(Random(1), 120))
    write_pairs(small.folder / "mine.jsonl", labels(Random(5), 30))
    return small


def arguments(small: SmallRun, out: Path, *more: object, recipe: Path | None = None) -> list[str]:
    given = [recipe or small.recipe, "--data", small.folder / "data", "-o", out, "--seeds", len(SEEDS), *more]
    return ["ablate", *map(str, given)]


def run(small: SmallRun, out: Path, *more: object, recipe: Path | None = None) -> Result:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return CliRunner().invoke(main, arguments(small, out, *more, recipe=recipe))
    finally:
        torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def done(small: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """All rungs, and what the command printed."""
    out = tmp_path_factory.mktemp("ablations") / "done"
    result = run(small, out, "--labels", small.folder / "mine.jsonl")
    assert result.exit_code == 0, result.output
    return out, result


def results(out: Path) -> Any:
    return json.loads((out / "ablation.json").read_text())


def records(out: Path) -> dict[str, Any]:
    """Return the record of each finished run."""
    return {path.parent.name: json.loads(path.read_text()) for path in out.glob("runs/*/run.json")}


def times(out: Path) -> dict[str, int]:
    """Return when each run was finished."""
    return {path.parent.name: path.stat().st_mtime_ns for path in out.glob("runs/*/run.json")}


def test_every_rung_has_as_many_pairs_and_updates(done: tuple[Path, Result]) -> None:
    out, _ = done
    found, runs = results(out), records(out)
    assert list(found["rungs"]) == RUNGS
    assert runs.keys() == {f"{name}-seed{seed}" for name in TRAINED for seed in SEEDS}
    budget = found["about"]["pairs"]
    assert budget > 90
    for name, facts in runs.items():
        used, rung = facts["data"]["pairs"]["train"], name.rpartition("-seed")[0]
        assert used == found["rungs"][rung]["pairs"]
        assert sum(used.values()) == budget
        assert budget == len(list(read_pairs(out / "pairs" / f"{name}.jsonl.gz")))
        assert facts["data"]["left_out"]["sides equal after truncation"] == 0
        assert facts["updates"] == found["about"]["updates"] == facts["kept"]
    mix = found["rungs"]["all"]["pairs"]
    assert abs(mix["usefulness"] - mix["human"]) <= 1


def test_what_is_measured_is_never_trained_on(done: tuple[Path, Result], small: SmallRun) -> None:
    out, _ = done
    trained = [pair for path in out.glob("pairs/*.jsonl.gz") for pair in read_pairs(path)]
    assert {split_of(pair.question) for pair in trained} == {"train"}
    heldout = sum(1 for name in ("dev", "test") for _ in read_pairs(out / "pool" / "heldout" / f"{name}.jsonl.gz"))
    sets = results(out)["sets"]
    assert sets["human"]["pairs"] + sets["usefulness"]["pairs"] == heldout
    assert sets["mine"] == {"pairs": 30, "questions": 30, "file": True}


def test_labels_are_kept_out_of_training(small: SmallRun, tmp_path: Path) -> None:
    mine = [
        pair for pair in read_pairs(small.folder / "data" / "labels.jsonl.gz") if split_of(pair.question) == "train"
    ]
    write_pairs(tmp_path / "some.jsonl", mine[:100])
    out = tmp_path / "out"
    result = run(small, out, "--seeds", 1, "--rungs", "human", "--pairs", 60, "--labels", tmp_path / "some.jsonl")
    assert result.exit_code == 0, result.output
    trained = {pair.question for path in out.glob("pairs/*.jsonl.gz") for pair in read_pairs(path)}
    assert len(trained) >= 60
    assert not trained & {pair.question for pair in mine[:100]}


def test_it_finds_what_each_rung_learned(done: tuple[Path, Result]) -> None:
    found = results(done[0])
    for name in ("0", "human", "all"):  # all axioms of the small data prefer the same words
        assert found["rungs"][name]["minus_start"]["mine"]["low"] > 0
        for key in ("human", "mine"):
            gain, accuracy = found["rungs"][name]["minus_start"][key], found["rungs"][name]["accuracy"][key]
            assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
            seeds = found["rungs"][name]["seeds"][key]
            assert len(seeds) == len(SEEDS)
            assert sum(seeds) / len(seeds) == pytest.approx(accuracy["value"])
            start = found["rungs"]["start"]["accuracy"][key]["value"]
            assert accuracy["value"] - start == pytest.approx(gain["value"])
            assert gain["low"] <= gain["value"] <= gain["high"]
    assert "minus_all" not in found["rungs"]["all"]
    assert found["baselines"]["longer"]["accuracy"]["human"]["value"] > 0.9  # good words are the longer ones


def test_rungs_with_the_same_axioms_share_their_runs(done: tuple[Path, Result]) -> None:
    rungs = results(done[0])["rungs"]
    same = {name: rung["same_as"] for name, rung in rungs.items() if rung["same_as"]}
    assert same == {"without-human": "0", "human": "without-usefulness", "axioms": "0"}
    assert rungs["human"]["accuracy"] == rungs["without-usefulness"]["accuracy"]


def test_the_table_goes_to_stdout_and_into_a_file(done: tuple[Path, Result]) -> None:
    out, result = done
    assert result.stdout.rstrip("\n") in (out / "ablation.md").read_text()
    rows = [line.split("|")[1].strip() for line in result.stdout.splitlines() if line.startswith("|")]
    assert rows[:2] == ["rung", rows[1]]
    assert rows[2 : 2 + len(RUNGS)] == RUNGS
    assert rows[2 + len(RUNGS) :][:2] == ["longer answer", "BM25"]
    assert "seed 2 of 2, rung 4 of 4: without-usefulness-seed4" in result.stderr


def test_the_picture_shows_something(done: tuple[Path, Result]) -> None:
    picture = imread(done[0] / "ablation.png")[..., :3]
    height, width, _ = picture.shape
    for part in (picture[: height // 3, : width // 2], picture[: height // 3, width // 2 :], picture[height // 2 :]):
        assert 0.01 < (part.min(axis=2) < 0.9).mean() < 0.9
    assert len({tuple(colour) for colour in picture.reshape(-1, 3)[::7].round(2).tolist()}) > 20


def test_the_same_command_trains_nothing_anew(done: tuple[Path, Result], small: SmallRun) -> None:
    out, result = done
    before, table = times(out), (out / "ablation.md").read_bytes()
    again = run(small, out, "--labels", small.folder / "mine.jsonl")
    assert again.exit_code == 0, again.output
    assert times(out) == before
    assert again.stdout == result.stdout
    assert (out / "ablation.md").read_bytes() == table
    assert "training pairs" not in again.stderr


def test_a_stopped_command_goes_on(done: tuple[Path, Result], small: SmallRun, tmp_path: Path) -> None:
    out, more = tmp_path / "out", ("--labels", small.folder / "mine.jsonl", "--rungs", "start,0,all", "--seeds", 1)
    command = [sys.executable, "-m", "prefmodel.cli", *arguments(small, out, *more)]
    with subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            wait_for(out / "runs" / "all-seed3" / "log.jsonl", process)
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[0] == b""
        finally:
            process.kill()
    assert process.returncode == 130
    before = times(out)
    assert list(before) == ["0-seed3"]
    result = run(small, out, *more)
    assert result.exit_code == 0, result.output
    assert before.items() <= times(out).items()
    whole, after = results(done[0])["rungs"], results(out)["rungs"]
    for name in ("start", "0", "all"):
        assert after[name]["seeds"] == {key: seeds[:1] for key, seeds in whole[name]["seeds"].items()}


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 240
    while not path.exists():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.02)


def test_rungs_can_be_chosen_and_others_join_them(small: SmallRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = run(small, out, "--seeds", 1, "--rungs", "start,0")
    assert first.exit_code == 0, first.output
    assert list(results(out)["rungs"]) == ["start", "0"]
    before = times(out)
    second = run(small, out, "--seeds", 1, "--rungs", "start, 0, all")
    assert second.exit_code == 0, second.output
    assert list(results(out)["rungs"]) == ["start", "0", "all"]
    assert before.items() < times(out).items()
    fails_late(run(small, out, "--rungs", "0", "--pairs", "20"), "run 0-seed3 is of other pairs", "or a new folder")


def test_a_rung_may_lack_pairs_that_the_objective_names(small: SmallRun, tmp_path: Path) -> None:
    """A weight for an axiom of ready pairs is no typo where only other rungs are trained on them."""
    ready = [replace(pair, axiom="judge") for pair in labels(Random(6), 60)]
    write_pairs(small.folder / "data" / "ready.jsonl", ready)
    text = small.recipe.read_text().replace("[data]\n", '[data]\npairs = ["ready.jsonl"]\n')
    recipe = tmp_path / "ready.toml"
    recipe.write_text(f"{text}[objective.weights]\njudge = 0.5\n")
    chosen = ("--seeds", 1, "--rungs", "human", "--pairs", 16)
    result = run(small, tmp_path / "out", *chosen, recipe=recipe)
    assert result.exit_code == 0, result.output
    recipe.write_text(f"{text}[objective.weights]\njugde = 0.5\n")
    result = run(small, tmp_path / "typo", *chosen, recipe=recipe)
    fails_late(
        result, "objective.weights holds 'jugde', of which there are no pairs; allowed: human, judge, usefulness"
    )


def fails_late(result: Result, *messages: str) -> None:
    """Check for an error of one line behind what was told before."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    error = result.stderr.splitlines()[-1]
    assert error.startswith("error: ")
    for message in messages:
        assert message in error


def test_wrong_input_is_told_before_any_work(small: SmallRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fails(run(small, out, "--rungs", "start,0-1"), "--rungs holds '0-1'; allowed: " + ", ".join(RUNGS))
    fails(run(small, out, "--rungs", "start"), "--rungs is 'start'; allowed: at least one that is trained")
    fails(run(small, out, "--labels", tmp_path / "none.jsonl"), "none.jsonl: no such file")
    path = tmp_path / "equal.jsonl"
    write_pairs(path, [PreferencePair("Why?", "One.", "Two.", axiom="human", source="demo", target=0.5)])
    fails(run(small, out, "--labels", path), "equal.jsonl: no pairs to measure on")
    mine = small.folder / "mine.jsonl"
    fails(run(small, out, "--labels", mine, "--labels", mine), "--labels names mine twice")
    assert not out.exists()


def test_wrong_input_that_the_pairs_tell(small: SmallRun, tmp_path: Path) -> None:
    out = tmp_path / "out"
    fails_late(run(small, out, "--pairs", 10_000), "--pairs is 10000; allowed: 1 to", "which rung 0 has")
    recipe = tmp_path / "useful.toml"
    text = small.recipe.read_text()
    recipe.write_text(text.replace('axioms = ["usefulness", "human"]', 'axioms = ["usefulness"]'))
    fails_late(
        run(small, tmp_path / "useful", recipe=recipe), "--labels is missing, and no question with a human label"
    )
    fails_late(run(small, out, recipe=recipe), "where a run with another recipe began; allowed: a new folder")
    recipe.write_text(text.replace('axioms = ["usefulness", "human"]', 'axioms = ["groundedness", "human"]'))
    result = run(small, tmp_path / "other", "--rungs", "0-2,axioms", recipe=recipe)
    fails_late(result, "--rungs is '0-2,axioms'; allowed with these pairs: start, all, human")
