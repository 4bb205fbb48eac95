import errno
import fcntl
import gzip
import json
import os
import stat
import subprocess
import sys

import pytest

from prefmodel.files import FORMATS, read_rows, write_pairs, write_rows, write_threads
from prefmodel.types import Answer, Message, PreferencePair, Thread
from tests.batch import read_table, write
from tests.command import BAD, COMMAND, GOOD, LONG, QUESTION, fails, process, succeeds


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_score_a_file(run, model, tmp_path, suffix, output):
    rows = [{"id": i, "question": QUESTION, "answer": f"{GOOD} {i % 7}", "extra": {"n": i}} for i in range(1100)]
    write_rows(tmp_path / f"in{suffix}", rows)
    assert succeeds(run("score", tmp_path / f"in{suffix}", "-o", tmp_path / f"out{output}")) == ""
    found = [row for _, row in read_rows(tmp_path / f"out{output}")]
    scores = [row.pop("score") for row in found]
    assert found == rows
    assert scores == pytest.approx(model.score(QUESTION, [row["answer"] for row in rows]).tolist(), abs=1e-5)


def test_score_to_stdout(run, model, tmp_path):
    dialogue = [{"role": "user", "content": "Why?"}, {"role": "user", "content": "é"}]
    rows = [{"question": dialogue, "answers": [GOOD, BAD, GOOD]}, {"question": QUESTION, "answers": []}]
    write_rows(tmp_path / "in.jsonl", rows)
    found = [json.loads(line) for line in succeeds(run("score", tmp_path / "in.jsonl")).splitlines()]
    assert found[0].pop("scores") == pytest.approx(model.score(dialogue, [GOOD, BAD, GOOD]).tolist(), abs=1e-5)
    assert found[1].pop("scores") == []
    assert found == rows


@pytest.mark.parametrize("suffix", FORMATS)
def test_score_pairs(run, model, tmp_path, suffix):
    dialogue = (Message("user", "Why?"), Message("assistant", "Is it?"), Message("user", "The sky."))
    pairs = [PreferencePair(q, GOOD, BAD, axiom="human", source="demo", margin=0.5) for q in ("Why?", dialogue)]
    write_pairs(tmp_path / f"pairs{suffix}", pairs)
    succeeds(run("score", tmp_path / f"pairs{suffix}", "-o", tmp_path / "out.jsonl"))
    for pair, (_, row) in zip(pairs, read_rows(tmp_path / "out.jsonl"), strict=True):
        assert row["score_chosen"] == pytest.approx(model.score(pair.question, GOOD), abs=1e-5)
        assert row["score_rejected"] == pytest.approx(model.score(pair.question, BAD), abs=1e-5)
        assert row["score_margin"] == row["score_chosen"] - row["score_rejected"]
        assert row["margin"] == 0.5


def test_score_threads(run, model, tmp_path):
    write_threads(tmp_path / "threads.parquet", [Thread("demo/1", "demo", QUESTION, (Answer(GOOD), Answer(BAD)))])
    succeeds(run("score", tmp_path / "threads.parquet", "-o", tmp_path / "out.jsonl"))
    [(_, row)] = read_rows(tmp_path / "out.jsonl")
    assert row["scores"] == pytest.approx(model.score(QUESTION, [GOOD, BAD]).tolist(), abs=1e-5)


def test_score_in_place_and_again(run, tmp_path):
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"question": QUESTION, "answer": GOOD}])
    succeeds(run("score", path, "-o", path))
    once = path.read_bytes()
    assert run("score", path, "-o", path).stderr == "warning: columns of the input were replaced: score\n"
    assert path.read_bytes() == once
    assert b'"score"' in once


def test_an_empty_file(run, tmp_path):
    (tmp_path / "in.jsonl").write_text("")
    assert succeeds(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")) == ""
    assert (tmp_path / "out.jsonl").read_bytes() == b""
    succeeds(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl.gz"))
    assert gzip.decompress((tmp_path / "out.jsonl.gz").read_bytes()) == b""


@pytest.mark.parametrize(("rows", "score"), [("", ""), (f"{QUESTION},{GOOD}\n", ",score")])
def test_a_table_without_a_row_that_is_kept_has_its_header(run, tmp_path, rows, score):
    (tmp_path / "in.csv").write_text(f"question,answer\n{rows}")
    assert run("score", tmp_path / "in.csv", "-o", tmp_path / "out.csv", "--min-score", 99).exit_code == 0
    assert (tmp_path / "out.csv").read_text() == f"question,answer{score}\n"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
@pytest.mark.parametrize("row", [{"answer": GOOD}, {"answers": [GOOD]}, {"chosen": GOOD, "rejected": GOOD}])
def test_parquet_without_a_row_that_is_kept_has_the_columns_of_one_with_rows(run, tmp_path, suffix, row):
    cells = {
        name: json.dumps(value) if isinstance(value, list) and suffix == ".csv" else value
        for name, value in row.items()
    }
    write(tmp_path / f"in{suffix}", [{"question": QUESTION, **cells}])
    schemas = []
    for least in (-99, 99):
        output = tmp_path / f"out{least}.parquet"
        options = ["--min-score", least, "--contributions", "--truncated"]
        assert run("score", tmp_path / f"in{suffix}", "-o", output, *options).exit_code == 0
        schemas.append(read_table(output).schema)
    assert len(schemas[0]) > 4
    assert schemas[1].equals(schemas[0])
    assert read_table(output).num_rows == 0


def test_what_can_score_nothing_is_an_error_on_standard_output_too(tiny_bundle):
    result = process("score", "-", "--model", tiny_bundle, input=f"question,answer\n{QUESTION},{GOOD}\n")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "error: -: none of 2 rows can be scored; it was read as jsonl, see --stdin-format"
    )


def test_a_run_that_can_score_nothing_leaves_everything_as_it_was(run, tmp_path):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(path, [{"question": QUESTION, "answer": GOOD}] * 2)
    output.write_text("of before\n")
    result = run("score", path, "-o", output, "--answer-column", "nosuch")
    assert result.exit_code == 1
    assert f"{path}, line 1: there is no column 'nosuch'; allowed: question, answer" in result.stderr
    assert result.stderr.endswith(f"error: {path}: none of 2 rows can be scored; {output} is not written\n")
    assert output.read_text() == "of before\n"
    assert sorted(tmp_path.iterdir()) == [path, output]


def test_no_row_is_lost_where_the_output_replaces_the_input(run, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": GOOD}) + "\n{\n")
    before = path.read_bytes()
    fails(run("score", path, "-o", path), f"{path}, line 2: not a JSON object")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["out.jsonl.errors.jsonl", "out.jsonl.progress/mine", "out.jsonl.errors.jsonl/mine"])
def test_files_of_others_are_not_touched(run, tmp_path, name):
    path, theirs = tmp_path / "in.jsonl", tmp_path / name
    write_rows(path, [{"question": QUESTION, "answer": GOOD}])
    theirs.parent.mkdir(exist_ok=True)
    theirs.write_text("mine\n")
    fails(run("score", path, "-o", tmp_path / "out.jsonl"), "is not of prefmodel; allowed: another name for the output")
    assert theirs.read_text() == "mine\n"


def test_the_mode_of_an_older_output_stays(run, tmp_path):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    write_rows(path, [{"question": QUESTION, "answer": GOOD}])
    output.touch(0o600)
    succeeds(run("score", path, "-o", output))
    assert output.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_the_output_stays_one(run, tmp_path, there):
    """What it leads to, which may have another ending, is written, and what belongs to the run lies beside that."""
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "target.dat", tmp_path / "out.jsonl"
    if there:
        target.write_text("old\n")
    link.symlink_to(target)
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD}, {"question": QUESTION}])
    result = run("score", tmp_path / "in.jsonl", "-o", link)
    assert result.exit_code == 3
    assert f"they are in {target}.errors.jsonl" in result.stderr
    assert link.is_symlink()
    assert "score" in json.loads(target.read_text())
    assert {path.name for path in (tmp_path / "far").iterdir()} == {"target.dat", "target.dat.errors.jsonl"}
    assert {path.name for path in tmp_path.iterdir()} == {"far", "in.jsonl", "out.jsonl"}


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="finds the open files in /proc")
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_system_that_moves_no_open_file_and_syncs_none_that_is_read_only(run, tmp_path, monkeypatch, suffix):
    """As Windows does."""
    fsync, replace = os.fsync, os.replace

    def strict_fsync(handle):
        is_file = stat.S_ISREG(os.fstat(handle).st_mode)
        if is_file and fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "read only")
        fsync(handle)

    def strict_replace(source, target):
        links = [f"/proc/self/fd/{handle}" for handle in os.listdir("/proc/self/fd")]
        if str(source) in [os.readlink(link) for link in links if os.path.lexists(link)]:
            raise PermissionError(errno.EACCES, "open")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", strict_fsync)
    monkeypatch.setattr(os, "replace", strict_replace)
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD}, {"question": QUESTION}])
    result = run("score", tmp_path / "in.jsonl", "-o", tmp_path / f"out{suffix}")
    assert result.exit_code == 3, result.output
    assert len(list(read_rows(tmp_path / f"out{suffix}"))) == 1


def test_a_name_that_is_too_long_for_what_lies_beside_it(run, tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD}])
    result = run("score", tmp_path / "in.jsonl", "-o", tmp_path / f"{'x' * 240}.jsonl")
    fails(result, "File name too long")
    assert "finished rows" not in result.stderr


@pytest.mark.parametrize(("redirection", "message"), [("<&-", "standard input is closed"), (">&-", "output is closed")])
def test_closed_streams(tiny_bundle, redirection, message):
    command = f'"$0" -m prefmodel.cli score - --model "$1" {redirection}'
    result = subprocess.run(["bash", "-c", command, sys.executable, str(tiny_bundle)], capture_output=True, text=True)
    assert result.returncode in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_table_with_another_separator_is_refused(run, tmp_path):
    (tmp_path / "in.csv").write_text(f"question;answer\n{QUESTION};{GOOD}\n")
    fails(run("score", tmp_path / "in.csv"), "one column, 'question;answer', as of a table separated by ';'")


def test_rows_that_were_cut_are_counted(run, tmp_path):
    rows = [{"question": QUESTION, "answers": [LONG, GOOD, LONG]}, {"question": QUESTION, "answer": GOOD}]
    write_rows(tmp_path / "in.jsonl", rows)
    result = run("score", tmp_path / "in.jsonl")
    assert result.stderr == "warning: 1 of 2 rows were cut to 64 tokens\n"
    assert len(result.stdout.splitlines()) == 2


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": QUESTION, "answer": None}, "answer is None; allowed: non-empty text"),
        ({"question": QUESTION, "answer": 5}, "answer is 5; allowed: non-empty text"),
        ({"question": QUESTION, "answer": ""}, "answer is ''; allowed: non-empty text"),
        ({"question": QUESTION, "answers": [GOOD, None]}, "answers[1] is None; allowed: non-empty text"),
        ({"question": QUESTION, "answers": [{"votes": 1}]}, "answers[0] is None; allowed: non-empty text"),
        ({"question": QUESTION, "answers": GOOD}, "allowed: a list of texts"),
        ({"question": QUESTION, "answers": None}, "answers is None; allowed: a list of texts"),
        ({"question": None, "answer": GOOD}, "question is None; allowed: text, or a list of messages"),
        ({"answer": GOOD}, "question is None; allowed: text, or a list of messages"),
        ({"question": 7, "answer": GOOD}, "question is 7; allowed: text, or a list of messages"),
        ({"question": [{"role": "bot", "content": "x"}], "answer": GOOD}, "role is 'bot'; allowed: system"),
        ({"question": QUESTION, "chosen": GOOD}, "columns are question, chosen; allowed: answer, answers, or both"),
        ({"question": QUESTION}, "columns are question; allowed: answer, answers, or both chosen and rejected"),
    ],
)
def test_a_bad_row(run, tmp_path, row, message):
    path, output, errors = tmp_path / "in.jsonl", tmp_path / "out.jsonl", tmp_path / "out.jsonl.errors.jsonl"
    good = {"question": QUESTION, "answer": GOOD}
    write_rows(path, [good, row, good])
    result = run("score", path, "-o", output)
    assert (result.exit_code, result.stdout) == (3, "")
    told, last = result.stderr.splitlines()
    assert told.startswith(f"warning: {path}, line 2: ")
    assert last == f"warning: 1 of 3 rows could not be scored; they are in {errors}"
    assert len(output.read_text().splitlines()) == 2
    [(_, told)] = read_rows(errors)
    assert message in told.pop("reason")
    assert told == {"file": str(path), "line": 2, "row": row}


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_strict_run_stops_at_the_first_bad_row(run, tmp_path, suffix):
    path, output = tmp_path / f"in{suffix}", tmp_path / "out.jsonl"
    write_rows(path, [{"question": QUESTION, "answer": answer} for answer in (GOOD, "", None)])
    fails(run("score", path, "-o", output, "--strict"), f"{path}, line 2: answer is ''; allowed: non-empty text")
    fails(run("score", path, "--strict"), f"{path}, line 2: ")
    assert list(tmp_path.iterdir()) == [path]


def test_bad_rows_of_a_run_to_stdout_are_told_on_stderr(run, tmp_path):
    path = tmp_path / "in.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": GOOD}) + "\n" + "{\n" * 20)
    result = run("score", path)
    assert result.exit_code == 3
    assert len(result.stdout.splitlines()) == 1
    *told, last = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["warning"] * 3
    assert f"{path}, line 2: not a JSON object" in told[0]
    assert last == "warning: 20 of 21 rows could not be scored"


def test_a_good_run_takes_away_the_bad_rows_of_an_earlier_one(run, tmp_path):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text(json.dumps({"question": QUESTION, "answer": GOOD}) + "\n{\n")
    assert run("score", path, "-o", output).exit_code == 3
    assert (tmp_path / "out.jsonl.errors.jsonl").exists()
    write_rows(path, [{"question": QUESTION, "answer": GOOD}])
    succeeds(run("score", path, "-o", output))
    assert {p.name for p in tmp_path.iterdir()} == {"in.jsonl", "out.jsonl"}


def test_missing_and_unknown_files(run, tmp_path):
    fails(run("score", tmp_path / "missing.jsonl"), "missing.jsonl: no such file")
    fails(run("score", tmp_path / "in.csv"), "in.csv: no such file")
    fails(run("score", tmp_path), "no file in it ends with .jsonl, .jsonl.gz, .csv, .tsv, .parquet")
    (tmp_path / "in.txt").write_text("")
    fails(run("score", tmp_path / "in.txt"), "in.txt: unknown file type; allowed: .jsonl, .jsonl.gz, .csv, .tsv")
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD}])
    fails(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.txt"), "out.txt: unknown file type")
    fails(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "no" / "out.jsonl"), "does not exist")


def test_a_file_that_may_not_be_written(run, tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD}])
    (tmp_path / "out.jsonl").mkdir()
    fails(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl"), "out.jsonl")


def test_a_broken_pipe_is_quiet(tiny_bundle, tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"question": QUESTION, "answer": GOOD, "text": "x" * 1000}] * 2000)
    command = [*COMMAND, "score", str(tmp_path / "in.jsonl"), "--model", str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline()
        running.stdout.close()
        assert running.stderr.read() == b""
    assert running.returncode != 0
