"""What `prefmodel pairs` leaves out and why, and what its report says of the rest."""

from __future__ import annotations

import json
from collections import Counter
from random import Random

import pytest
from click.testing import CliRunner
from matplotlib import image

from axioms.build import Counts
from axioms.duplicates import NearDuplicates
from axioms.report import Tally, report_of, verdict
from axioms.text import matched_lengths
from prefmodel.cli import main
from prefmodel.files import read_pairs, write_pairs, write_threads
from prefmodel.types import Answer, PreferencePair, Thread
from tests.command import fails

VOCABULARY = [a + b + c for a in "bdfgklmn" for b in "aeiou" for c in "bdfgklmn"]


def drawn(rng, words):
    return " ".join(rng.choices(VOCABULARY, k=words))


def forum(size, seed=0, source="demo"):
    """Return threads of which usefulness builds one pair each."""
    rng = Random(seed)
    return [
        Thread(
            f"{source}/{i}",
            source,
            drawn(rng, 20),
            (Answer(drawn(rng, 30), votes=20), Answer(drawn(rng, 30), votes=0)),
        )
        for i in range(size)
    ]


def label(question, chosen, rejected, **fields):
    return PreferencePair(question, chosen, rejected, axiom="human", source="demo", **fields)


@pytest.fixture
def build(tmp_path):
    """Build pairs of threads, or of labels, and return them with the cells of the table of their axiom."""

    def build(rows, *arguments, axiom="usefulness"):
        write = write_threads if isinstance(rows[0], Thread) else write_pairs
        write(tmp_path / "in.jsonl", rows)
        out = tmp_path / "out.jsonl"
        command = ["pairs", tmp_path / "in.jsonl", "-o", out, "--axioms", axiom, *arguments]
        result = CliRunner().invoke(main, list(map(str, command)))
        assert result.exit_code == 0, result.output
        heading, row = (line.split("  ") for line in result.stderr.splitlines()[-2:])
        cells = ([cell.strip() for cell in line if cell.strip()] for line in (heading, row))
        return list(read_pairs(out)), dict(zip(*cells, strict=True)), result.stderr

    return build


def changed(text, word, place=0):
    words = text.split()
    words[place] = word
    return " ".join(words)


def twin(thread, name, question=True, chosen=True, rejected=True):
    """Return a thread that nearly repeats another: a word of each text is another one; or the text is another one."""
    rng = Random(name)
    better, worse = (answer.text for answer in thread.answers)
    return Thread(
        name,
        thread.source,
        changed(thread.question, "odd") if question else drawn(rng, 20),
        (
            Answer(changed(better, "odd") if chosen else drawn(rng, 30), votes=20),
            Answer(changed(worse, "odd") if rejected else drawn(rng, 30), votes=0),
        ),
    )


def test_near_duplicates_share_question_and_both_answers(build):
    threads = forum(20)
    near = [twin(threads[i], f"near/{i}") for i in range(3)]
    unlike = [
        twin(threads[3], "other/question", question=False),
        twin(threads[4], "other/chosen", chosen=False),
        twin(threads[5], "other/rejected", rejected=False),
    ]
    found, cells, _ = build([*threads, *near, *unlike])
    assert {pair.thread_id for pair in found} == {thread.id for thread in (*threads, *unlike)}
    assert (cells["pairs"], cells["near-duplicate"]) == ("23", "3")
    assert len(build([*threads, *near, *unlike], "--duplicates", "exact")[0]) == 26


def test_pairs_of_one_thread_are_not_near_duplicates():
    pair = label("Why is it so?", "It rained a lot in May.", "No idea at all.", thread_id="demo/1")
    near = NearDuplicates()
    assert [near.seen(p) for p in (pair, pair)] == [False, False]
    near.forget()
    others = [label(pair.question, pair.chosen, pair.rejected, thread_id=name) for name in (None, None, "demo/2")]
    assert [near.seen(p) for p in others] == [False, True, True]


def test_exact_duplicates_are_found_in_all_blocks_whatever_case_and_spaces(build):
    threads = forum(20)
    again = [
        Thread("x", "demo", t.question.upper(), tuple(Answer(f" {a.text}\n", votes=a.votes) for a in t.answers))
        for t in threads[:4]
    ]
    found, cells, _ = build([*threads, *again], "--duplicates", "exact", "--block", 3)
    assert [pair.thread_id for pair in found] == [thread.id for thread in threads]
    assert (cells["pairs"], cells["duplicate"]) == ("20", "4")


def test_a_question_has_few_pairs_of_an_axiom_in_all_blocks(build):
    rng = Random(0)
    question = drawn(rng, 10)
    labels = [label(question + "?" * (i % 2), drawn(rng, 9), drawn(rng, 9)) for i in range(12)]
    labels += [label(drawn(rng, 10), drawn(rng, 9), drawn(rng, 9)) for i in range(5)]
    found, cells, _ = build(labels, "--block", 4, axiom="human")
    assert (cells["pairs"], cells["over the cap"]) == ("13", "4")
    found, cells, _ = build(labels, "--block", 4, "--per-question", 2, axiom="human")
    assert (cells["pairs"], cells["over the cap"]) == ("7", "10")
    assert Counter(pair.question.rstrip("?") for pair in found)[question] == 2


def test_what_overlaps_with_an_evaluation_file_is_counted_by_reason(build, tmp_path):
    threads = forum(30)
    rng = Random(1)
    question = threads[2].question.split()
    copied = [threads[i].answers[i % 2].text.split()[5:18] for i in (4, 5)]
    short = threads[6].answers[0].text.split()[5:17]  # 12 words
    # Every fourth word is another one: too few 5-grams remain, but not too few words.
    evaluation = [
        label(threads[0].question, "a", "b"),
        label(" ".join(question[3:]), "a", "b"),
        label(drawn(rng, 9), f"So {' '.join(copied[0])} it is.", "b"),
        label(drawn(rng, 9), "a", ", ".join(copied[1]).upper()),
        label(drawn(rng, 9), " ".join(short), "b"),
    ]
    write_pairs(tmp_path / "eval.jsonl", evaluation)
    passages = (drawn(rng, 20), " ".join(threads[7].question.split()[:13]) + " " + drawn(rng, 60))
    write_threads(tmp_path / "eval_threads.jsonl", [Thread("e/1", "e", drawn(rng, 9), (), passages)])
    exclude = ("--exclude", tmp_path / "eval.jsonl", "--exclude", tmp_path / "eval_threads.jsonl")
    found, cells, _ = build(threads, *exclude)
    gone = {thread.id for thread in threads} - {pair.thread_id for pair in found}
    assert gone == {f"demo/{i}" for i in (0, 2, 4, 5, 7)}
    assert (cells["same question"], cells["13 words"]) == ("2", "3")


def test_a_question_in_another_order_is_near(build, tmp_path):
    threads = forum(10)
    words = threads[1].question.split()
    # Runs of four words change places: no 5-gram is left, most words and pairs of words are.
    runs = [words[i : i + 4] for i in range(0, 20, 4)]
    moved = " ".join(word for run in (runs[i] for i in (3, 0, 4, 2, 1)) for word in run)
    write_pairs(tmp_path / "eval.jsonl", [label(moved, "a", "b")])
    found, cells, _ = build(threads, "--exclude", tmp_path / "eval.jsonl")
    assert cells["near question"] == "1"
    assert threads[1].id not in {pair.thread_id for pair in found}


# The report


def test_the_report(build, tmp_path):
    rng = Random(0)
    threads = forum(200, source="a") + forum(100, seed=1, source="b")
    labels = [label(drawn(rng, 8), f"surely {drawn(rng, 40)}", drawn(rng, 20)) for _ in range(200)]
    found, _, told = build(labels, "--report", tmp_path / "new" / "report", axiom="human,relevance")
    report = json.loads((tmp_path / "new" / "report" / "report.json").read_text())
    human = report["axioms"]["human"]
    assert (report["pairs"], human["pairs"], human["sources"]) == (200, 200, {"demo": 200})
    assert human["recipes"] == {"-": 200}
    assert human["leak"]["accuracy"] > 0.95
    assert human["longer_wins"] == 1.0
    assert human["length_ratio"][2] == pytest.approx(2.1, abs=0.2)
    assert human["length_matched"] == sum(matched_lengths(p.chosen, p.rejected) for p in found) / 200
    assert report["axioms"]["relevance"] == {"pairs": 0, "left_out": {}, "skipped": {}}
    assert "No constructed axiom has pairs enough for a leak score." in told

    found, _, told = build(threads, "--report", tmp_path / "report", "--limit", 250, axiom="usefulness")
    report = json.loads((tmp_path / "report" / "report.json").read_text())["axioms"]["usefulness"]
    assert report["sources"] == Counter(pair.source for pair in found)
    assert report["recipes"] == Counter(pair.provenance.get("recipe", "-") for pair in found)
    assert report["left_out"] == {"over the limit": 50}
    assert report["leak"]["low"] < 0.5 < report["leak"]["high"]
    assert report["leak"]["pairs"] == report["sample"] == 250
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| usefulness | 250 |" in text
    assert image.imread(tmp_path / "report" / "report.png").std() > 0.01


def test_constructed_axioms_that_leak_are_named():
    rng = Random(0)
    tally = Tally()
    for name, word in (("relevance", "surely"), ("truthfulness", ""), ("human", "surely")):
        tally.sample[name] = [label(drawn(rng, 8), f"{word} {drawn(rng, 9)}", drawn(rng, 9)) for _ in range(60)]
    report = report_of([*tally.sample], Counts(Counter(dict.fromkeys(tally.sample, 60))), tally, 0)
    assert report["leaking"] == ["relevance"]
    assert verdict(report) == "Constructed axioms with a leak score above 65%: relevance (100%)."


def test_the_report_is_the_same_for_the_same_seed(build, tmp_path):
    for name in ("one", "two"):
        build(forum(100), "--report", tmp_path / name)
    assert (tmp_path / "one" / "report.json").read_bytes() == (tmp_path / "two" / "report.json").read_bytes()


def test_a_report_that_cannot_be_written(tmp_path):
    write_threads(tmp_path / "in.jsonl", forum(20))
    (tmp_path / "file").write_text("x")
    command = ["pairs", tmp_path / "in.jsonl", "-o", tmp_path / "out.jsonl", "--report", tmp_path / "file" / "x"]
    told = f"--report is {tmp_path / 'file' / 'x'}, but {tmp_path / 'file'} is a file; allowed: a new folder"
    fails(CliRunner().invoke(main, list(map(str, command))), told)
    assert not (tmp_path / "out.jsonl").exists()
