"""Which columns are read, and what is added to a row."""

import csv
import json

import pytest

from prefmodel.batch.columns import Additions, Columns
from prefmodel.batch.run import Options, score_files
from prefmodel.errors import InputError
from prefmodel.files import read_pairs, read_rows, write_rows
from tests.command import BAD, GOOD, LONG, QUESTION, fails

USER = {"role": "user", "content": QUESTION}
ASKED_BACK = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Why what?"}, USER]


def said(text, **more):
    return {"role": "assistant", "content": text, **more}


CALL = said(None, tool_calls=[{"type": "function", "function": {"name": "look_up", "arguments": {"q": "sky"}}}])
RESULT = {"role": "tool", "content": "light scatters", "name": "look_up"}


def blocks(text):
    return [{"type": "image", "url": "sky.png"}, {"type": "text", "text": text}]


@pytest.fixture
def score(model, tmp_path):
    """Score rows and return (finished rows, bad rows)."""

    def score(*rows, columns=None, suffix=".jsonl", **additions):
        path, output = tmp_path / f"in{suffix}", tmp_path / "out.jsonl"
        if suffix in (".csv", ".tsv"):
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.writer(file, "excel" if suffix == ".csv" else "excel-tab")
                writer.writerows([list(rows[0]), *(row.values() for row in rows)])
        else:
            write_rows(path, rows)
        score_files(model, path, output, Options(Columns(**columns or {}), Additions(**additions)))
        errors = tmp_path / "out.jsonl.errors.jsonl"
        return [r for _, r in read_rows(output)], [r for _, r in read_rows(errors)] if errors.exists() else []

    return score


def scored(model, question, answer):
    return pytest.approx(model.score(question, answer), abs=1e-5)


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"question": QUESTION, "answer": GOOD}, QUESTION),
        ({"prompt": QUESTION, "answer": GOOD}, QUESTION),
        ({"prompt": QUESTION, "completion": GOOD}, QUESTION),
        ({"question": QUESTION, "completion": GOOD}, QUESTION),
        ({"question": None, "prompt": QUESTION, "answer": None, "completion": GOOD}, QUESTION),
        ({"question": ASKED_BACK, "answer": GOOD}, ASKED_BACK),
        ({"messages": ASKED_BACK, "answer": GOOD}, ASKED_BACK),
        # TRL: prompt-completion, conversational
        ({"prompt": ASKED_BACK, "completion": [said(GOOD)]}, ASKED_BACK),
        ({"prompt": [USER], "completion": [CALL, RESULT, said(GOOD)]}, [USER]),
        ({"prompt": [USER], "completion": [said(GOOD)], "label": True, "tools": [{"type": "function"}]}, [USER]),
        # TRL: language modelling
        ({"messages": [*ASKED_BACK, said(GOOD)]}, ASKED_BACK),
        ({"messages": [USER, CALL, RESULT, said(GOOD)]}, [USER, {"role": "tool", "content": "light scatters"}]),
        ({"messages": [{"role": "developer", "content": "Be kind."}, USER, said(GOOD)]}, "system"),
        ({"messages": [{"role": "user", "content": blocks(QUESTION)}, said(blocks(GOOD))]}, [USER]),
        ({"prompt": QUESTION, "messages": [*ASKED_BACK, said(GOOD)]}, ASKED_BACK),
        ({"messages": [USER, {"role": "model", "content": GOOD}]}, [USER]),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_one_answer(score, model, row, question, suffix):
    if question == "system":
        question = [{"role": "system", "content": "Be kind."}, USER]
    [found], bad = score(row, suffix=suffix)
    assert bad == []
    assert found["score"] == scored(model, question, GOOD)
    assert list(found) == [*row, "score"]
    if suffix == ".jsonl":
        assert {name: found[name] for name in row} == row


@pytest.mark.parametrize(
    ("row", "question"),
    [
        ({"question": QUESTION, "chosen": GOOD, "rejected": BAD}, QUESTION),
        ({"prompt": QUESTION, "chosen": GOOD, "rejected": BAD}, QUESTION),
        ({"prompt": ASKED_BACK, "chosen": [said(GOOD)], "rejected": [said(BAD)]}, ASKED_BACK),
        ({"messages": ASKED_BACK, "chosen": GOOD, "rejected": BAD}, ASKED_BACK),
        # The prompt stands in both
        ({"chosen": [*ASKED_BACK, said(GOOD)], "rejected": [*ASKED_BACK, said(BAD)]}, ASKED_BACK),
        ({"prompt": QUESTION, "chosen": [USER, said(GOOD)], "rejected": [USER, said(BAD)]}, QUESTION),
    ],
)
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_chosen_and_rejected(score, model, row, question, suffix):
    [found], bad = score(row, suffix=suffix)
    assert bad == []
    assert found["score_chosen"] == scored(model, question, GOOD)
    assert found["score_rejected"] == scored(model, question, BAD)
    assert found["score_margin"] == found["score_chosen"] - found["score_rejected"] != 0
    assert list(found) == [*row, "score_chosen", "score_rejected", "score_margin"]


def test_several_kinds_in_one_row(score, model):
    row = {"question": QUESTION, "answer": GOOD, "answers": [BAD, {"text": GOOD, "votes": 3}], "chosen": GOOD}
    [found], _ = score(row | {"rejected": BAD})
    good, bad = scored(model, QUESTION, GOOD), scored(model, QUESTION, BAD)
    assert (found["score"], found["score_chosen"], found["score_rejected"]) == (good, good, bad)
    assert found["scores"] == [bad, good]


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet", ".csv", ".tsv"])
def test_rows_of_different_kinds_in_one_file(score, model, suffix):
    """In tables every row has all columns, most of them without a value."""
    rows = [{"question": QUESTION, "answer": GOOD}, {"question": QUESTION, "answers": [BAD, GOOD]}]
    rows += [{"prompt": QUESTION, "chosen": GOOD, "rejected": BAD}, {"messages": [USER, said(BAD)]}]
    if suffix in (".csv", ".tsv"):
        names = dict.fromkeys(name for row in rows for name in row)
        lists = [{n: json.dumps(v) if isinstance(v, list) else v for n, v in row.items()} for row in rows]
        rows = [dict.fromkeys(names, "") | row for row in lists]
    found, bad = score(*rows, suffix=suffix)
    assert bad == []
    good, poor = scored(model, QUESTION, GOOD), scored(model, QUESTION, BAD)
    assert (found[0]["score"], found[1]["scores"]) == (good, [poor, good])
    assert (found[2]["score_chosen"], found[3]["score"]) == (good, poor)


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_lists_in_a_table_are_json(score, model, suffix):
    row = {"messages": json.dumps([*ASKED_BACK, said(GOOD)]), "id": "7"}
    [found], bad = score(row, suffix=suffix)
    assert (found, bad) == (row | {"score": scored(model, ASKED_BACK, GOOD)}, [])
    row = {"messages": json.dumps(ASKED_BACK), "answers": json.dumps([GOOD, {"text": BAD}])}
    [found], bad = score(row, suffix=suffix)
    assert bad == []
    assert found["scores"] == [scored(model, ASKED_BACK, GOOD), scored(model, ASKED_BACK, BAD)]
    row = {"chosen": json.dumps([USER, said(GOOD)]), "rejected": json.dumps([USER, said(BAD)])}
    [found], bad = score(row, suffix=suffix)
    assert bad == []
    assert found["score_rejected"] == scored(model, [USER], BAD)


@pytest.mark.parametrize(
    "row",
    [
        {"question": ASKED_BACK, "answer": GOOD},
        {"prompt": ASKED_BACK, "completion": [said(GOOD)]},
        {"question": ASKED_BACK, "answer": [said(GOOD)]},
        {"prompt": ASKED_BACK, "chosen": [said(GOOD)], "rejected": [said(BAD)]},
        {"prompt": QUESTION, "chosen": [USER, said(GOOD)], "rejected": [USER, said(BAD)]},
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_a_table_that_was_written_from_messages_gives_the_same_scores(run, tmp_path, row, suffix):
    write_rows(tmp_path / "in.jsonl", [row])
    first, again = tmp_path / f"first{suffix}", tmp_path / f"again{suffix}"
    assert run("score", tmp_path / "in.jsonl", "-o", first).exit_code == 0
    assert run("score", first, "-o", again).exit_code == 0
    assert again.read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    ("suffix", "answer"),
    [(".jsonl", json.dumps([USER, said(GOOD)])), (".csv", '[{"name": "Faust"}]'), (".csv", "[]"), (".csv", "[why]")],
)
def test_text_that_looks_like_json_is_text(score, model, suffix, answer):
    row = {"question": "[1, 2]", "answer": answer}
    [found], _ = score(row, suffix=suffix)
    assert found["score"] == scored(model, row["question"], row["answer"])


def test_named_columns(score, model):
    row = {"q": QUESTION, "reply": GOOD, "answer": "not this", "question": "nor this"}
    [found], _ = score(row, columns={"question": "q", "answer": "reply"})
    assert found["score"] == scored(model, QUESTION, GOOD)
    [found], _ = score(row | {"all": [GOOD, BAD]}, columns={"question": "q", "answers": "all"})
    assert found["scores"] == [scored(model, QUESTION, GOOD), scored(model, QUESTION, BAD)]
    assert "score" not in found
    [found], _ = score(row | {"a": GOOD, "b": BAD}, columns={"question": "q", "chosen": "a", "rejected": "b"})
    assert found["score_margin"] == pytest.approx(model.score(QUESTION, GOOD) - model.score(QUESTION, BAD), abs=1e-5)
    [found], _ = score({"q": "Why?", "messages": [USER, said(GOOD)]}, columns={"question": "q"})
    assert found["score"] == scored(model, "Why?", GOOD)
    _, [bad] = score({"question": QUESTION, "answer": GOOD}, row, columns={"answer": "reply"})
    assert bad["reason"] == "there is no column 'reply'; allowed: question, answer"


def test_named_columns_on_the_command_line(run, tmp_path):
    write_rows(tmp_path / "in.jsonl", [{"q": QUESTION, "good": GOOD, "bad": BAD}])
    command = ["score", tmp_path / "in.jsonl", "--question-column", "q", "--chosen-column", "good"]
    fails(run(*command), "chosen is 'good' and rejected None; allowed: both or none")
    row = json.loads(run(*command, "--rejected-column", "bad").stdout)
    assert list(row) == ["q", "good", "bad", "score_chosen", "score_rejected", "score_margin"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"prompt": [USER], "completion": [CALL]}, "completion is [{'role': 'assistant', 'content': None"),
        ({"messages": [said(GOOD), USER]}, "allowed: messages of which the last is the assistant's, with text"),
        ({"messages": [said(GOOD)]}, "allowed: a question and, last, the assistant's answer"),
        ({"messages": "Why?"}, "messages is None; allowed: a question and"),
        ({"messages": [{"role": "bot", "content": "x"}, said(GOOD)]}, "role is 'bot'; allowed: system, user"),
        ({"messages": [{"content": QUESTION}, said(GOOD)]}, "messages[0] is {'content'"),
        ({"chosen": GOOD, "rejected": BAD}, "allowed: a question, or chosen and rejected as whole dialogues"),
        ({"chosen": [USER, said(GOOD)], "rejected": [*ASKED_BACK, said(BAD)]}, "differ before their last message"),
        ({"chosen": [], "rejected": []}, "differ before their last message"),
        ({"chosen": [said(GOOD)], "rejected": [said(BAD)]}, "chosen is []; allowed: messages of which one has text"),
        ({"question": QUESTION, "answer": [said("")]}, "answer is [{'role': 'assistant', 'content': ''}]; allowed"),
        ({"question": {"text": QUESTION}, "answer": GOOD}, "question is {'text'"),
        ({"question": QUESTION, "completions": [GOOD]}, "columns are question, completions; allowed: answer, answers"),
        ({"question": QUESTION, "chosen": GOOD, "rejected": None}, "rejected is None; allowed: non-empty text"),
        ({"question": QUESTION, "chosen": None, "rejected": BAD}, "chosen is None; allowed: non-empty text"),
        (
            {"question": QUESTION, "answer": GOOD, "chosen": GOOD, "rejected": None},
            "rejected is None; allowed: non-empty text",
        ),
        ({f"{i:099}": i for i in range(9)}, "...; allowed: answer, answers, or both chosen and rejected"),
    ],
)
def test_rows_that_cannot_be_scored(score, row, reason):
    found, [bad] = score(row, {"question": QUESTION, "answer": GOOD})
    assert reason in bad["reason"]
    assert len(bad["reason"]) < 400
    assert (bad["row"], bad["line"], len(found)) == (row, 1, 1)


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
@pytest.mark.parametrize("own", [{}, {"margin": 0.5}])
def test_scored_pairs_are_pairs_with_the_margin_they_had(run, tmp_path, suffix, own):
    """Scoring them again changes nothing. A `score_margin` may be below 0, which the `margin` of a pair may not."""
    path = tmp_path / f"rows{suffix}"
    write_rows(path, [{"question": QUESTION, "chosen": c, "rejected": r, **own} for c, r in ((GOOD, BAD), (BAD, GOOD))])
    for _ in range(3):
        assert run("score", path, "-o", path, "--contributions", "--truncated").exit_code == 0
        for _, found in read_rows(path):
            assert found["score_margin"] == found["score_chosen"] - found["score_rejected"]
    assert [pair.margin for pair in read_pairs(path)] == [own.get("margin", 0.0)] * 2
    assert run("evaluate", path).exit_code == 0


KINDS = {
    "answer": {"question": QUESTION, "answer": GOOD},
    "answers": {"question": QUESTION, "answers": [GOOD, BAD, GOOD]},
    "pair": {"question": QUESTION, "chosen": GOOD, "rejected": BAD},
}
NAMES = {"score": "contributions", "score_chosen": "contributions_chosen", "score_rejected": "contributions_rejected"}


@pytest.mark.parametrize("row", KINDS.values(), ids=KINDS)
def test_contributions_sum_to_the_score(score, model, row):
    [found], _ = score(row, contributions=True)
    pairs = [(found[name], found[parts]) for name, parts in NAMES.items() if name in found]
    if "scores" in found:
        pairs = list(zip(found["scores"], found["contributions"], strict=True))
    assert len(pairs) == {"answer": 1, "answers": 3}.get(next(reversed(row)), 2)
    for value, parts in pairs:
        assert list(parts) == list(model.bundle.contributions)
        assert sum(parts.values()) == pytest.approx(value, abs=1e-4)


def test_truncated_counts_are_those_of_score_batch(score, model):
    questions, answers = [QUESTION, LONG, QUESTION, LONG], [GOOD, GOOD, LONG, LONG]
    expected = model.score_batch(questions, answers)
    rows = [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True)]
    found, _ = score(*rows, truncated=True)
    assert [r["question_cut"] for r in found] == expected.question_cut.tolist()
    assert [r["answer_cut"] for r in found] == expected.answer_cut.tolist()
    assert min(expected.answer_cut) == 0 < max(expected.answer_cut)
    [found], _ = score(
        {"question": LONG, "answer": GOOD, "answers": [], "chosen": LONG, "rejected": BAD}, truncated=True
    )
    assert found["question_cut"] == expected.question_cut[1] > 0
    assert (found["answer_cut"], found["answers_cut"], found["rejected_cut"]) == (0, [], 0)
    assert found["chosen_cut"] == expected.answer_cut[3]


def test_columns_have_one_order(score):
    [found], _ = score(KINDS["answers"] | {"z": 1}, contributions=True, truncated=True)
    assert list(found) == ["question", "answers", "z", "question_cut", "scores", "contributions", "answers_cut"]


def test_top_k(score, model):
    answers = [BAD, GOOD, "air", LONG, GOOD]
    ranked = model.rank(QUESTION, answers)
    row = {"question": QUESTION, "answers": [{"text": a, "n": i} for i, a in enumerate(answers)]}
    for k in (1, 3, 9):
        [found], _ = score(row, top_k=k, contributions=True, truncated=True)
        assert [a["n"] for a in found["answers"]] == [r.index for r in ranked[:k]]
        assert found["scores"] == pytest.approx([r.score for r in ranked[:k]], abs=1e-5)
        for value, parts in zip(found["scores"], found["contributions"], strict=True):
            assert sum(parts.values()) == pytest.approx(value, abs=1e-4)
        assert [a["text"] == LONG for a in found["answers"]] == [cut > 0 for cut in found["answers_cut"]]
    found, [bad] = score({"question": QUESTION, "answer": GOOD}, {"question": QUESTION, "answers": []}, top_k=1)
    assert [r["answers"] for r in found] == [[]]
    assert bad["reason"] == "columns are question, answer; allowed with top-k: answers"
    with pytest.raises(InputError, match="top_k is 0; allowed: a whole number, 1 or more"):
        Additions(top_k=0)


def test_min_score(score, model):
    good, bad = model.score(QUESTION, GOOD), model.score(QUESTION, BAD)
    better, worse = (GOOD, BAD) if good > bad else (BAD, GOOD)
    between = (good + bad) / 2
    rows = [{"question": QUESTION, "answer": a, "id": i} for i, a in enumerate((better, worse, better))]
    assert [r["id"] for r in score(*rows, min_score=between)[0]] == [0, 2]
    [found], _ = score({"question": QUESTION, "answers": [worse, better, worse]}, min_score=between)
    assert found["answers"] == [better]
    assert found["scores"] == [scored(model, QUESTION, better)]
    # A pair is kept by its chosen answer.
    pairs = [{"question": QUESTION, "chosen": c, "rejected": r} for c, r in ((better, worse), (worse, better))]
    assert [r["chosen"] for r in score(*pairs, min_score=between)[0]] == [better]
    assert score({"question": QUESTION, "answers": [worse]}, min_score=between) == ([], [])
    assert score({"question": QUESTION, "answers": []}, min_score=between) == ([], [])
    [exact], _ = score({"question": QUESTION, "answer": better})
    assert len(score({"question": QUESTION, "answer": better}, min_score=exact["score"])[0]) == 1


def test_min_score_is_told_and_answers_in_a_table_stay_json(run, model, tmp_path):
    values = sorted(model.score(QUESTION, [GOOD, BAD, "air"]).tolist())
    rows = [[QUESTION, json.dumps(a)] for a in ([GOOD], [BAD], ["air"], [GOOD, BAD, "air"])]
    with open(tmp_path / "in.csv", "w", newline="") as file:
        csv.writer(file).writerows([["question", "answers"], *rows])
    middle = (values[0] + values[1]) / 2
    result = run("score", tmp_path / "in.csv", "-o", tmp_path / "out.jsonl", "--min-score", middle)
    assert result.stderr == "kept 3 of 4 rows\n"
    found = [row for _, row in read_rows(tmp_path / "out.jsonl")]
    assert all(len(json.loads(row["answers"])) == len(row["scores"]) for row in found)
    assert [len(row["scores"]) for row in found] == [1, 1, 2]
