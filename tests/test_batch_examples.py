"""The examples for datasets and Spark give the scores of `prefmodel score`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prefmodel.files import read_rows, write_rows
from tests.command import GOOD, QUESTION

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def scored(model, tmp_path):
    """Rows, which lie in in.jsonl, with their scores."""
    rows = [{"id": i, "question": f"{QUESTION} {i % 5}", "answer": f"{GOOD} {i * i}"} for i in range(2500)]
    write_rows(tmp_path / "in.jsonl", rows)
    scores = model.score([row["question"] for row in rows], [row["answer"] for row in rows])
    return [row | {"score": score} for row, score in zip(rows, scores.tolist(), strict=True)]


def example(name, folder, *arguments, **variables):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


def same(found, scored):
    assert [row.pop("score") for row in found] == pytest.approx([row.pop("score") for row in scored], abs=1e-5)
    assert found == scored


def test_datasets_map(scored, tiny_bundle, tmp_path):
    pytest.importorskip("datasets", reason="datasets is not installed")
    example("datasets_map.py", tmp_path, "in.jsonl", "out.parquet", "--bundle", tiny_bundle, "--processes", 2)
    same([row for _, row in read_rows(tmp_path / "out.parquet")], scored)


def test_spark_score(scored, tiny_bundle, tmp_path):
    pytest.importorskip("pyspark", reason="pyspark is not installed")
    if not (shutil.which("java") or os.environ.get("JAVA_HOME")):
        pytest.skip("there is no Java for Spark")
    arguments = ["in.jsonl", "out", "--bundle", tiny_bundle, "--master", "local[2]"]
    local = {"PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}
    example("spark_score.py", tmp_path, *arguments, **local)
    found = [row for part in (tmp_path / "out").glob("*.parquet") for _, row in read_rows(part)]
    same(sorted(found, key=lambda row: row["id"]), scored)
