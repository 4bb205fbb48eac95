import json
import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from prefmodel.cli import main
from prefmodel.model import PreferenceModel
from tests.command import BAD, COMMAND, GOOD, LONG, QUESTION, fails, process, succeeds


def test_score(run, model):
    assert succeeds(run("score", "--question", QUESTION, "--answer", GOOD)) == f"{model.score(QUESTION, GOOD):.4f}\n"


def test_score_in_a_process(tiny_bundle, model):
    result = process("score", "--question", QUESTION, "--answer", GOOD, "--model", tiny_bundle, "--threads", 1)
    assert (result.stdout, result.stderr, result.returncode) == (f"{model.score(QUESTION, GOOD):.4f}\n", "", 0)


def test_precision(run, model, tiny_bundle):
    expected = PreferenceModel.from_pretrained(tiny_bundle, precision="float32").score(QUESTION, GOOD)
    output = succeeds(run("score", "--question", QUESTION, "--answer", GOOD, "--precision", "float32"))
    assert output == f"{expected:.4f}\n"


def test_rank(run, model):
    answers = [BAD, GOOD, "Two\tlines\nof text."]
    lines = [line.split("\t") for line in succeeds(run("rank", "--question", QUESTION, *answers)).splitlines()]
    expected = model.rank(QUESTION, answers)
    assert lines == [[str(place), f"{r.score:.4f}", " ".join(r.answer.split())] for place, r in enumerate(expected, 1)]


def test_rank_as_json(run, model):
    found = json.loads(succeeds(run("rank", "--question", QUESTION, BAD, GOOD, "--json")))
    assert [(r["index"], r["answer"]) for r in found] == [
        (r.index, r.answer) for r in model.rank(QUESTION, [BAD, GOOD])
    ]
    assert found[0]["score"] >= found[1]["score"]


def test_compare(run, model):
    output = succeeds(run("compare", "--question", QUESTION, "--a", GOOD, "--b", BAD))
    assert output == f"{model.compare(QUESTION, GOOD, BAD):.4f}\n"


def test_explain(run, model):
    assert succeeds(run("explain", "--question", QUESTION, "--answer", GOOD)) == f"{model.explain(QUESTION, GOOD)}\n"
    both = run("explain", "--question", QUESTION, "--answer", GOOD, "--other", BAD, "--json")
    found = json.loads(succeeds(both))
    assert found["probability"] == pytest.approx(model.compare(QUESTION, GOOD, BAD), abs=1e-6)
    assert sum(found["contributions"].values()) == pytest.approx(found["score"] - found["other_score"], abs=1e-5)


def test_info(run, tiny_bundle):
    lines = [line.strip() for line in succeeds(run("info")).splitlines()]
    assert lines[:3] == [f"bundle: {tiny_bundle}", "precision: int8", "temperature: 1.5"]
    for line in (
        "base: tiny/random",
        "max_tokens: 64",
        "learning_rate: 1e-05",
        f"- file demo.jsonl, licence CC BY-SA 4.0, rows 12, sha256 {'ab' * 32}",
        "votes: 7",
        "human: 0.625",
    ):
        assert line in lines


def test_info_as_json(run, tiny_bundle):
    found = json.loads(succeeds(run("info", "--json", "--precision", "float32")))
    assert (found["bundle"], found["precision"], found["pairs"]) == (
        str(tiny_bundle),
        "float32",
        {"votes": 7, "human": 5},
    )


def test_what_was_cut_is_told(run):
    result = run("score", "--question", LONG, "--answer", LONG)
    assert result.exit_code == 0
    assert result.stderr == "warning: the question and 1 of 1 answers cut to fit 64 tokens\n"
    float(result.stdout)
    assert "1 of 2 answers cut to fit 64 tokens" in run("rank", "--question", QUESTION, GOOD, LONG).stderr
    assert "2 of 2 answers cut" in run("compare", "--question", QUESTION, "--a", LONG, "--b", LONG).stderr
    assert "the question cut" in run("explain", "--question", LONG, "--answer", GOOD).stderr


def test_arguments_that_are_no_utf8(tiny_bundle):
    result = subprocess.run(
        [
            *map(os.fsencode, COMMAND),
            b"rank",
            b"--question",
            b"\xff why",
            b"\xfe",
            b"sky",
            b"--model",
            bytes(tiny_bundle),
        ],
        capture_output=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 2


# What is wrong is told in one line


@pytest.mark.parametrize("empty", ["", " ", "\n\t"])
def test_empty_arguments(run, empty):
    fails(run("score", "--question", empty, "--answer", GOOD), "--question is ", "allowed: non-empty text")
    fails(run("score", "--question", QUESTION, "--answer", empty), "--answer is ", "allowed: non-empty text")
    fails(run("rank", "--question", QUESTION, GOOD, empty), "ANSWER 2 is ", "allowed: non-empty text")
    fails(run("compare", "--question", QUESTION, "--a", GOOD, "--b", empty), "--b is ")
    fails(run("explain", "--question", QUESTION, "--answer", GOOD, "--other", empty), "--other is ")


def test_bundles_that_are_none(run, tmp_path, copied_bundle):
    arguments = ("score", "--question", QUESTION, "--answer", GOOD)
    fails(run(*arguments, model=tmp_path), f"{tmp_path}: not a bundle, it has no prefmodel.json")
    fails(run(*arguments, model=tmp_path / "missing"), "missing: no such folder")
    path = copied_bundle / "onnx" / "model.onnx"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    for command in (arguments, ("info",), ("rank", "--question", QUESTION, GOOD)):
        fails(run(*command, model=copied_bundle), f"{path}: damaged")


def test_a_flipped_byte_in_a_process(copied_bundle):
    path = copied_bundle / "tokenizer.json"
    path.write_bytes(path.read_bytes().replace(b"sky", b"skx"))
    result = process("info", "--model", copied_bundle)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {path}: damaged")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--question", QUESTION),
        ("--answer", GOOD),
        ("in.jsonl", "--question", QUESTION, "--answer", GOOD),
        ("in.jsonl", "--answer", GOOD),
        ("-o", "out.jsonl"),
        ("--question", QUESTION, "--answer", GOOD, "-o", "out.jsonl"),
    ],
)
def test_neither_or_both_ways_to_score(run, arguments):
    result = run("score", *arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Error: give either IN (and -o OUT), or both --question and --answer" in result.stderr


@pytest.mark.parametrize(
    "option",
    ["--contributions", "--truncated", "--strict", "--restart", "--top-k 1", "--min-score 0", "--stdin-format jsonl"]
    + ["--engine local", "--ray-address auto", "--actors 2"]
    + [f"--{what}-column x" for what in ("question", "answer", "answers", "chosen", "rejected")],
)
def test_options_of_rows_are_none_of_one_answer(run, option):
    result = run("score", "--question", QUESTION, "--answer", GOOD, *option.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: {option.split()[0]} has no effect on one answer; allowed: with IN" in result.stderr


@pytest.mark.parametrize("threads", ["0", "-1", "many"])
def test_threads_out_of_range(run, threads):
    result = run("score", "--question", QUESTION, "--answer", GOOD, "--threads", threads)
    assert result.exit_code == 2
    assert "--threads" in result.stderr


# The group of commands


def test_help_lists_the_commands():
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in ("score", "rank", "compare", "explain", "info"):
        assert f"\n  {name} " in result.output


def test_version():
    assert "prefmodel, version " in CliRunner().invoke(main, ["--version"]).output


def test_no_such_command():
    result = CliRunner().invoke(main, ["praise"])
    assert result.exit_code == 2
    assert "No such command 'praise'" in result.stderr


@pytest.fixture
def plugin(tmp_path):
    """Give a function that runs the real command with a package installed beside it that brings a sub-command."""

    def run(source: str, *arguments: str) -> subprocess.CompletedProcess:
        folder = tmp_path / "plugin-1.0.dist-info"
        folder.mkdir()
        (tmp_path / "plugin.py").write_text(source)
        metadata = (
            "Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\nRequires-Dist: absent-thing>=1; extra == 'more'\n"
        )
        (folder / "METADATA").write_text(metadata)
        (folder / "entry_points.txt").write_text("[prefmodel.commands]\nplug = plugin:plug\n")
        return process(*arguments, env={**os.environ, "PYTHONPATH": str(tmp_path)})

    return run


COMMAND_SOURCE = """
import click
@click.command()
def plug():
    "Do what others brought."
"""


def test_commands_of_other_packages(plugin):
    result = plugin(COMMAND_SOURCE + "    click.echo('plugged')\n", "plug")
    assert (result.stdout, result.stderr, result.returncode) == ("plugged\n", "", 0)


def test_a_missing_extra_is_told(plugin):
    result = plugin("import absent_thing.parts\n", "plug")
    assert (result.stdout, result.returncode) == ("", 1)
    assert result.stderr == (
        "error: plug: No module named 'absent_thing'; needs the extra 'more': pip install 'plugin[more]'\n"
    )


def test_a_missing_extra_does_not_break_the_help(plugin):
    result = plugin("import absent_thing\n", "--help")
    assert result.returncode == 0
    assert "needs the extra" in result.stdout
    assert "Score one answer" in result.stdout


def test_a_missing_extra_of_ours_inside_a_command(plugin):
    result = plugin(
        COMMAND_SOURCE + "    raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n", "plug"
    )
    assert result.stderr == (
        "error: No module named 'torch'; needs the extra 'train': pip install 'prefmodel[train]'\n"
    )


def test_only_the_called_command_is_imported(plugin):
    result = plugin("raise RuntimeError('imported')\n", "score", "--help")
    assert result.returncode == 0
    assert "imported" not in result.stderr


def test_interrupt(plugin):
    """A real signal, sent once the command says that it runs."""
    source = (
        COMMAND_SOURCE + "    import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(60)\n"
    )
    result = plugin(source, "plug")
    assert result.returncode == 130
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("command", [["export", "run", "-o", "out"], ["train", "recipe", "--data", "x", "-o", "out"]])
def test_a_missing_package_names_the_extra_of_the_command(command, tmp_path):
    code = f"import sys; sys.modules['torch'] = None; from prefmodel.cli import main; main({command!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"pip install 'prefmodel[{command[0]}]'" in done.stderr
