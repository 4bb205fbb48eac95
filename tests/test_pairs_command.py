"""`prefmodel pairs` on small files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest
from click.testing import CliRunner

from axioms import command
from axioms.build import build_pairs
from axioms.llm.registry import LLM_AXIOMS
from axioms.registry import AXIOMS, LABELS, NAMES, about
from prefmodel.cli import main
from prefmodel.files import FORMATS, read_pairs, write_pairs, write_rows, write_threads
from prefmodel.splits import split_of
from prefmodel.types import Message, PreferencePair
from tests.command import COMMAND, fails, process
from tests.threads import library, question

DIALOGUE = (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "Who brews?"))
LABELLED = [
    PreferencePair(question(30), "Because of x.", "No.", axiom="human", source="demo"),
    PreferencePair("Human: Who is it?", "Me.", "Nobody at all.", axiom="human", source="demo"),
    PreferencePair(DIALOGUE, "Monks.", "I do.", axiom="human", source="demo"),
]


@pytest.fixture
def run():
    def pairs(*arguments):
        return CliRunner().invoke(main, ["pairs", *map(str, arguments)])

    return pairs


@pytest.fixture
def threads(tmp_path):
    write_threads(tmp_path / "threads.jsonl", library())
    return tmp_path / "threads.jsonl"


@pytest.fixture
def labels(tmp_path):
    write_pairs(tmp_path / "labels.jsonl.gz", LABELLED)
    return tmp_path / "labels.jsonl.gz"


def table(result):
    """Return the cells of the table at the end, by axiom and heading."""
    lines = result.stderr[result.stderr.index("axiom ") :].splitlines()
    heading, *rows = [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines]
    return {row[0]: dict(zip(heading[1:], row[1:], strict=True)) for row in rows}


@pytest.mark.parametrize("suffix", FORMATS)
def test_threads_and_labels_to_pairs(run, tmp_path, suffix):
    write_threads(tmp_path / f"a{suffix}", library())
    write_pairs(tmp_path / f"b{suffix}", LABELLED)
    out = tmp_path / f"out{suffix}"
    result = run(tmp_path / f"a{suffix}", tmp_path / f"b{suffix}", "-o", out, "--seed", 3)
    assert (result.exit_code, result.stdout) == (0, "")
    found = list(read_pairs(out))
    assert found == list(build_pairs(library(), LABELLED, seed=3))
    assert {*AXIOMS, "human"} >= {pair.axiom for pair in found} >= {"usefulness", "relevance", "strength", "human"}


def test_the_table_shows_length_bias_and_what_was_left_out(run, tmp_path, threads, labels):
    write_rows(tmp_path / "eval.jsonl", [{"question": question(2).upper(), "chosen": "a", "rejected": "b"}])
    write_threads(tmp_path / "other.jsonl", library()[4:5])
    exclude = ("--exclude", tmp_path / "eval.jsonl", "--exclude", tmp_path / "other.jsonl")
    result = run(threads, labels, "-o", tmp_path / "out.jsonl", *exclude)
    assert result.exit_code == 0, result.stderr
    found = list(read_pairs(tmp_path / "out.jsonl"))
    assert {pair.question for pair in found if pair.axiom == "usefulness"} == {question(i) for i in (0, 1, 3, 5)}
    cells = table(result)
    assert list(cells) == list(NAMES)
    assert cells["usefulness"]["pairs"] == "4"
    assert cells["usefulness"]["same question"] == "2"
    assert cells["human"] | {"pairs": "3", "same question": "0", "longer chosen": "67%"} == cells["human"]
    for name, row in cells.items():
        lengths = [len(p.chosen) - len(p.rejected) for p in found if p.axiom == name]
        longer = sum(1.0 if n > 0 else 0.5 if n == 0 else 0.0 for n in lengths)
        share = f"{longer / len(lengths):.0%}" if lengths else "-"
        assert (int(row["pairs"]), row["longer chosen"]) == (len(lengths), share)


def test_axioms_that_apply_are_the_default(run, tmp_path, threads, labels):
    assert list(table(run(threads, "-o", tmp_path / "a.jsonl"))) == list(AXIOMS)
    assert list(table(run(labels, "-o", tmp_path / "b.jsonl"))) == ["human", "judged"]


def test_chosen_axioms(run, tmp_path, threads):
    out = tmp_path / "out.jsonl"
    result = run(threads, "-o", out, "--axioms", "truthfulness, relevance,truthfulness", "--seed", 7)
    assert result.exit_code == 0, result.stderr
    assert list(read_pairs(out)) == list(build_pairs(library(), [], ["truthfulness", "relevance"], 7))


def test_a_limit_holds_for_each_axiom(run, tmp_path, threads, labels):
    result = run(threads, labels, "-o", tmp_path / "out.jsonl", "--limit", 2)
    found = Counter(pair.axiom for pair in read_pairs(tmp_path / "out.jsonl"))
    assert {name: str(found[name]) for name in NAMES} == {name: row["pairs"] for name, row in table(result).items()}
    assert max(found.values()) == 2 == found["relevance"] == found["human"]
    assert table(result)["human"]["over the limit"] == "1"


def test_a_split(run, tmp_path):
    write_threads(tmp_path / "threads.jsonl", library(40))
    result = run(tmp_path / "threads.jsonl", "-o", tmp_path / "out.jsonl", "--split", "dev", "--axioms", "strength")
    asked = [pair.question for pair in read_pairs(tmp_path / "out.jsonl")]
    assert asked == [question(i) for i in range(40) if split_of(question(i)) == "dev"]
    assert table(result)["strength"]["other split"] == str(40 - len(asked))


def test_lines_on_stdout(run, threads):
    result = run(threads, "-o", "-", "--axioms", "relevance")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [PreferencePair.from_dict(row) for row in rows] == list(build_pairs(library(), [], ["relevance"]))
    assert list(table(result)) == ["relevance"]


def test_progress_is_told_now_and_then(run, tmp_path, threads, monkeypatch):
    monkeypatch.setattr(command, "LOG_SECONDS", -1.0)
    result = run(threads, "-o", tmp_path / "out.jsonl", "--axioms", "strength", "--block", 2)
    lines = [f"{n} blocks: {2 * n} pairs of {2 * n} threads so far" for n in (1, 2, 3)]
    assert result.stderr.splitlines()[:3] == lines


@pytest.mark.parametrize("how", ["as it is", "by a link", "to leave out"])
def test_what_is_read_is_not_overwritten(run, threads, tmp_path, how):
    """Threads cannot be made again from the pairs."""
    before, out = threads.read_bytes(), threads
    more = [threads, "--exclude", tmp_path / "eval.jsonl"]
    write_threads(tmp_path / "eval.jsonl", library()[:1])
    if how == "by a link":
        out = tmp_path / "other.jsonl"
        out.symlink_to(threads)
    elif how == "to leave out":
        out = tmp_path / "eval.jsonl"
    kept = out.read_bytes()
    fails(run(*more, "-o", out, "--axioms", "relevance"), f"output is {out}, which is read, too; allowed: another name")
    assert (threads.read_bytes(), out.read_bytes()) == (before, kept)


def test_the_list_of_axioms(run):
    result = run("--list")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert [line.split()[0] for line in lines] == [*AXIOMS, *LLM_AXIOMS, *LABELS]
    for line in lines:
        name, said = line.split()[:2]
        principle, text = about(name)
        assert said == (principle or "-")
        assert line.endswith(f"{text} (needs --llm-url)" if name in LLM_AXIOMS else text)


def test_runs_agree_whatever_the_hashes_of_strings(tmp_path, threads):
    outs = []
    for seed in ("1", "2"):
        out = tmp_path / f"{seed}.jsonl"
        result = process("pairs", threads, "-o", out, env={"PYTHONHASHSEED": seed})
        assert result.returncode == 0, result.stderr
        outs.append(out.read_bytes())
    assert outs[0] == outs[1]


def test_help_is_light():
    code = "import sys; import axioms.command; print([m for m in ('bm25s', 'numpy', 'tqdm') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.stdout, result.stderr) == ("[]\n", "")


# What is wrong is told in one line


def fails_late(result, tmp_path, *messages):
    """Check an error that comes after the work, and that no file was written."""
    fails(result, "error: no pairs: ", *messages)
    assert not (tmp_path / "out.jsonl").exists()


def test_unknown_and_missing_axioms(run, tmp_path, threads):
    out = ("-o", tmp_path / "out.jsonl")
    fails(run(threads, *out, "--axioms", "relevance,praise"), "axiom is 'praise'; allowed: usefulness, relevance, ")
    for empty in ("", " , "):
        fails(run(threads, *out, "--axioms", empty), "--axioms is empty; allowed: usefulness, ")


def test_files_that_cannot_be_read_or_written(run, tmp_path, threads, labels):
    out = tmp_path / "out.jsonl"
    fails(run(threads, tmp_path / "missing.jsonl", "-o", out), "missing.jsonl: no such file")
    fails(run(threads, "-o", out, "--exclude", tmp_path / "missing.jsonl"), "missing.jsonl: no such file")
    fails(run(tmp_path / "in.csv", "-o", out), "in.csv: unknown file type")
    fails(run(threads, "-o", tmp_path / "out.csv"), "out.csv: unknown file type; allowed: .jsonl, .jsonl.gz, .parquet")
    fails(run(threads, labels, threads, "-o", out), f"FILES names {threads} twice")
    late = run(threads, "-o", tmp_path / "no" / "out.jsonl")
    assert late.exit_code == 1
    assert late.stderr.splitlines()[-1].startswith("error: ")
    assert "does not exist" in late.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": ', "line 7: not a JSON object"),
        ('{"id": "a", "source": "b", "question": "Why?"}', "line 7: answers is missing"),
        ('{"id": "a", "source": "b", "question": "Why?", "answers": [{"text": "x", "created": "soon"}]}', "created is"),
    ],
)
def test_a_broken_line(run, tmp_path, threads, line, message):
    threads.write_text(threads.read_text() + line + "\n")
    out = tmp_path / "out.jsonl"
    out.write_text("old")
    fails(run(threads, "-o", out), f"{threads}, ", message)
    assert out.read_text() == "old"


def test_built_pairs_are_no_labels(run, tmp_path, labels):
    built, judged, out = (tmp_path / f"{name}.jsonl" for name in ("built", "judged", "out"))
    write_pairs(built, [LABELLED[0], replace(LABELLED[1], axiom="relevance")])
    fails(run(built, "-o", out), f"{built}, line 2: axiom of a label is 'relevance'; allowed: human, or any with")
    scores = {"recipe": "scores", "scores": [6, 2]}
    write_pairs(judged, [replace(pair, axiom="judged", provenance=scores) for pair in LABELLED])
    result = run(judged, labels, "-o", out, "--exclude", built)  # what is excluded may be built
    assert result.exit_code == 0, result.stderr
    assert {name: row["pairs"] for name, row in table(result).items()} == {"human": "1", "judged": "1"}


def test_no_pairs(run, tmp_path, threads, labels):
    out = ("-o", tmp_path / "out.jsonl")
    write_rows(tmp_path / "empty.jsonl", [])
    fails(run(tmp_path / "empty.jsonl", *out), "no pairs: the files hold no threads and no labelled pairs")
    fails_late(run(labels, *out, "--axioms", "relevance"), tmp_path, "the files have nothing that relevance could pair")
    fails_late(run(threads, *out, "--axioms", "human"), tmp_path, "nothing that human could pair")
    found = run(threads, *out, "--axioms", "usefulness,strength", "--exclude", threads)
    fails_late(found, tmp_path, "of those found, 12 have a question or text of an excluded file")
    other = next(split for split in ("dev", "test") if split_of(question(30)) != split)
    write_pairs(tmp_path / "one.jsonl", LABELLED[:1])
    found = run(tmp_path / "one.jsonl", *out, "--split", other)
    fails_late(found, tmp_path, f"of those found, 1 are not in split {other}")
    fails_late(run(threads, "-o", "-", "--axioms", "human"), tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "out.jsonl"), "Missing argument 'FILES...'"),
        (("in.jsonl",), "Missing option '-o'"),
        (("in.jsonl", "-o", "out.jsonl", "--limit", "0"), "--limit"),
        (("in.jsonl", "-o", "out.jsonl", "--seed", "-1"), "--seed"),
        (("in.jsonl", "-o", "out.jsonl", "--split", "most"), "--split"),
        (("in.jsonl", "-o", "out.jsonl", "--workers", "0"), "--workers"),
        (("in.jsonl", "-o", "out.jsonl", "--block", "0"), "--block"),
        (("in.jsonl", "-o", "out.jsonl", "--block", "99999999999999999999"), "--block"),
        (("in.jsonl", "-o", "out.jsonl", "--per-question", "0"), "--per-question"),
        (("in.jsonl", "-o", "out.jsonl", "--duplicates", "all"), "--duplicates"),
    ],
)
def test_wrong_use(run, arguments, message):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_a_broken_pipe_is_quiet(tmp_path):
    write_threads(tmp_path / "threads.jsonl", library(1200))
    arguments = ["pairs", str(tmp_path / "threads.jsonl"), "-o", "-", "--axioms", "strength"]
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout.readline()
        running.stdout.close()
        assert b"Traceback" not in running.stderr.read()
    assert running.returncode != 0
