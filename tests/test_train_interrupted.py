"""Runs that are killed or interrupted, in processes of their own, and go on to the very same weights."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.optim import AdamW

from prefmodel.errors import BundleError
from tests.killed import alone, killed_at
from tests.small_run import ENVIRONMENT, log, same_weights, small_run
from training.ctrl_c import CtrlC
from training.resume import Progress, discard_state, load_state, save_state, tensors_of

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run that is long enough to be interrupted in its middle."""
    return small_run(tmp_path_factory.mktemp("small")).variant("long", epochs=12)


@pytest.fixture(scope="module")
def uninterrupted(small, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "uninterrupted"
    assert small.train(out).exit_code == 0
    return out


def interrupted(small, out, number):
    """Start a run, send it a signal soon after its first state is saved; return its status and its stderr."""
    process = subprocess.Popen(
        small.command(out), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    )
    try:
        deadline = time.monotonic() + 300
        while not (out / "resume" / "state.json").exists() or len(log(out)) < 6:
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=300)
        return process.returncode, stderr
    finally:
        process.kill()
        process.wait()


def test_a_killed_run_ends_with_the_same_weights(small, uninterrupted, tmp_path):
    out = tmp_path / "run"
    status, _ = interrupted(small, out, signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert not (out / "run.json").exists()
    result = small.train(out)
    assert result.exit_code == 0, result.output
    assert same_weights(out, uninterrupted)
    assert [entry["loss"] for entry in log(out)] == [entry["loss"] for entry in log(uninterrupted)]


def test_ctrl_c_saves_the_state(small, uninterrupted, tmp_path):
    out = tmp_path / "run"
    status, stderr = interrupted(small, out, signal.SIGINT)
    assert status == 130
    done, total = log(out)[-1]["step"], len(log(uninterrupted))
    assert 6 <= done < total
    assert stderr.splitlines()[-1] == f"stopped after {done} of {total} updates; the same command goes on"
    assert "Traceback" not in stderr
    assert "Loading weights" not in stderr
    assert json.loads((out / "resume" / "state.json").read_text())["step"] == done
    assert small.train(out).exit_code == 0
    assert same_weights(out, uninterrupted)


@pytest.fixture
def sigint():
    """Set how this process handles Ctrl-C, for one test."""
    before = signal.getsignal(signal.SIGINT)
    yield lambda handler: signal.signal(signal.SIGINT, handler)
    signal.signal(signal.SIGINT, before)


def test_a_second_ctrl_c_does_not_wait(sigint):
    sigint(signal.default_int_handler)
    with CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.pressed
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_one_ctrl_c_is_remembered(sigint):
    sigint(signal.default_int_handler)
    with CtrlC() as ctrl_c:
        assert not ctrl_c.pressed
        signal.raise_signal(signal.SIGINT)
        assert ctrl_c.pressed
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_ignored_ctrl_c_stays_ignored(sigint):
    """A shell ignores it for what it starts in the background."""
    sigint(signal.SIG_IGN)
    with CtrlC() as ctrl_c:
        signal.raise_signal(signal.SIGINT)
        assert not ctrl_c.pressed
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def linear(value):
    net = torch.nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    optimizer = AdamW(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(value)
    return net, optimizer


def loaded(run):
    """Return the updates of the state in `run` and the value of its weights, which has to be the same."""
    net, optimizer = linear(0.0)
    progress, _ = load_state(run, net, optimizer)
    step, seconds = progress.step, progress.seconds
    assert seconds == step * 2.0
    assert len({p for parameter in net.parameters() for p in parameter.flatten().tolist()}) == 1
    return step, net.bias.item()


def save(run, step):
    save_state(run, tensors_of(*linear(float(step)), {}), Progress(step, step * 2.0))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies of a process to kill them")
def test_a_kill_at_any_instant_leaves_a_whole_state(tmp_path):
    """Kill `save_state` before its 1st, 2nd, … change of the file system, until it comes to its end."""
    found = [tuple(state) for state in alone(kills, tmp_path)]
    assert len(found) > 5
    assert found == sorted(found)
    assert set(found) == {(1, 1.0), (2, 2.0)}


def kills(folder):
    """Print what each kill left."""
    found = []
    for instant in range(1, 100):
        run = Path(folder) / str(instant)
        run.mkdir()
        save(run, 1)
        ended = killed_at(instant, lambda run=run: save(run, 2))
        found.append(loaded(run))
        save(run, 3)  # whatever the kill left is no hindrance
        assert loaded(run) == (3, 3.0)
        if ended:
            break
    print(json.dumps(found))


def test_a_part_of_a_state_does_not_count(tmp_path):
    """A kill in the middle of writing the tensors leaves a part of them, and no `state.json`."""
    save(tmp_path, 1)
    part = tmp_path / "resume.new"
    part.mkdir()
    whole = (tmp_path / "resume" / "state.safetensors").read_bytes()
    (part / "state.safetensors").write_bytes(whole[: len(whole) // 2])
    assert loaded(tmp_path) == (1, 1.0)
    assert not part.exists()


def test_without_a_state_it_begins_anew(tmp_path):
    assert loaded(tmp_path) == (0, 0.0)
    save(tmp_path, 1)
    discard_state(tmp_path)
    assert loaded(tmp_path) == (0, 0.0)
    assert list(tmp_path.iterdir()) == []


def test_the_state_holds_optimizer_and_random_numbers(tmp_path):
    net, optimizer = linear(1.0)
    save_state(tmp_path, tensors_of(net, optimizer, {"cpu.0": torch.get_rng_state()}), Progress(1, 2.0, 1, 0.7))
    expected = torch.rand(3)
    other = torch.nn.Linear(2, 1)
    fresh = AdamW(other.parameters())
    progress, random = load_state(tmp_path, other, fresh)
    assert progress == Progress(1, 2.0, 1, 0.7)
    torch.set_rng_state(random["cpu.0"])
    assert torch.equal(torch.rand(3), expected)
    kept, own = fresh.state_dict()["state"], optimizer.state_dict()["state"]
    assert kept.keys() == own.keys()
    assert all(torch.equal(kept[i][name], own[i][name]) for i in own for name in own[i])


def test_the_state_has_nothing_that_can_run_code(tmp_path):
    save(tmp_path, 1)
    assert sorted(path.name for path in (tmp_path / "resume").iterdir()) == ["state.json", "state.safetensors"]
    assert load_file(tmp_path / "resume" / "state.safetensors")["net.bias"].item() == 1


def test_a_state_of_another_model_is_refused(tmp_path):
    save(tmp_path, 1)
    net = torch.nn.Linear(3, 1)
    with pytest.raises(BundleError, match="weight is missing or of another shape; the state is of another model"):
        load_state(tmp_path, net, AdamW(net.parameters()))


@pytest.mark.parametrize("name", ["state.json", "state.safetensors"])
def test_a_damaged_state_is_told(tmp_path, name):
    save(tmp_path, 1)
    (tmp_path / "resume" / name).write_bytes(b"{")
    with pytest.raises(BundleError, match=r"resume: damaged, remove it to begin anew: \S"):
        load_state(tmp_path, *linear(0.0))
