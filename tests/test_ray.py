"""The engine on Ray gives what the local one gives, also when a worker or the driver is lost."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from prefmodel.batch.columns import Additions
from prefmodel.batch.reading import SourceError
from prefmodel.batch.run import Options, score_files
from prefmodel.errors import BundleError
from prefmodel.files import write_rows
from tests.command import COMMAND, GOOD, QUESTION, fails
from tests.tiny import build_bundle

pytestmark = pytest.mark.timeout(240)  # a Ray that hangs, hangs in every test
ROWS = 40_000  # some seconds of work for two actors with the tiny model


def rows(count):
    """Return rows of which some are bad."""
    return [
        {"id": i, "question": f"{QUESTION} {i % 7}", "answer": f"{GOOD} {i}" if i % 700 else ""} for i in range(count)
    ]


def contents(output):
    errors = output.with_name(f"{output.name}.errors.jsonl")
    return output.read_bytes(), errors.read_bytes() if errors.exists() else b""


@pytest.fixture(scope="module")
def ray():
    """Ray as a caller of the engine may have it: connected before, and after."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_USAGE_STATS_ENABLED", "0")
        environment.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # Ray's servers listen on 127.0.0.1
        ray = pytest.importorskip("ray", reason="the extra ray is not installed")
        ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        try:
            # Ray waits for ever where it can start no worker; then that is said, once, and no test waits in vain.
            assert ray.get(ray.remote(lambda: True).remote(), timeout=180)
            yield ray
            assert ray.is_initialized()
        finally:
            ray.shutdown()


@pytest.fixture
def on_ray(ray, model, tiny_bundle):
    from prefmodel.batch.ray_engine import on_ray

    return on_ray(model, str(tiny_bundle), actors=2)


@pytest.fixture
def on_one_actor(ray, model, tiny_bundle):
    """For tests of what does not depend on their number: each actor that starts costs seconds."""
    from prefmodel.batch.ray_engine import on_ray

    return on_ray(model, str(tiny_bundle), actors=1)


@pytest.fixture(scope="module")
def many(tmp_path_factory, model):
    """A file of many rows, and what the local engine makes of it."""
    folder = tmp_path_factory.mktemp("many")
    write_rows(folder / "in.jsonl", rows(ROWS))
    score_files(model, folder / "in.jsonl", folder / "whole.jsonl")
    return folder / "in.jsonl", contents(folder / "whole.jsonl")


class Running:
    """The command in a process of its own; its children are known by a variable that they inherit."""

    def __init__(self, *arguments, folder):
        self.mark = f"PREFMODEL_TEST={uuid.uuid4()}"
        name, value = self.mark.split("=")
        self.process = subprocess.Popen(
            [*COMMAND, "score", *map(str, arguments)],
            cwd=folder,
            env={**os.environ, name: value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def processes(self, title=""):
        """Return the ids of the processes that run (zombies do not) and whose command begins with `title`."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (process / "environ").read_bytes().split(b"\0"):
                    found += [int(process.name)] * (process / "cmdline").read_bytes().startswith(title.encode())
            except OSError:
                continue  # it has ended
        return found

    def wait_for_rows(self, output):
        """Wait until the journal tells of finished rows."""
        journal = output.with_name(f"{output.name}.progress") / "journal.json"
        end = time.monotonic() + 120
        while not (journal.exists() and json.loads(journal.read_bytes())["place"]["rows"]):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.01)

    def ended(self, killed=False):
        """Return stdout and stderr when the command and all that it started are gone."""
        stdout, stderr = self.process.communicate(timeout=120)
        end = time.monotonic() + 60
        while left := self.processes("ray::MapWorker" if killed else ""):
            assert time.monotonic() < end, left
            time.sleep(0.1)
        for process in self.processes():  # agents of Ray, which take a minute to see that their driver was killed
            os.kill(process, signal.SIGKILL)
        return stdout.decode(), stderr.decode()


linux = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")


def test_same_files_as_the_local_engine(on_ray, model, tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path)
    for form in (".jsonl", ".jsonl.gz", ".parquet"):
        write_rows(tmp_path / "in" / f"a{form}", rows(2500))
    (tmp_path / "in" / "b.csv").write_text("question,answer\nWhy?,Because.\nWhy?\nWhy?,\n")
    (tmp_path / "in" / "c.tsv").write_text("question\tanswer\nWhy?\tBecause.\n")
    outputs = Path("ray.parquet"), Path("local.parquet")
    options = Options(additions=Additions(contributions=True, truncated=True))
    summaries = [score_files(model, "in", o, options, e) for o, e in zip(outputs, (on_ray, None), strict=True)]
    assert contents(outputs[0]) == contents(outputs[1])
    assert summaries[0] == summaries[1]
    assert summaries[0].rows == 3 * 2496 + 2
    assert b'{"file": "in/b.csv", "line": 3, ' in contents(outputs[0])[1]


def test_an_empty_file(on_one_actor, model, tmp_path):
    (tmp_path / "in.jsonl").write_text("")
    assert score_files(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", engine=on_one_actor).rows == 0
    assert (tmp_path / "out.jsonl").read_bytes() == b""


def test_same_errors_as_the_local_engine(on_one_actor, model, tmp_path):
    bad, cut = tmp_path / "bad", tmp_path / "cut"
    for folder in (bad, cut):
        folder.mkdir()
        write_rows(folder / "a.jsonl", rows(700)[1:])
    write_rows(bad / "b.jsonl", rows(3000)[1:])
    (cut / "b.jsonl.gz").write_bytes(gzip.compress((bad / "b.jsonl").read_bytes())[:-2000])
    messages = ("b.jsonl, line 700: answer is ''", "b.jsonl.gz, after line ")
    for folder, strict, message in zip((bad, cut), (True, False), messages, strict=True):
        found = []
        for name, engine in (("ray", on_one_actor), ("local", None)):
            with pytest.raises(SourceError) as error:
                score_files(model, folder, tmp_path / f"{name}.jsonl", Options(strict=strict, restart=True), engine)
            found.append((type(error.value), str(error.value), error.value.source))
        assert found[0] == found[1]
        assert message in found[0][1]
        assert found[0][2] == 1


def test_the_bundle_of_an_actor(ray, model, tmp_path):
    from prefmodel.batch.ray_engine import on_ray

    write_rows(tmp_path / "in.jsonl", rows(10)[1:])
    other = build_bundle(tmp_path / "other", seed=1)
    for name, message in ((str(other), "prefmodel.json is '.*; allowed: '"), (str(tmp_path / "no"), "no such folder")):
        with pytest.raises(BundleError, match=f"{message}.*every node needs the same bundle"):
            score_files(model, tmp_path / "in.jsonl", tmp_path / "out.jsonl", engine=on_ray(model, name, actors=1))
    assert not (tmp_path / "out.jsonl").exists()


def test_what_cannot_be(ray, run, model, tiny_bundle, tmp_path):
    write_rows(tmp_path / "in.jsonl", rows(10))
    score = ["score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--engine", "ray"]
    fails(run("score", "-", "--engine", "ray"), "the input is standard input; allowed with the engine ray: files")
    fails(run(*score, "--ray-address", "auto"), "the address is 'auto'; allowed: none, because Ray is connected")
    fails(run(*score, "--threads", 3), "threads is 3; allowed: up to 2, the CPUs of the cluster's largest node")
    assert list(tmp_path.iterdir()) == [tmp_path / "in.jsonl"]


def test_an_existing_cluster(ray, model, tiny_bundle, tmp_path):
    """The command is a second driver of the Ray of this process, which goes on."""
    write_rows(tmp_path / "in.jsonl", rows(3000))
    score_files(model, tmp_path / "in.jsonl", tmp_path / "local.jsonl")
    arguments = ["in.jsonl", "-o", "out.jsonl", "--engine", "ray", "--model", tiny_bundle, "--ray-address"]
    running = Running(*arguments, ray.get_runtime_context().gcs_address, folder=tmp_path)
    assert running.ended()[0] == ""
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "local.jsonl").read_bytes()
    for wrong in ("ray://localhost:1", "127.0.0.1:1"):
        stdout, stderr = Running(*arguments, wrong, folder=tmp_path).ended()
        assert (stdout, stderr.count("\n")) == ("", 1)
        assert stderr.startswith(f"error: the address is '{wrong}'; allowed: auto, or host:port of a cluster that")
    assert ray.nodes()[0]["Alive"]


@linux
def test_an_actor_is_killed(ray, many, tiny_bundle, tmp_path):
    """Its rows are computed again, what Ray tells does not get into the rows, and no process stays behind."""
    path, whole = many
    running = Running(
        path, "-o", "out.jsonl", "--model", tiny_bundle, "--engine", "ray", "--actors", 2, folder=tmp_path
    )
    running.wait_for_rows(tmp_path / "out.jsonl")
    actors = running.processes("ray::MapWorker")
    assert len(actors) == 2
    os.kill(actors[0], signal.SIGKILL)
    written = (tmp_path / "out.jsonl.progress" / "rows").stat().st_size
    assert written < len(whole[0]) / 2
    stdout, stderr = running.ended()
    assert stdout == ""
    assert "worker died" in stderr
    assert contents(tmp_path / "out.jsonl") == whole


@linux
def test_the_driver_is_killed(ray, many, model, tiny_bundle, tmp_path):
    """The local engine goes on where Ray was killed."""
    path, whole = many
    output = tmp_path / "out.jsonl"
    running = Running(path, "-o", "out.jsonl", "--model", tiny_bundle, "--engine", "ray", folder=tmp_path)
    running.wait_for_rows(output)
    running.process.kill()
    running.ended(killed=True)
    assert not output.exists()
    assert 0 < score_files(model, path, output).resumed < ROWS
    assert contents(output) == whole


@linux
def test_rows_on_stdout_and_a_stop(ray, tiny_bundle, tmp_path):
    """A Ray of the command's own is quiet, and gone after Ctrl-C."""
    write_rows(tmp_path / "in.jsonl", rows(ROWS)[1:100])
    command = [tmp_path / "in.jsonl", "--model", tiny_bundle, "--engine"]
    on_ray = Running(*command, "ray", "--actors", 1, folder=tmp_path).ended()
    assert on_ray == Running(*command, "local", folder=tmp_path).ended()
    write_rows(tmp_path / "in.jsonl", rows(ROWS))
    running = Running(*command, "ray", "-o", "out.jsonl", folder=tmp_path)
    running.wait_for_rows(tmp_path / "out.jsonl")
    running.process.send_signal(signal.SIGINT)
    stdout, stderr = running.ended()
    assert stdout == ""
    assert stderr.endswith("stopped; repeat the command to go on\n")  # Ray may tell that it ended an actor
    assert running.process.returncode == 130


def test_a_ray_of_its_own_ends_with_an_error(tiny_bundle, tmp_path):
    pytest.importorskip("ray", reason="the extra ray is not installed")
    write_rows(tmp_path / "in.jsonl", rows(2))
    script = """
import sys, ray
from prefmodel import PreferenceModel
from prefmodel.batch.ray_engine import on_ray
from prefmodel.batch.run import Options, score_files
try:
    model = PreferenceModel.from_pretrained(sys.argv[1])
    score_files(model, "in.jsonl", "out.jsonl", Options(strict=True), on_ray(model, sys.argv[1], actors=1))
except Exception as error:
    print(error, ray.is_initialized())
"""
    command = [sys.executable, "-c", script, str(tiny_bundle)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "in.jsonl, line 1: answer is ''; allowed: non-empty text False\n"


def test_ray_is_missing(tmp_path):
    write_rows(tmp_path / "in.jsonl", rows(2))
    without = "import sys; sys.modules['ray'] = None; from prefmodel.cli import main; main()"
    command = [sys.executable, "-c", without, "score", str(tmp_path / "in.jsonl"), "--engine", "ray"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == "error: the engine ray needs the extra 'ray': pip install 'prefmodel[ray]'\n"
