"""The benchmark of training, in small: our engine, and trl's trainer, which the development extras bring."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from benchmarks.train_report import OURS, lead, operations, report
from benchmarks.train_rows import draw
from prefmodel.files import read_pairs, write_pairs
from prefmodel.types import PreferencePair
from tests.small_base import write_base

ROOT = Path(__file__).parents[1]
WORDS = ("why", "is", "the", "sky", "blue", "air", "scatters", "light")
TRL = "trl RewardTrainer"


def text(random: Random, words: int) -> str:
    return " ".join(random.choice(WORDS) for _ in range(words))


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of two axioms, several of a question."""
    random = Random(0)
    found = [
        PreferencePair(
            f"{WORDS[i % 8]} {WORDS[i // 32]}?", text(random, 20), text(random, 8), axiom=axiom, source="demo"
        )
        for axiom, count in (("human", 40), ("relevance", 6))
        for i in range(count)
    ]
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl.gz"
    write_pairs(path, found)
    return path


def test_all_pairs_of_a_question_are_drawn_together(pairs: Path) -> None:
    found = draw([pairs], 10, seed=0)
    questions = [pair.question for pair in found]
    everything = Counter(pair.question for pair in read_pairs(pairs))
    assert len(found) >= 10
    assert len(set(questions)) < len(questions)
    assert Counter(questions) == {question: everything[question] for question in questions}
    assert len(list(groupby(questions))) == len(set(questions))
    assert draw([pairs], 10, seed=1) != found
    assert len(draw([pairs], 999, seed=0)) == 46


def test_the_benchmark_in_small(pairs: Path, tmp_path: Path) -> None:
    base = write_base(tmp_path / "base", WORDS)
    arguments = ["--base", base, "--pairs", pairs, "--rows", 16, "--step-pairs", 8, "--micro-pairs", 4, "--rounds", 1]
    arguments += ["--lengths", 32, "--threads", 1, "--peak-seconds", 0.01, "--only", "all weights,trl"]
    command = [sys.executable, "-m", "benchmarks.train", *arguments, "-o", tmp_path / "train.png"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in done.stdout.splitlines() if line.startswith("| 32 ")]
    pytest.importorskip("trl")
    assert {row[1] for row in rows} == {OURS, TRL}, done.stderr
    assert all(float(row[2]) > 0 and float(row[4]) > 0 and int(row[5]) > 0 for row in rows)
    assert (tmp_path / "train.png").stat().st_size > 1000


def test_numbers_of_the_report() -> None:
    """Ours trains twice as fast in one round and four times as fast in the other."""
    record = {
        "length": 128,
        "pairs": 10,
        "tokens": 1000,
        "squares": 100_000,
        "padded": 1250,
        "memory": 100.0,
        "spared": 0,
    }
    speeds = {OURS: (1.0, 2.0), TRL: (2.0, 8.0)}
    results = {
        "records": [
            {**record, "name": name, "round": n, "seconds": s, "cpu_seconds": 2 * s}
            for name, ss in speeds.items()
            for n, s in enumerate(ss)
        ],
        "sizes": {"parameters": 1_000_000, "layers": 2, "width": 32},
        "machine": {"name": "a CPU", "precision": "float32", "peak": 12.0},
        "lengths": [128],
        "rounds": 2,
        "rows": 10,
        "step_pairs": 5,
        "threads": 1,
        "load": (0.5, 1.5),
        "versions": [("x", "1")],
        "date": "2026-01-01",
    }
    assert operations(record, results["sizes"]) == 6e9 + 12 * 2 * 32 * 100_000
    assert "ours is 3.00 times as fast as trl RewardTrainer, 2.00 to 4.00 by round; 3.00 times for" in lead(
        results, 128
    )
    lines = report(results).splitlines()
    assert "| 128 | prefmodel all weights | 7.50 | 5.00 to 10.00 | 3.75 | 750 | 20% | 0.38 | 1.00 | 100 |" in lines
    assert "float32; peak 12 GFLOP/s" in lines[0]
