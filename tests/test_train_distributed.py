"""Training in two processes on the CPU (gloo): the loss curve of one, killed and resumed; states of sharded nets."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.sharded_state import trained_net
from tests.small_run import ENVIRONMENT, log, same_weights, small_run
from training.resume import load_state


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    run = small_run(tmp_path_factory.mktemp("small"))
    # Of dropout each process would draw its own, and bfloat16 rounds what is shared out otherwise in another way.
    exact = {"dropout": 0.0, "precision": "float32"}
    return run.variant("plain", **exact, epochs=1, eval_every=5, save_every=4, step_pairs=15, chunk_pairs=3)


@pytest.fixture(scope="module")
def alone(small, tmp_path_factory):
    """A run in one process."""
    out = tmp_path_factory.mktemp("runs") / "alone"
    result = small.train(out)
    assert result.exit_code == 0, result.output
    return out


def launch(*command):
    """Start two processes of a Python command, as torchrun does."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", *command]
    return subprocess.Popen(torchrun, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def train(small, out):
    return launch("-m", "prefmodel.cli", *small.arguments(out))


def finished(process):
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    return stdout


def facts(out):
    return json.loads((out / "run.json").read_text())


@pytest.fixture(scope="module")
def together(small, tmp_path_factory):
    """A run in two processes."""
    out = tmp_path_factory.mktemp("runs") / "together"
    assert finished(train(small, out)) == f"{out}\n"  # the main process alone speaks
    return out


def test_two_processes_have_the_loss_curve_of_one(alone, together):
    assert (facts(together)["processes"], facts(alone)["processes"]) == (2, 1)
    one, two = log(alone), log(together)
    assert len(one) == len(two) > 10
    for name in ("loss", "norm", "spread"):
        assert [entry[name] for entry in two] == pytest.approx([entry[name] for entry in one], rel=0.01, abs=2e-3)
    assert facts(together)["test_accuracy"] == facts(alone)["test_accuracy"]
    last = [entry["dev"] for entry in two if "dev" in entry]
    assert last == [entry["dev"] for entry in one if "dev" in entry]


def test_two_processes_that_are_killed_go_on(small, alone, together, tmp_path):
    out = tmp_path / "killed"
    process = train(small, out)
    try:
        give_up = time.monotonic() + 200
        while len(log(out)) < 6 and process.poll() is None and time.monotonic() < give_up:
            time.sleep(0.02)
        for child in children(process.pid):
            os.kill(child, signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    assert 6 <= len(log(out)) < len(log(alone))
    finished(train(small, out))
    assert [entry["loss"] for entry in log(out)] == pytest.approx([entry["loss"] for entry in log(alone)], abs=2e-3)
    assert same_weights(out, together)


def children(pid):
    """Return the processes that a process has started."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


def test_a_bad_recipe_ends_both_processes(small, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").write_text("mine")
    process = train(small, tmp_path / "taken")
    _, stderr = process.communicate(timeout=200)
    assert process.returncode != 0
    assert "which is not empty; allowed: a new folder" in stderr


def test_a_state_of_a_sharded_net_holds_whole_tensors(tmp_path):
    """Two processes save half of each weight each, as one file; it is loaded sharded again, and by one process."""
    script = Path(__file__).parent / "sharded_state.py"
    assert finished(launch(script, tmp_path)) == ""
    net, optimizer = trained_net(updates=0)
    progress, _ = load_state(tmp_path, net, optimizer)
    expected, own = trained_net(updates=2)
    assert progress.step == 2
    assert same(net.state_dict(), expected.state_dict())
    assert same(optimizer.state_dict()["state"][0], own.state_dict()["state"][0])


def same(one, other):
    return one.keys() == other.keys() and all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)
