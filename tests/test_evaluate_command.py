"""`prefmodel evaluate` with a tiny real bundle and small files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys

import pytest
from click.testing import CliRunner

from prefmodel.cli import main
from prefmodel.evaluation import correctness
from prefmodel.files import write_pairs, write_rows
from prefmodel.model import PreferenceModel
from prefmodel.splits import SPLITS, split_of
from prefmodel.types import PreferencePair
from tests.command import COMMAND, process
from tests.tiny_encoder import encoder_folder


def rows(number, start=0):
    """Return rows of pairs: two for each question, answers of many lengths."""
    questions = [f"Why is the sky of planet {start + i // 2} blue?" for i in range(number)]
    answers = [
        ("Air scatters blue light. " * (i % 3 + 1), "No idea, ask planet " + "again " * (i % 5)) for i in range(number)
    ]
    return [{"question": q, "chosen": a, "rejected": b} for q, (a, b) in zip(questions, answers, strict=True)]


@pytest.fixture
def files(tmp_path):
    write_rows(tmp_path / "one.jsonl", rows(24))
    write_rows(tmp_path / "two.jsonl.gz", [{**row, "gpt4": 1.0} for row in rows(10, start=50)])
    return [str(tmp_path / "one.jsonl"), str(tmp_path / "two.jsonl.gz")]


@pytest.fixture
def run(tiny_bundle):
    def evaluate(*arguments, model=tiny_bundle):
        command = ["evaluate", *map(str, arguments), "--model", str(model), "--threads", "1"]
        return CliRunner().invoke(main, command, catch_exceptions=False)

    return evaluate


def one_error(result):
    """Return the text of the one line that an error is."""
    assert result.exit_code == 1
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    return lines[0]


def test_the_table_goes_to_stdout_and_progress_to_stderr(run, files):
    result = run(*files)
    assert result.exit_code == 0, result.stderr
    heading, one, two, mean, total = result.stdout.split("\n\n")[0].splitlines()
    columns = [
        "file",
        "pairs",
        "model",
        "length-matched (n)",
        "longer answer",
        "BM25",
        "readability",
        "GPT-4 (n)",
        "GPT-4 length-matched (n)",
    ]
    assert [cell.strip() for cell in heading.split("  ") if cell.strip()] == columns
    assert one.split()[:2] == ["one", "24"]
    assert two.split()[:2] == ["two", "10"]
    assert mean.startswith("mean of 2 files")
    assert total.split()[:3] == ["all", "pairs", "34"]
    assert "model minus longer answer" in result.stdout
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == ["one, model", "two, model"]


def test_the_accuracy_is_that_of_the_model(run, files, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setattr("prefmodel.evaluate_command.CHUNK", 5)  # several chunks, the last of them short
    assert run(files[0], "--report", tmp_path / "report").exit_code == 0
    model, pairs = PreferenceModel.from_pretrained(tiny_bundle, threads=1), rows(24)
    chosen, rejected = (
        model.score_batch([r["question"] for r in pairs], [r[side] for r in pairs]).scores
        for side in ("chosen", "rejected")
    )
    values = json.loads((tmp_path / "report" / "results.json").read_text())
    found = values["files"]["one"]["accuracy"]["model"]
    assert found["value"] == pytest.approx(correctness(chosen - rejected).mean(), abs=1 / 24)  # a near tie may turn
    assert found["count"] == 24


def test_the_report_says_what_was_run(run, files, tiny_bundle, tmp_path):
    folder = tmp_path / "deep" / "report"
    result = run(*files, "--report", folder, "--seed", 3)
    assert result.exit_code == 0, result.stderr
    values = json.loads((folder / "results.json").read_text())
    about = values["about"]
    assert (about["seed"], about["split"], about["unfinished"]) == (3, None, [])
    assert about["models"]["model"]["folder"] == str(tiny_bundle)
    for name, path in zip(("one", "two"), files, strict=True):
        with open(path, "rb") as file:
            assert about["files"][name] == {"path": path, "sha256": hashlib.sha256(file.read()).hexdigest()}
    assert (values["files"]["one"]["pairs"], values["files"]["one"]["questions"]) == (24, 12)
    assert list(values["pooled"]["macro"]) == ["model", "longer", "bm25", "readability"]
    assert values["pooled"]["positions"]["model"] < 1e-6
    assert "| one | 24 |" in (folder / "results.md").read_text()


def test_the_same_seed_gives_the_same_report(run, files, tmp_path):
    outputs = []
    for name in ("first", "second"):
        result = run(*files, "--report", tmp_path / name)
        outputs.append((result.stdout, (tmp_path / name / "results.json").read_bytes()))
    assert outputs[0] == outputs[1]


def test_another_bundle_is_compared(run, files, tiny_bundle, tmp_path):
    shutil.copytree(tiny_bundle, tmp_path / "twin")
    result = run(*files, "--compare", tmp_path / "twin")
    assert result.exit_code == 0, result.stderr
    assert "twin" in result.stdout.splitlines()[0]
    assert "model minus twin, mean of files: +.000 [+.000, +.000]" in result.stdout


def test_bundles_of_one_name_are_told_apart(run, files, tiny_bundle, tmp_path):
    for folder in ("a", "b"):
        shutil.copytree(tiny_bundle, tmp_path / folder / "same")
    result = run(files[0], "--compare", tmp_path / "a" / "same", "--compare", tmp_path / "b" / "same")
    assert result.exit_code == 0, result.stderr
    assert str(tmp_path / "a" / "same") in result.stdout
    assert str(tmp_path / "b" / "same") in result.stdout
    assert "names" in one_error(
        run(files[0], "--compare", tmp_path / "a" / "same", "--compare", tmp_path / "a" / "same")
    )


def test_files_of_one_name_are_told_apart(run, tmp_path):
    paths = [tmp_path / folder / "same.jsonl" for folder in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        write_rows(path, rows(4))
    result = run(*paths)
    assert result.exit_code == 0, result.stderr
    assert all(str(path) in result.stdout for path in paths)


def test_each_split_has_its_own_pairs(run, tmp_path):
    pairs = rows(200)
    write_rows(tmp_path / "many.jsonl", pairs)
    expected = {split: sum(split_of(row["question"]) == split for row in pairs) for split in SPLITS}
    assert all(expected.values())
    for split in SPLITS:
        result = run(tmp_path / "many.jsonl", "--split", split)
        assert result.stdout.splitlines()[1].split()[:2] == ["many", str(expected[split])]


def test_axioms_and_ignored_pairs_are_shown(run, tmp_path):
    pairs = [
        PreferencePair(f"Why {i}?", "Because of x.", "No idea.", axiom="votes" if i % 2 else "human", source="demo")
        for i in range(6)
    ]
    tie = PreferencePair("Why so?", "Because.", "No.", axiom="human", source="demo", target=0.5)
    write_pairs(tmp_path / "axioms.jsonl", [*pairs, tie])
    result = run(tmp_path / "axioms.jsonl")
    assert "axioms, by axiom" in result.stdout
    assert "axioms: pairs ignored for a target of .5 or less: 1" in result.stdout


def test_what_is_done_is_kept_when_a_later_file_fails(run, files, tmp_path):
    write_rows(tmp_path / "odd.jsonl", [{**row, "gpt4": "A"} for row in rows(4)])
    result = run(files[0], tmp_path / "odd.jsonl", files[1], "--report", tmp_path / "report")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("error: odd: gpt4 is 'A'")
    assert "not evaluated: odd, two" in result.stderr.splitlines()
    assert result.stdout.splitlines()[1].split()[:2] == ["one", "24"]
    values = json.loads((tmp_path / "report" / "results.json").read_text())
    assert list(values["files"]) == ["one"]
    assert values["about"]["unfinished"] == ["odd", "two"]


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"question": "Why?", "chosen": "Because."}, "line 25: rejected is missing"),
        ({"question": "Why?", "chosen": "", "rejected": "No."}, "pair 25: chosen is ''"),
        ({"question": " ", "chosen": "Because.", "rejected": "No."}, "pair 25: question is ' '"),
    ],
)
def test_every_file_is_checked_before_the_first_is_scored(run, files, tmp_path, row, text):
    write_rows(tmp_path / "bad.jsonl", [*rows(24), row])
    assert f"bad.jsonl, {text}" in one_error(run(files[0], tmp_path / "bad.jsonl", "--report", tmp_path / "report"))
    assert not (tmp_path / "report").exists()


def test_missing_things_are_told_in_one_line(run, files, tmp_path):
    assert "gone.jsonl: no such file" in one_error(run(files[0], tmp_path / "gone.jsonl"))
    assert "unknown file type" in one_error(run(tmp_path / "pairs.csv"))
    assert "no such folder" in one_error(run(files[0], model=tmp_path / "gone"))
    assert "gone" in one_error(run(files[0], "--compare", tmp_path / "gone"))
    assert "twice" in one_error(run(files[0], files[0]))


def test_no_pairs_left_is_an_error(run, tmp_path):
    pairs = rows(2)
    write_rows(tmp_path / "few.jsonl", pairs)
    other = next(split for split in SPLITS if split != split_of(pairs[0]["question"]))
    assert f"no pairs to evaluate in split {other}" in one_error(run(tmp_path / "few.jsonl", "--split", other))
    write_rows(tmp_path / "ties.jsonl", [{**row, "target": 0.5} for row in pairs])
    assert "no pairs to evaluate; allowed" in one_error(run(tmp_path / "ties.jsonl"))


def test_a_report_that_cannot_be_a_folder_is_refused_before_scoring(run, files):
    assert "--report is" in one_error(run(files[0], "--report", files[1]))


def test_an_encoder_adds_likeness(run, files, tmp_path):
    result = run(*files, "--encoder", encoder_folder(tmp_path / "encoder"), "--format", "json")
    assert result.exit_code == 0, result.stderr
    assert list(json.loads(result.stdout)["pooled"]["macro"]) == ["model", "longer", "bm25", "readability", "embedding"]
    assert "encoder is 'no such'; allowed: " in one_error(run(*files, "--encoder", "no such"))


def test_what_was_cut_has_a_table_of_its_own(run, tmp_path):
    long = [{**row, "chosen": row["chosen"] + "light " * 90} for row in rows(4, start=90)]
    write_rows(tmp_path / "long.jsonl", [*rows(8), *long])
    result = run(tmp_path / "long.jsonl")
    title, nothing, some, *_ = result.stdout.split("\n\n")[2].splitlines()
    assert title.startswith("long, by what was cut")
    assert nothing.split()[:3] == ["nothing", "cut", "8"]
    assert some.startswith("1 to 128 tokens cut")
    write_rows(tmp_path / "short.jsonl", rows(8))
    assert "by what was cut" not in run(tmp_path / "short.jsonl").stdout


def test_several_answers_to_a_question_give_curves(run, tmp_path):
    answers = ["Air scatters light.", "No idea.", "It is the sea.", "Because it is."]
    pairs = [
        {"question": f"Why {i}?", "chosen": f"{answers[a]} {i}", "rejected": f"{answers[b]} {i}"}
        for i in range(12)
        for a, b in ((0, 1), (0, 2), (3, 1), (2, 1), (0, 3))
    ]
    write_rows(tmp_path / "many.jsonl", pairs)
    result = run(tmp_path / "many.jsonl", "--report", tmp_path / "report")
    assert "many, best of 4, share of comparisons won, 12 questions: model " in result.stdout
    found = json.loads((tmp_path / "report" / "results.json").read_text())["files"]["many"]["best_of_n"]
    assert found["questions"] == 12
    assert [len(curve) for curve in found["curves"].values()] == [4] * 5
    assert found["curves"]["ideal"][-1]["value"] == 1.0
    page = run(tmp_path / "many.jsonl", "--format", "html").stdout
    assert "How good the answer is that each picks among n, 12 questions of many." in page


@pytest.mark.parametrize("form", ["text", "markdown", "json", "html"])
def test_every_name_is_printed_whatever_the_terminal_knows(tiny_bundle, tmp_path, form):
    """Names hold what no encoding has, and what that of a Windows terminal lacks."""
    scenarios = [{**row, "scenario": ("\ud800 sky", "空")[i % 2]} for i, row in enumerate(rows(8))]
    write_rows(tmp_path / "δ.jsonl", scenarios)
    command = ("evaluate", tmp_path / "δ.jsonl", "--format", form, "--report", tmp_path, "--model", tiny_bundle)
    done = process(*command, env={**os.environ, "PYTHONIOENCODING": "cp1252"}, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    names = json.loads(done.stdout)["files"]["δ"]["by_scenario"] if form == "json" else done.stdout
    assert "空" in names
    assert " sky" in "".join(names)
    if form == "html":
        assert done.stdout.endswith("</html>\n\n")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names of files")
def test_names_of_files_that_are_no_text_are_drawn(run, tmp_path):
    path = tmp_path / os.fsdecode(b"a\xff.jsonl")
    write_rows(path, rows(8))
    result = run(path, "--format", "html")
    assert result.exit_code == 0, result.stderr
    assert "<td>a?</td>" in result.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_the_report_is_kept_where_nothing_can_be_printed(tiny_bundle, files, tmp_path):
    with open("/dev/full", "w") as full:
        command = [*COMMAND, "evaluate", files[0], "--report", tmp_path / "report", "--model", tiny_bundle]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in done.stderr
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"results.json", "results.md"}
