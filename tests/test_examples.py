"""The examples run as they stand, and the configuration files name what there is."""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from prefmodel.errors import InputError
from prefmodel.rewards.environment import config_of
from prefmodel.rewards.verl import compute_score

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, name: str, *arguments: object) -> str:
    """Run an example in a folder of its own, without a network, and return what it prints."""
    paths = os.pathsep.join([str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": paths}
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_grpo(tmp_path: Path, tiny_bundle: Path) -> None:
    printed = run(tmp_path, "grpo.py", "--steps", 4, "--bundle", tiny_bundle)
    table = dict(re.findall(r"^(reward|prefmodel/\w+) +(-?\d+\.\d{3}) +-?\d+\.\d{3}$", printed, re.M))
    assert {"reward", "prefmodel/raw_score", "prefmodel/usefulness", "prefmodel/general"} <= set(table)


def test_best_of_n(tmp_path: Path) -> None:
    lines = run(tmp_path, "best_of_n.py").splitlines()
    assert [line.partition(":")[0] for line in lines] == ["best of  1", "best of  2", "best of  4", "best of 16"]
    assert "probability 0.50" in lines[0]  # the only answer against itself


def test_dpo_pairs(tmp_path: Path) -> None:
    printed = run(tmp_path, "dpo_pairs.py", "mine.jsonl")
    assert "win rates" in printed
    rows = [json.loads(line) for line in (tmp_path / "mine.jsonl").read_text().splitlines()]
    assert len(rows) >= 2
    assert {tuple(row) for row in rows} == {("prompt", "chosen", "rejected")}
    assert all(row["chosen"][0]["content"] != "Bananas are yellow." for row in rows)


def test_openrlhf_configuration() -> None:
    script = (EXAMPLES / "openrlhf.sh").read_text()
    [options] = re.findall(r"^export PREFMODEL_REWARD='(.*)'", script, re.M)
    assert config_of(json.loads(options)).clip is not None
    [command] = re.findall(r"python -c '(.*)'", script)
    file = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    assert Path(file).name == "openrlhf.py"
    assert subprocess.run([shutil.which("bash") or "bash", "-n", EXAMPLES / "openrlhf.sh"]).returncode == 0


def test_verl_configuration() -> None:
    config = yaml.safe_load((EXAMPLES / "verl.yaml").read_text())["reward"]["custom_reward_function"]
    module = importlib.import_module(config["path"].removeprefix("pkg://"))
    assert getattr(module, config["name"]) is compute_score
    options = config["reward_kwargs"]
    own = {name: value for name, value in options.items() if name not in ("threads", "question_key")}
    assert config_of(own).clip == (-6, 6)
    result = compute_score("demo", "Air scatters blue light.", None, {"question": "Why is the sky blue?"}, **options)
    assert -6 <= result["score"] <= 6
    assert list(inspect.signature(compute_score).parameters)[:2] == ["data_source", "solution_str"]
    with pytest.raises(InputError):
        compute_score("demo", "x", None, {}, **options)
