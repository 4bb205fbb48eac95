"""Runs that are killed, stopped or out of room, and then repeated."""

import gzip
import json
import os
import resource
import signal
import subprocess
import sys
import time

import pytest

from prefmodel.batch.columns import Additions, Columns
from prefmodel.batch.journal import Journal, Place
from prefmodel.batch.run import Options, local, score_files
from prefmodel.errors import FileFormatError, InputError
from tests.batch import CHUNK
from tests.command import COMMAND, GOOD, QUESTION, fails
from tests.tiny import build_bundle

ROWS = 40_000  # a second of work or more for the tiny model, so that a run can be killed in the middle
OFTEN = "from prefmodel.batch import journal; journal.SYNC_SECONDS = 0.02; from prefmodel.cli import main; main()"
HALF = 1500 // CHUNK * CHUNK
BEFORE_2001 = 2000 // CHUNK * CHUNK


@pytest.fixture(scope="module")
def many(tmp_path_factory, model):
    """A file of many rows, a few of them bad, and what a run that nobody disturbs makes of them."""
    folder = tmp_path_factory.mktemp("many")
    path = folder / "in.jsonl"
    with open(path, "w") as file:
        for i in range(ROWS):
            row = {"id": i, "question": f"{QUESTION} {i % 97}", "answer": f"{GOOD} {i}" if i % 1000 != 7 else ""}
            file.write(json.dumps(row) + "\n")
    score_files(model, path, folder / "whole.jsonl")
    return path


def whole(path):
    return contents(path.with_name("whole.jsonl"))


def contents(output):
    return output.read_bytes(), output.with_name(f"{output.name}.errors.jsonl").read_bytes()


def command(path, output, bundle, *more):
    return [*COMMAND, "score", str(path), "-o", str(output), "--model", str(bundle), "--threads", "1", *more]


def started(*arguments, **options):
    """Start a run that writes its journal often, so that it can be killed soon after rows reached it."""
    often = [sys.executable, "-c", OFTEN, *command(*arguments)[len(COMMAND) :]]
    return subprocess.Popen(often, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finished_rows(output):
    path = output.with_name(f"{output.name}.progress") / "journal.json"
    try:
        return json.loads(path.read_text())["place"]["rows"]
    except FileNotFoundError:
        return 0


def stopped(running, output, how):
    """Send a signal to a run when its journal tells of finished rows; return of how many it tells then."""
    end = time.monotonic() + 60
    while not finished_rows(output):
        assert running.poll() is None, running.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.01)
    running.send_signal(how)
    running.communicate(timeout=60)
    return finished_rows(output)


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".parquet"])
def test_a_killed_run_goes_on(many, tiny_bundle, tmp_path, suffix):
    output, undisturbed = tmp_path / f"out{suffix}", tmp_path / f"whole{suffix}"
    subprocess.run(command(many, undisturbed, tiny_bundle), check=False, capture_output=True)
    running = started(many, output, tiny_bundle)
    assert 0 < stopped(running, output, signal.SIGKILL) < ROWS
    assert running.returncode == -signal.SIGKILL
    running = started(many, output, tiny_bundle)
    time.sleep(0.2)  # while it starts, or reads again what it has, or goes on
    running.kill()
    running.communicate()
    done = finished_rows(output)
    assert not output.exists()
    last = subprocess.run(command(many, output, tiny_bundle), check=False, capture_output=True, text=True)
    assert last.returncode == 3
    assert f"went on after {done} rows\n" in last.stderr
    assert contents(output) == contents(undisturbed)
    assert {p.name for p in tmp_path.iterdir() if p.name.startswith("out")} == {
        output.name,
        f"{output.name}.errors.jsonl",
    }


def test_ctrl_c_keeps_what_is_finished(many, tiny_bundle, tmp_path):
    output = tmp_path / "out.jsonl"
    running = started(many, output, tiny_bundle)
    done = stopped(running, output, signal.SIGINT)
    assert running.returncode == 130
    assert done > 0
    repeated = subprocess.run(command(many, output, tiny_bundle), check=False, capture_output=True, text=True)
    assert f"went on after {done} rows\n" in repeated.stderr
    assert contents(output) == whole(many)


def test_a_full_disk(many, tiny_bundle, tmp_path):
    """A limit on the size of files makes writes fail in the middle, as a full disk does."""
    output = tmp_path / "out.jsonl"

    def limited():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))

    result = subprocess.run(
        command(many, output, tiny_bundle), check=False, capture_output=True, text=True, preexec_fn=limited
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr
    assert "finished rows are kept: mend this and repeat the command" in result.stderr
    assert finished_rows(output) > 5000
    assert not output.exists()
    assert subprocess.run(command(many, output, tiny_bundle), check=False, capture_output=True).returncode == 3
    assert contents(output) == whole(many)


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_truncated_gzip_input(run, many, tmp_path, kept):
    path, output = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    packed = gzip.compress(many.read_bytes(), 1)
    path.write_bytes(packed[: int(len(packed) * kept)])
    fails(run("score", path, "-o", output), f"{path}, after line ", "end-of-stream marker", warned=True)
    done = finished_rows(output)
    assert done > ROWS * kept * 0.8
    fails(run("score", path, "-o", output), f"{path}, after line ")
    assert finished_rows(output) == done
    path.write_bytes(packed)
    assert f"went on after {done} rows" in run("score", path, "-o", output).stderr
    rows, errors = contents(output)
    assert rows == whole(many)[0]
    assert errors == whole(many)[1].replace(str(many).encode(), str(path).encode())


def test_a_mended_input_must_begin_as_before(run, many, tmp_path):
    path, output = tmp_path / "in.jsonl.gz", tmp_path / "out.jsonl"
    packed = gzip.compress(many.read_bytes(), 1)
    path.write_bytes(packed[: len(packed) // 2])
    fails(run("score", path, "-o", output), "after line ", warned=True)
    done = finished_rows(output)
    path.write_bytes(gzip.compress(many.read_bytes().replace(b'"id": 3,', b'"id": 4,'), 1))
    fails(run("score", path, "-o", output), "rows are not those that were scored before")
    assert finished_rows(output) == done


def test_a_strict_run_goes_on_when_its_bad_row_is_mended(run, model, tmp_path):
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    good = [f"{QUESTION},{GOOD} {i}\n" for i in range(3000)]
    path.write_text("question,answer\n" + "".join(good[:2000]) + f"{QUESTION},\n" + "".join(good[2000:]))
    fails(run("score", path, "-o", output, "--strict"), f"{path}, line 2002: answer is ''")
    assert finished_rows(output) == BEFORE_2001
    path.write_text("question,answer\n" + "".join(good))
    assert f"went on after {BEFORE_2001} rows\n" in run("score", path, "-o", output, "--strict").stderr
    score_files(model, path, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_strict_run_goes_on_as_one_that_is_not(run, tmp_path):
    path, output = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text("question,answer\n" + f"{QUESTION},{GOOD}\n" * 2000 + f"{QUESTION},\n")
    fails(run("score", path, "-o", output, "--strict"), "line 2002")
    assert f"went on after {BEFORE_2001} rows\n" in run("score", path, "-o", output).stderr
    assert len(output.read_text().splitlines()) == 2001


def piped(data, output, bundle):
    return subprocess.run(command("-", output, bundle), check=False, capture_output=True, input=data)


def test_standard_input_is_piped_in_again(many, tiny_bundle, tmp_path):
    output, data = tmp_path / "out.jsonl", many.read_bytes()
    running = started("-", output, tiny_bundle, stdin=open(many, "rb"))  # noqa: SIM115
    done = stopped(running, output, signal.SIGKILL)
    assert done > 0
    other = piped(data.replace(b'"id": 3,', b'"id": 4,'), output, tiny_bundle)
    assert b"rows are not those that were scored before" in other.stderr
    assert f"went on after {done} rows" in piped(data, output, tiny_bundle).stderr.decode()
    assert output.read_bytes() == whole(many)[0]


@pytest.fixture
def half(run, tmp_path):
    """An input whose run stopped at a bad row and left `HALF` finished rows."""
    path = tmp_path / "in.jsonl"
    path.write_text((json.dumps({"question": QUESTION, "answer": GOOD}) + "\n") * 1500 + "{\n")
    fails(run("score", path, "-o", tmp_path / "out.jsonl", "--strict"), "line 1501")
    return path


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--contributions"], "the option contributions was False and is True"),
        (["--min-score", "0.5"], "the option min_score was None and is 0.5"),
        (["--answer-column", "answer"], "the option answer was None and is 'answer'"),
        (["--precision", "float32"], "the model was"),
    ],
)
def test_another_option_is_refused(run, half, options, message):
    output = half.with_name("out.jsonl")
    fails(run("score", half, "-o", output, *options), f"has {HALF} finished rows of another run", message)
    assert finished_rows(output) == HALF
    result = run("score", half, "-o", output, *options, "--restart")
    assert result.exit_code == 3
    assert "went on" not in result.stderr


def test_another_model_is_refused(run, half, tmp_path):
    other = build_bundle(tmp_path / "other", seed=1)
    fails(run("score", half, "-o", half.with_name("out.jsonl"), model=other), "another run, the model was")


def test_another_input_is_refused(run, many, half):
    output = half.with_name("out.jsonl")
    # The input of `half` may change from its bad row on; not before.
    fails(run("score", many, "-o", output), "rows are not those that were scored before")


def test_a_changed_end_of_the_input_of_a_killed_run_is_refused(run, many, tiny_bundle, tmp_path):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_bytes(many.read_bytes())
    stopped(started(path, output, tiny_bundle), output, signal.SIGKILL)
    path.write_bytes(many.read_bytes()[:-3] + b"!" + many.read_bytes()[-2:])
    fails(run("score", path, "-o", output), "finished rows of another run, the input has changed")


def test_two_processes_do_not_write_one_output(run, many, tiny_bundle, tmp_path):
    output = tmp_path / "out.jsonl"
    running = started(many, output, tiny_bundle)
    while not finished_rows(output):
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.01)
    fails(run("score", many, "-o", output), f"{output}: another process is writing it")
    assert running.wait(60) == 3
    assert contents(output) == whole(many)


def test_an_older_output_stays_until_the_new_one_is_whole(run, half):
    output = half.with_name("out.jsonl")
    output.write_text("old\n")
    fails(run("score", half, "-o", output, "--strict"), "line 1501")
    assert output.read_text() == "old\n"
    assert run("score", half, "-o", output).exit_code == 3
    assert len(output.read_text().splitlines()) == 1500


def cannot_be_put_in_place(model, path, output, errors):
    """Score; when all rows are read, a folder takes the place of the list of bad rows."""

    def engine(plan, output):
        yield from local(model)(plan, output)
        errors.mkdir()

    with pytest.raises(FileFormatError, match="mend this and repeat the command"):
        score_files(model, path, output, engine=engine)
    assert not output.exists()


def test_what_is_ready_is_put_in_place_by_the_next_run(run, model, half):
    output, errors = half.with_name("out.jsonl"), half.with_name("out.jsonl.errors.jsonl")
    cannot_be_put_in_place(model, half, output, errors)
    errors.rmdir()
    result = run("score", half, "-o", output)
    assert result.exit_code == 3
    assert "went on after 1500 rows\n" in result.stderr
    assert len(output.read_text().splitlines()) == 1500
    assert len(errors.read_text().splitlines()) == 1
    assert not half.with_name("out.jsonl.progress").exists()


def test_another_run_begins_after_what_is_ready(run, model, half):
    output, errors = half.with_name("out.jsonl"), half.with_name("out.jsonl.errors.jsonl")
    cannot_be_put_in_place(model, half, output, errors)
    errors.rmdir()
    result = run("score", half, "-o", output, "--contributions")
    assert "went on" not in result.stderr
    assert "contributions" in json.loads(output.read_text().splitlines()[0])


@pytest.mark.parametrize(
    "damage", ["not JSON", '{"format": 1}', '{"format": 9, "run": {}, "place": {}, "ready": null}']
)
def test_a_damaged_journal(run, half, damage):
    output = half.with_name("out.jsonl")
    (half.with_name("out.jsonl.progress") / "journal.json").write_text(damage)
    fails(run("score", half, "-o", output), "journal.json: ", "start over with --restart")
    assert run("score", half, "-o", output, "--restart").exit_code == 3


def test_rows_that_are_missing_from_the_folder(run, half):
    os.truncate(half.with_name("out.jsonl.progress") / "rows", 100)
    fails(run("score", half, "-o", half.with_name("out.jsonl")), "damaged; start over with --restart")


def test_a_folder_that_may_not_be_written(tmp_path):
    with pytest.raises(FileFormatError, match="does not exist"):
        Journal(tmp_path / "no" / "out.jsonl", {"sources": []})
    (tmp_path / "out.jsonl").mkdir()
    with pytest.raises(FileFormatError, match=r"out\.jsonl: is a folder"):
        Journal(tmp_path / "out.jsonl", {"sources": []})


def test_a_journal_cuts_off_what_it_does_not_speak_of(tmp_path):
    run = {"sources": [{"sha256": "a"}]}
    journal = Journal(tmp_path / "out.jsonl", run)
    journal.append(b"one\n", b"", Place(rows=1))
    journal.close()
    with open(journal.folder / "rows", "ab") as file:
        file.write(b"tw")
    journal = Journal(tmp_path / "out.jsonl", run)
    assert journal.place.rows == 1
    journal.append(b"two\n", b"bad\n", Place(rows=2, bad=1))
    journal.finish(None)
    assert (tmp_path / "out.jsonl").read_bytes() == b"one\ntwo\n"
    assert (tmp_path / "out.jsonl.errors.jsonl").read_bytes() == b"bad\n"


def test_score_files_from_python(model, tmp_path):
    (tmp_path / "in.tsv").write_text("q\ta\n" + f"{QUESTION}\t{GOOD}\n")
    with pytest.raises(InputError, match="top_k is 0"):
        Additions(top_k=0)
    columns = Columns(question="q", answer="a")
    summary = score_files(model, tmp_path / "in.tsv", tmp_path / "out.tsv", Options(columns))
    assert (summary.rows, summary.kept, summary.bad) == (1, 1, 0)


def test_a_strict_run_does_not_go_on_from_bad_rows(run, many, tiny_bundle, tmp_path):
    output = tmp_path / "out.jsonl"
    stopped(started(many, output, tiny_bundle), output, signal.SIGKILL)
    fails(run("score", many, "-o", output, "--strict"), "bad rows among those that are done; allowed: none")


def test_blank_lines_at_the_end_do_not_stop_a_run_from_going_on(run, model, tmp_path):
    """They were read, to see that there is no more, when the run stopped."""
    path = tmp_path / "in.jsonl"
    path.write_text((json.dumps({"question": QUESTION, "answer": GOOD}) + "\n") * 3 + "\n\n")

    def engine(plan, output):
        yield from local(model)(plan, output)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_files(model, path, tmp_path / "out.jsonl", engine=engine)
    assert "went on after 3 rows\n" in run("score", path, "-o", tmp_path / "out.jsonl").stderr
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 3
