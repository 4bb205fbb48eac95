"""The report as text, Markdown and JSON."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from prefmodel.baselines import bm25, longer
from prefmodel.errors import FileFormatError
from prefmodel.evaluation import Estimate, evaluate_pairs, pool
from prefmodel.report import as_json, as_markdown, as_text, shown_estimate, write_report
from prefmodel.types import PreferencePair

ABOUT = {"seed": 0, "models": {"model": {"folder": "some|where"}}}


def by_question(questions, answers):
    return np.array([len(question) * answer.count("b") for question, answer in zip(questions, answers, strict=True)])


SCORERS = {"model": by_question, "longer": longer, "bm25": bm25, "other": longer}


def a_pair(question, chosen, rejected, axiom="human", **more):
    return PreferencePair(question, chosen, rejected, axiom=axiom, source="demo", **more)


@pytest.fixture(scope="module")
def files():
    plain = [a_pair(f"{i}?", "ab" * i, "a" * (i + 1)) for i in range(1, 7)]
    mixed = [
        a_pair("Why?", "bb", "aa", provenance={"gpt4": 1.0}),
        a_pair("How?", "bbbb", "a", axiom="votes", principle="usefulness", provenance={"gpt4": 0.0}),
        a_pair("Who?", "a", "bbbb", axiom="votes", principle="usefulness"),
        a_pair("Who?", "a", "bbbb", target=0.5),
    ]
    return {"plain": evaluate_pairs(plain, SCORERS), "mixed": evaluate_pairs(mixed, SCORERS)}


@pytest.fixture(scope="module")
def pooled(files):
    return pool(list(files.values()))


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


def test_the_main_table_has_a_row_for_each_file_and_both_averages(files, pooled):
    table = as_markdown(files, pooled, ABOUT).split("\n\n")[1].splitlines()
    heading = ["file", "pairs", "model", "length-matched (n)", "longer answer", "BM25", "other"]
    assert cells(table[0]) == [*heading, "GPT-4 (n)", "GPT-4 length-matched (n)"]
    assert set(table[1]) <= set("|- ")
    plain, mixed, mean, total = map(cells, table[2:])
    # plain: the model is right on all six; longer ties on i=1 and is right on the others. mixed: right on two of three.
    assert plain[:3] == ["plain", "6", "1.000 [1.000, 1.000]"]
    assert plain[4].startswith(".917 [")
    assert plain[5].startswith(".500 [")
    assert plain[7:] == ["-", "-"]
    assert mixed[:2] == ["mixed", "3"]
    assert mixed[2].startswith(".667 [")
    assert mixed[3] == "1.000 [?] (1)"
    assert mixed[7].startswith(".500 [")
    assert mixed[7].endswith("] (2)")
    assert mixed[8] == "1.000 [?] (1)"
    assert mean[:2] == ["mean of 2 files", "-"]
    assert mean[2].startswith(".833 [")
    assert total[:2] == ["all pairs", "9"]
    assert total[2].startswith(".889 [")


def test_text_and_markdown_say_the_same(files, pooled):
    lines = as_text(files, pooled).splitlines()
    table = as_markdown(files, pooled, ABOUT).split("\n\n")[1].splitlines()
    for line, row in zip(lines[:5], [table[0], *table[2:]], strict=True):
        assert [c.strip() for c in line.split("  ") if c.strip()] == cells(row)
    starts = {line.index(cell) for line, cell in zip(lines[1:5], ["1.000", ".667", ".833", ".889"], strict=True)}
    assert len(starts) == 1


def test_differences_ignored_pairs_and_missing_labels_are_said(files, pooled):
    for text in (as_text(files, pooled), as_markdown(files, pooled, ABOUT)):
        assert "model minus longer answer, mean of files: +.125 [" in text
        assert "mixed: pairs ignored for a target of .5 or less: 1" in text
        assert "mixed: 2 of 3 pairs say whether GPT-4 agrees" in text


def test_axioms_and_principles_get_tables_of_their_own(files, pooled):
    text = as_text(files, pooled)
    assert "plain, by" not in text
    axiom = next(block for block in text.split("\n\n") if block.startswith("mixed, by axiom"))
    assert [line.split()[:2] for line in axiom.splitlines()[1:]] == [["human", "1"], ["votes", "2"]]
    assert "## mixed, by principle" in as_markdown(files, pooled, ABOUT)


def test_nothing_about_gpt4_where_no_pair_has_it(files):
    assert "GPT-4" not in as_text({"plain": files["plain"]}, pool([files["plain"]]))


def test_json_is_unrounded_and_has_null_for_an_unknown_interval(files, pooled):
    values = json.loads(json.dumps(as_json(files, pooled, ABOUT), allow_nan=False))
    assert values["about"] == ABOUT
    assert list(values["files"]) == ["plain", "mixed"]
    mixed = values["files"]["mixed"]
    assert mixed["accuracy"]["model"]["value"] == 2 / 3
    assert mixed["matched"]["model"] == {"value": 1.0, "low": None, "high": None, "count": 1}
    assert mixed["by_axiom"]["votes"]["model"]["count"] == 2
    assert mixed["gpt4"]["count"] == 2
    assert mixed["ignored"] == 1
    assert values["files"]["plain"]["gpt4"] is None
    assert not {"correct", "clusters", "is_matched"} & set(mixed)
    assert values["pooled"]["differences"]["longer"]["value"] == pooled.differences["longer"].value


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(1.0, 1.0, 1.0, 3), "1.000 [1.000, 1.000] (3)"),
        (Estimate(0.99996, 0.0, 1.0, 3), "1.000 [.000, 1.000] (3)"),
        (Estimate(0.0304, math.nan, math.nan, 1), ".030 [?] (1)"),
        (None, "-"),
    ],
)
def test_a_cell(estimate, shown):
    assert shown_estimate(estimate, with_count=True) == shown


def test_a_bar_in_a_name_does_not_break_the_table(files):
    result = files["plain"]
    table = as_markdown({"a|b": result}, pool([result]), ABOUT).split("\n\n")[1].splitlines()
    assert table[2].startswith("| a\\|b | 6 |")


def test_the_report_is_written(files, pooled, tmp_path):
    write_report(tmp_path, files, pooled, ABOUT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["results.json", "results.md"]
    assert json.loads((tmp_path / "results.json").read_text()) == as_json(files, pooled, ABOUT)
    text = (tmp_path / "results.md").read_text()
    assert text == as_markdown(files, pooled, ABOUT)
    assert "- seed: `0`" in text


def test_a_report_that_fails_leaves_the_old_one(files, pooled, tmp_path):
    write_report(tmp_path, files, pooled, ABOUT)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    with pytest.raises(TypeError):
        write_report(tmp_path, files, pooled, {"seed": object()})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_missing_folder_is_named(files, pooled, tmp_path):
    with pytest.raises(FileFormatError, match="nowhere"):
        write_report(tmp_path / "nowhere", files, pooled, ABOUT)
