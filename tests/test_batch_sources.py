"""What a name stands for: a file, a folder, a glob, standard input."""

import json
import os

import pytest

from prefmodel.batch.sources import find_sources
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import read_rows, write_rows
from tests.command import GOOD, QUESTION, fails

ROW = json.dumps({"question": QUESTION, "answer": GOOD}) + "\n"
TABLE = f"question,answer\n{QUESTION},{GOOD}\n"


def write(path, text=ROW):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(where, **options):
    sources, ignored = find_sources(where, **options)
    return [source.path for source in sources], ignored


def rows_of(path):
    return [row for _, row in read_rows(path)]


def test_a_folder_of_several_formats_in_sorted_order(run, tmp_path):
    folder = tmp_path / "in"
    for name in ("b/2.jsonl", "b/10.jsonl", "a.jsonl"):
        write(folder / name, json.dumps({"question": QUESTION, "answer": GOOD, "name": name}) + "\n")
    write(folder / "c.csv", f"question,answer,name\n{QUESTION},{GOOD},c.csv\n")
    write(folder / "d.tsv", f"question\tanswer\tname\n{QUESTION}\t{GOOD}\td.tsv\n")
    for name in ("e.jsonl.gz", "f.parquet"):
        write_rows(folder / name, [{"question": QUESTION, "answer": GOOD, "name": name}])
    result = run("score", folder, "-o", tmp_path / "out.jsonl")
    assert (result.exit_code, result.stderr) == (0, "")
    found = [row["name"] for row in rows_of(tmp_path / "out.jsonl")]
    assert found == ["a.jsonl", "b/10.jsonl", "b/2.jsonl", "c.csv", "d.tsv", "e.jsonl.gz", "f.parquet"]


def test_what_is_not_read_is_told(run, tmp_path):
    folder = tmp_path / "in"
    write(folder / "a.jsonl")
    write(folder / "notes.txt")
    write(folder / ".hidden.jsonl")
    write(folder / ".git" / "b.jsonl")
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "lost.jsonl").symlink_to(folder / "nowhere")
    (folder / "to-a.jsonl").symlink_to(folder / "a.jsonl")
    assert names(folder) == (
        [str(folder / "a.jsonl"), str(folder / "to-a.jsonl")],
        [str(folder / name) for name in ("lost.jsonl", "notes.txt", "pipe.jsonl")],
    )
    result = run("score", folder)
    assert result.exit_code == 0
    assert f"warning: not read: {folder}/lost.jsonl, {folder}/notes.txt, {folder}/pipe.jsonl\n" in result.stderr


def test_links_between_folders_do_not_go_round(tmp_path):
    write(tmp_path / "in" / "a.jsonl")
    (tmp_path / "in" / "again").symlink_to(tmp_path / "in")
    assert names(tmp_path / "in")[0] == [str(tmp_path / "in" / "a.jsonl")]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.csv", ["a.csv", "b.csv"]),
        ("**/*.csv", ["a.csv", "b.csv", "below/c.csv"]),
        ("[b-z].*", ["b.csv"]),
        ("?.csv", ["a.csv", "b.csv"]),
        (".*.csv", [".d.csv"]),
        (".e/*", [".e/f.csv"]),
        ("*", ["a.csv", "b.csv"]),
    ],
)
@pytest.mark.parametrize("relative", [True, False])
def test_a_glob(monkeypatch, tmp_path, pattern, expected, relative):
    """A leading dot has to be named; folders that match are not gone into."""
    for name in ("a.csv", "b.csv", "below/c.csv", ".d.csv", ".e/f.csv"):
        write(tmp_path / name, TABLE)
    monkeypatch.chdir(tmp_path)
    where = pattern if relative else f"{tmp_path}/{pattern}"
    assert names(where) == ([name if relative else f"{tmp_path}/{name}" for name in expected], [])


def test_names_that_look_like_globs(run, tmp_path):
    for name in ("a[1].jsonl", "what?.jsonl", "*.jsonl"):
        write(tmp_path / "d[1]" / name)
    write(tmp_path / "d1" / "a1.jsonl")
    assert names(tmp_path / "d[1]" / "a[1].jsonl")[0] == [str(tmp_path / "d[1]" / "a[1].jsonl")]
    assert len(names(tmp_path / "d[1]")[0]) == 3
    assert run("score", tmp_path / "d[1]" / "*.jsonl", "-o", tmp_path / "o*t.jsonl").exit_code == 0
    assert len(rows_of(tmp_path / "o*t.jsonl")) == 1


def test_the_output_in_the_folder_is_not_read(run, tmp_path):
    """Neither the output nor its bad rows, so that the same command gives the same file again."""
    write(tmp_path / "in.jsonl", ROW + "{\n")
    for _ in range(2):
        result = run("score", tmp_path, "-o", tmp_path / "out.jsonl")
        assert (result.exit_code, "not read" in result.stderr) == (3, False)
        assert len(rows_of(tmp_path / "out.jsonl")) == 1
        assert len(rows_of(tmp_path / "out.jsonl.errors.jsonl")) == 1


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_standard_input(run, tiny_bundle, tmp_path, suffix):
    from click.testing import CliRunner

    from prefmodel.cli import main

    content = {
        ".jsonl": ROW + "no row\n" + ROW,
        ".csv": TABLE + f"1,2,3\n{QUESTION},{GOOD}\n",
        ".tsv": f"question\tanswer\n{QUESTION}\t{GOOD}\n1\n{QUESTION}\t{GOOD}\n",
    }[suffix]
    command = ["score", "-", "--stdin-format", suffix[1:], "--model", str(tiny_bundle)]
    shown = CliRunner().invoke(main, command, input=content)
    assert shown.exit_code == 3
    assert shown.stderr.splitlines()[-1] == "warning: 1 of 3 rows could not be scored"
    assert "standard input, line " in shown.stderr
    written = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "out.jsonl")], input=content)
    assert written.exit_code == 3
    assert (tmp_path / "out.jsonl").read_bytes() == shown.stdout_bytes
    [bad] = rows_of(tmp_path / "out.jsonl.errors.jsonl")
    assert (bad["file"], bad["line"]) == ("standard input", 2 if suffix == ".jsonl" else 3)


def test_what_is_wrong_is_told(run, tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "notes.txt")
    monkeypatch.chdir(tmp_path)
    fails(run("score", "missing.jsonl"), "missing.jsonl: no such file")
    fails(run("score", "notes.txt"), "notes.txt: unknown file type; allowed: .jsonl, .jsonl.gz, .csv, .tsv, .parquet")
    fails(run("score", "empty"), "empty: no file in it ends with .jsonl")
    fails(run("score", "no*.jsonl"), "no*.jsonl: no file in it ends with .jsonl")
    fails(run("score", ""), "'': no such file")  # not the present folder, as of an empty shell variable
    os.mkfifo("pipe.jsonl")
    fails(run("score", "pipe.jsonl"), "pipe.jsonl: not a file or folder")
    with pytest.raises(
        InputError, match=r"the format of standard input is '\.parquet'; allowed: \.jsonl, \.csv, \.tsv"
    ):
        find_sources("-", ".parquet")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read(tmp_path):
    write(tmp_path / "in" / "a.jsonl")
    write(tmp_path / "in" / "locked" / "b.jsonl")
    (tmp_path / "in" / "locked").chmod(0)
    with pytest.raises(FileFormatError, match="locked: Permission denied"):
        find_sources(tmp_path / "in")


def test_a_name_that_is_no_utf8(run, tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"a\xff.jsonl")
    with open(path, "wb") as file:
        file.write(ROW.encode() + b"{\n")
    result = run("score", tmp_path, "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 3
    [bad] = rows_of(tmp_path / "out.jsonl.errors.jsonl")
    assert os.fsencode(bad["file"]) == path
