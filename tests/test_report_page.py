"""The report as one HTML page."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from prefmodel.baselines import longer
from prefmodel.evaluation import evaluate_pairs, pool
from prefmodel.report import main_rows, notes_of
from prefmodel.report_page import as_html
from prefmodel.types import PreferencePair

NAME = "a <b>&amp; file"


def by_letters(questions, answers):
    return np.array([answer.count("b") - 0.5 for answer in answers])


def results(pairs):
    files = {NAME: evaluate_pairs(pairs, {"model": by_letters, "longer": longer})}
    return files, pool(list(files.values()), temperatures={"model": 2.0})


@pytest.fixture(scope="module")
def many():
    return results(
        [
            PreferencePair(
                f"{i}?", "ab" * (i % 5 + 1), "a" * (i % 7 + 1), axiom="human", source="demo",
                provenance={"scenario": ("code", "advice")[i % 2], "gpt4": 1.0},
            )
            for i in range(60)
        ]
    )  # fmt: skip


class Texts(HTMLParser):
    """Collects cells and tags, and wants every tag to be closed in its turn."""

    VOID = ("meta", "path", "use", "rect")

    def __init__(self):
        super().__init__()
        self.open, self.cells, self.tags = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)
        if tag in ("td", "th", "li"):
            self.cells.append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th", "li"):
            self.cells[-1] += data


def read(page):
    parser = Texts()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_has_all_that_the_table_has(many):
    files, pooled = many
    found = read(as_html(files, pooled, {"seed": 0}))
    for row in main_rows(files, pooled):
        assert {*row} <= {*found.cells}
    assert {*notes_of(files, pooled)} <= {*found.cells}
    assert {"code", "advice"} <= {*found.cells}  # by scenario
    assert NAME in found.cells
    assert sum(tag == "svg" for tag, _ in found.tags) == 3


def test_the_page_loads_nothing(many):
    page = as_html(*many, {"seed": 0})
    assert not {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in read(page).tags}
    links = re.findall(r'(?:href|src)="([^"]*)"', page)
    assert all(link.startswith("#") for link in links)
    assert "url(http" not in page


def test_one_pair_is_enough():
    files, pooled = results([PreferencePair("Why?", "b", "a", axiom="human", source="demo")])
    assert "1.000 [?]" in read(as_html(files, pooled, {})).cells


def test_notes_tell_of_length_and_calibration(many):
    files, pooled = many
    notes = "\n".join(notes_of(files, pooled))
    assert "length-controlled, all pairs: model " in notes
    assert re.search(
        r"model, expected calibration error, all pairs: \.\d+ at temperature 1, \.\d+ at its own, 2\n", notes + "\n"
    )
