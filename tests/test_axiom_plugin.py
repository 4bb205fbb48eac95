"""Axioms of other packages: the walk-through of examples/new_axiom.md, and what is told of those that do not work."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from axioms.llm.registry import LLM_AXIOMS
from axioms.registry import AXIOMS, LABELS
from prefmodel.files import read_pairs, write_threads
from tests.command import process
from tests.threads import library

TEXT = (Path(__file__).parents[1] / "examples" / "new_axiom.md").read_text(encoding="utf-8")


def block(language, number=0):
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)[number]


def entry_points(toml):
    """Return the entry points of a pyproject.toml as an installed package has them."""
    section = toml.split('[project.entry-points."prefmodel.axioms"]\n')[1].split("\n\n")[0]
    return "[prefmodel.axioms]\n" + section.replace('"', "") + "\n"


@pytest.fixture
def install(tmp_path):
    """Put a package of one file where a process finds it as installed, and return a way to run the command there."""

    def install(name, code, points):
        place = tmp_path / "site"
        folder = place / f"{name}-0.1.0.dist-info"
        folder.mkdir(parents=True)
        (place / f"{name}.py").write_text(code, encoding="utf-8")
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
        (folder / "entry_points.txt").write_text(points)
        path = os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")]))
        return lambda *arguments: process("pairs", *arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path})

    return install


def test_the_walk_through(install, tmp_path):
    pairs = install("give_reasons", block("python"), entry_points(block("toml")))
    (tmp_path / "threads.jsonl").write_text(block("json"))
    listed, built, _ = (line.split()[2:] for line in (block("console") + block("console", 1)).splitlines())

    result = pairs(*listed)
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.splitlines()] == [*AXIOMS, "give_reasons", *LLM_AXIOMS, *LABELS]
    (line,) = (line for line in result.stdout.splitlines() if line.startswith("give_reasons "))
    assert line.split()[1] == "usefulness"
    assert line.endswith("Give reasons: of two answers of one length, the one that says why is better.")

    result = pairs(*built)
    assert result.returncode == 0, result.stderr
    (pair,) = read_pairs(tmp_path / "pairs.jsonl")
    assert (pair.thread_id, pair.axiom, pair.provenance) == ("tea/1", "give_reasons", {"recipe": "reason"})
    assert "because" in pair.chosen


def test_a_plugin_runs_in_workers_and_by_default(install, tmp_path):
    pairs = install("give_reasons", block("python"), entry_points(block("toml")))
    threads = [json.loads(line) for line in block("json").splitlines()]
    many = [{**threads[0], "id": f"tea/{i}", "question": f"How hot is tea number {i}?"} for i in range(9)]
    (tmp_path / "threads.jsonl").write_text("".join(json.dumps(row) + "\n" for row in many))
    settings = ("threads.jsonl", "--block", 2, "--duplicates", "exact")
    for workers in (1, 2):
        result = pairs(*settings, "-o", f"{workers}.jsonl", "--workers", workers)
        assert result.returncode == 0, result.stderr
    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()
    assert sum(pair.axiom == "give_reasons" for pair in read_pairs(tmp_path / "1.jsonl")) == 9


PAIR = 'PreferencePair("Why?", "a", "b", axiom="praise", source="x")'
HEAD = "from prefmodel import PreferencePair\nPRINCIPLE = None\n"


@pytest.mark.parametrize(
    ("code", "target", "message"),
    [
        ("import nothing_such", "praise", "cannot be imported: ModuleNotFoundError: No module named 'nothing_such'"),
        ("1/0", "praise", "cannot be imported: ZeroDivisionError: division by zero"),
        (HEAD, "praise", "is no function and has no function `build`"),
        (HEAD, "praise:build", "cannot be imported: AttributeError: "),
        ("def build(threads, rng): return []", "praise", "praise has no PRINCIPLE; allowed: usefulness, "),
        ("PRINCIPLE = 'fun'\ndef build(threads, rng): return []", "praise", "praise has no PRINCIPLE; allowed: "),
        (HEAD + "def build(threads, rng): yield threads[0].nonsense", "praise", "AttributeError: "),
        (HEAD + "def build(threads, rng): return None", "praise", "TypeError: "),
        (HEAD + "def build(threads, rng): yield 'pair'", "praise", "it yields 'pair'; allowed: PreferencePair with"),
        (HEAD + f"def build(threads, rng): yield {PAIR.replace('praise', 'x')}", "praise", "with axiom='praise'"),
        (HEAD + f"def build(threads, rng): yield {PAIR.replace('source', 'margin=-1, source')}", "praise", "margin is"),
        (
            HEAD.replace("None", "'usefulness'") + f"def build(threads, rng): yield {PAIR}",
            "praise",
            "it yields a pair whose principle is None; allowed: 'usefulness', as its module's PRINCIPLE says",
        ),
        (
            HEAD + f"""def build(threads, rng): yield {PAIR.replace("source", "principle='relevance', source")}""",
            "praise",
            "it yields a pair whose principle is 'relevance'; allowed: None, as its module's PRINCIPLE says",
        ),
    ],
)
def test_a_broken_plugin_is_told_in_one_line(install, tmp_path, code, target, message):
    write_threads(tmp_path / "threads.jsonl", library())
    pairs = install("praise", code + "\n", f"[prefmodel.axioms]\npraise = {target}\n")
    result = pairs("threads.jsonl", "-o", "out.jsonl", "--axioms", "praise")
    assert (result.returncode, result.stdout) == (1, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: axiom praise ({target})")
    assert message in line
    assert not (tmp_path / "out.jsonl").exists()


def test_a_broken_plugin_does_not_stand_in_the_way_of_others(install, tmp_path):
    write_threads(tmp_path / "threads.jsonl", library())
    pairs = install("praise", "1/0\n", "[prefmodel.axioms]\npraise = praise\n")
    assert pairs("threads.jsonl", "-o", "out.jsonl", "--axioms", "usefulness").returncode == 0
    listed = pairs("--list")
    assert listed.returncode == 0
    (line,) = (line for line in listed.stdout.splitlines() if line.startswith("praise "))
    assert "cannot be imported: ZeroDivisionError" in line


def test_a_plugin_cannot_take_the_name_of_one_of_ours(install, tmp_path):
    write_threads(tmp_path / "threads.jsonl", library())
    pairs = install(
        "praise", HEAD + "def build(threads, rng): return []\n", "[prefmodel.axioms]\nusefulness = praise\n"
    )
    built, listed = pairs("threads.jsonl", "-o", "out.jsonl", "--axioms", "usefulness"), pairs("--list")
    assert (built.returncode, listed.returncode) == (0, 0)
    assert len(list(read_pairs(tmp_path / "out.jsonl"))) == 6
    told = "warning: axiom usefulness of another package (praise) is left out: it has the name of one of ours"
    assert built.stderr.splitlines()[0] == told
    assert listed.stderr.splitlines() == [told]
