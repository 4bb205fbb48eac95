import json
import subprocess

import pytest

from prefmodel.files import FORMATS, read_rows, write_pairs, write_rows, write_threads
from prefmodel.types import Answer, Message, PreferencePair, Thread
from tests.command import BAD, COMMAND, GOOD, LONG, QUESTION, fails, succeeds


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
    succeeds(run("score", path, "-o", path))
    assert path.read_bytes() == once
    assert b'"score"' in once


def test_an_empty_file(run, tmp_path):
    (tmp_path / "in.jsonl").write_text("")
    assert succeeds(run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl")) == ""
    assert (tmp_path / "out.jsonl").read_bytes() == b""


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
        ({"question": None, "answer": GOOD}, "question is None; allowed: non-empty text, or messages"),
        ({"answer": GOOD}, "question is None; allowed: non-empty text, or messages"),
        ({"question": 7, "answer": GOOD}, "question is 7; allowed: non-empty text, or messages"),
        ({"question": [{"role": "bot", "content": "x"}], "answer": GOOD}, "question: role is 'bot'; allowed: system"),
        ({"question": QUESTION, "chosen": GOOD}, "columns are question, chosen; allowed: answer, answers, or both"),
        ({"question": QUESTION}, "columns are question; allowed: answer, answers, or both chosen and rejected"),
    ],
)
def test_a_bad_row(run, tmp_path, row, message):
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in [{"question": QUESTION, "answer": GOOD}, row]))
    fails(run("score", path, "-o", output), f"{path}, line 2: ", message)
    fails(run("score", path), f"{path}, line 2: ", message)
    assert not output.exists()


def test_a_broken_line_in_the_middle(run, tmp_path):
    """The line stands behind the first chunk, so that output was already written when it is found."""
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    good = json.dumps({"question": QUESTION, "answer": GOOD}) + "\n"
    path.write_text(good * 1500 + '{"question": ' + "\n" + good)
    fails(run("score", path, "-o", output), f"{path}, line 1501: not a JSON object")
    assert list(tmp_path.iterdir()) == [path]


def test_missing_and_unknown_files(run, tmp_path):
    fails(run("score", tmp_path / "missing.jsonl"), "missing.jsonl: no such file")
    fails(run("score", tmp_path / "in.csv"), "in.csv: unknown file type; allowed: .jsonl, .jsonl.gz, .parquet")
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
