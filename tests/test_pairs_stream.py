"""`prefmodel pairs` block by block: any number of workers, killed and repeated, gives the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest
from click.testing import CliRunner

from axioms.build import build_pairs
from prefmodel.cli import main
from prefmodel.files import read_pairs, write_pairs, write_rows, write_threads
from prefmodel.types import PreferencePair
from tests.command import COMMAND, fails, process
from tests.threads import library

LABELLED = [
    PreferencePair(f"Who is number {i}?", f"It is {i}.", f"Nobody knows {i}.", axiom="human", source="demo")
    for i in range(30)
]
SETTINGS = ("--axioms", "usefulness,relevance,strength,human", "--block", 20)


@pytest.fixture
def folder(tmp_path):
    write_threads(tmp_path / "a.jsonl", library(70))
    write_threads(tmp_path / "b.jsonl.gz", library(50)[30:])
    write_pairs(tmp_path / "c.jsonl", LABELLED)
    return tmp_path


@pytest.fixture
def files(folder):
    return [folder / name for name in ("a.jsonl", "b.jsonl.gz", "c.jsonl")]


def pairs(*arguments):
    return CliRunner().invoke(main, ["pairs", *map(str, arguments)])


def built(folder, files, *more, output="out.jsonl"):
    result = pairs(*files, "-o", folder / output, *SETTINGS, *more)
    assert result.exit_code == 0, result.output
    assert not (folder / f"{output}.parts").exists()
    return (folder / output).read_bytes(), result.stderr


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_the_bytes_are_the_same_for_any_number_of_workers(folder, files, suffix):
    one, _ = built(folder, files, output=f"one{suffix}")
    options = [*map(str, SETTINGS), "--workers", "2"]
    result = process("pairs", *files, "-o", folder / f"two{suffix}", *options)
    assert result.returncode == 0, result.stderr
    assert (folder / f"two{suffix}").read_bytes() == one
    assert len(list(read_pairs(folder / f"two{suffix}"))) > 250


def test_blocks_come_in_the_order_of_the_files(folder, files):
    built(folder, files)
    found = [pair.thread_id for pair in read_pairs(folder / "out.jsonl") if pair.axiom == "strength"]
    assert found == [*(f"demo/{i}" for i in range(70))]  # those of the second file are there already


def test_small_files_in_memory_give_what_the_command_gives(folder):
    write_threads(folder / "few.jsonl", library(10))
    result = pairs(folder / "few.jsonl", folder / "c.jsonl", "-o", folder / "out.jsonl", "--seed", 4)
    assert result.exit_code == 0, result.output
    assert list(read_pairs(folder / "out.jsonl")) == list(build_pairs(library(10), LABELLED, seed=4))


def start(folder, files, *more):
    command = [*COMMAND, "pairs", *map(str, [*files, "-o", folder / "out.jsonl", *SETTINGS, *more])]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def descendants(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(child) for child in file.read().split()]
    except FileNotFoundError:
        return []


def running(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().split(") ")[1][0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Threads for some seconds of work, and what a run that nobody disturbs makes of them."""
    folder = tmp_path_factory.mktemp("many")
    write_threads(folder / "many.jsonl", library(2000))
    return [folder / "many.jsonl"], built(folder, [folder / "many.jsonl"])[0]


@pytest.mark.parametrize(("how", "workers"), [(signal.SIGKILL, 1), (signal.SIGKILL, 2), (signal.SIGINT, 2)])
def test_a_run_that_is_killed_goes_on(tmp_path, many, how, workers):
    files, whole = many
    with start(tmp_path, files, "--workers", workers) as run:
        parts = tmp_path / "out.jsonl.parts"
        wait_for(lambda: len(list(parts.glob("*.npz"))) > 3 or run.poll() is not None)
        assert run.poll() is None, run.stderr.read()
        children = descendants(run.pid)
        os.kill(run.pid, how)
        assert "Traceback" not in run.communicate(timeout=60)[1]  # ends when no worker holds the pipe any more
    assert run.returncode == (130 if how == signal.SIGINT else -how)
    wait_for(lambda: not any(map(running, children)))
    assert not (tmp_path / "out.jsonl").exists()
    finished = len(list(parts.glob("*.npz")))
    assert 3 < finished < 100
    again, told = built(tmp_path, files)
    assert told.startswith(f"going on: {finished} blocks are finished\n")
    assert again == whole


def stop_at_a_bad_line(folder, files):
    """Leave a run that has finished the blocks of its first files."""
    bad = folder / "z.jsonl"
    write_rows(bad, [{"id": "x", "source": "b", "question": "Why?"}])
    fails(pairs(*files, bad, "-o", folder / "out.jsonl", *SETTINGS), f"{bad}, line 1: answers is missing")
    assert (folder / "out.jsonl.parts" / "run.json").exists()
    return bad


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_line_is_told_and_what_is_finished_is_kept(folder, files, workers):
    bad = stop_at_a_bad_line(folder, files)
    times = {path: path.stat().st_mtime_ns for path in (folder / "out.jsonl.parts").glob("*.npz")}
    result = pairs(*files, bad, "-o", folder / "out.jsonl", *SETTINGS, "--workers", workers)
    assert len(times) == 7
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert result.exit_code == 1
    going_on, error = result.stderr.splitlines()
    assert going_on == "going on: 7 blocks are finished"
    assert error == f"error: {bad}, line 1: answers is missing; required: id, source, question, answers"


def test_other_input_or_options_begin_anew_and_say_why(folder, files):
    whole, told = built(folder, files)
    assert "anew" not in told
    bad = stop_at_a_bad_line(folder, files)
    again, told = built(folder, files, "--seed", 0)
    assert told.startswith("beginning anew: FILES changed\n")
    assert again == whole
    write_threads(bad, library(3))
    for option, before, value in (("--seed", 0, 5), ("--split", None, "'train'"), ("--block", 20, 10)):
        bad.unlink()
        stop_at_a_bad_line(folder, files)
        write_rows(bad, [])
        _, told = built(folder, [*files, bad], option, str(value).strip("'"))
        assert told.startswith(f"beginning anew: FILES changed, {option} was {before} and is {value}\n")


def test_limits_do_not_make_finished_blocks_void(folder, files):
    bad = stop_at_a_bad_line(folder, files)
    limits = ("--limit", 3, "--per-question", 1)
    result = pairs(*files, bad, "-o", folder / "out.jsonl", *SETTINGS, *limits)
    assert result.stderr.startswith("going on: 7 blocks are finished\n")


def test_a_folder_that_is_not_ours_is_left_alone(folder, files):
    parts = folder / "out.jsonl.parts"
    parts.mkdir()
    (parts / "notes.txt").write_text("mine")
    fails(pairs(*files, "-o", folder / "out.jsonl", *SETTINGS), f"{parts}: is not of prefmodel")
    assert (parts / "notes.txt").read_text() == "mine"


def test_a_limit_is_drawn_from_all_blocks(folder, files):
    built(folder, files, "--limit", 12)
    everything = [pair.thread_id for pair in read_pairs(folder / "out.jsonl") if pair.axiom == "strength"]
    assert len(everything) == 12
    assert len({int(name.removeprefix("demo/")) // 20 for name in everything}) > 2
    built(folder, files, "--limit", 12, "--seed", 1)
    assert {pair.thread_id for pair in read_pairs(folder / "out.jsonl") if pair.axiom == "strength"} != {*everything}
