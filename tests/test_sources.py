"""The loaders of well-known sets: each on a small file in the set's own columns, and what they say of bad rows."""

import json
import os
from collections import Counter
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from axioms.registry import AXIOMS, LABELS
from axioms.sources.registry import SOURCES, load
from prefmodel.errors import FileFormatError, InputError
from prefmodel.files import read_rows
from prefmodel.types import Message, PreferencePair, Thread

HERE = Path(__file__).parent / "sources"
SPECIAL = {"stack-exchange-dump": "stack-exchange-dump/*/*.xml", "ms-marco-web-search": "ms-marco-web-search/*"}
SHARED = {"oasst1-threads": "oasst1.jsonl"}
ZINC = (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "What is zinc?"))

PAIRS = {  # question, chosen, rejected
    "stack-exchange-paired": [("How do I reverse a list?", "Use `reversed(x)`.", "Sort it.")],
    "shp": [
        ("Why does my bread sink?", "It was proofed for too long.", "Bad luck."),
        ("Which flour?", "Strong flour, for its gluten.", "Any."),
    ],
    "webgpt": [
        ("Why are there tides?", "The moon pulls the sea [1].", "Because of wind."),
        ("What is an eclipse?", "The moon covers the sun [1].", "A cloud."),
    ],
    "hh-rlhf": [
        (
            (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "How far is the moon?")),
            "About 384,000 km.",
            "Very far.",
        ),
        ((Message("user", "Sing!"),), "La la.", "No."),
    ],
    "oasst1": [
        ("What is rust?", "Iron oxide.", "A colour."),
        (
            (
                Message("user", "What is rust?"),
                Message("assistant", "Iron oxide."),
                Message("user", "How do I stop it?"),
            ),
            "Keep iron dry.",
            "You cannot.",
        ),
    ],
    "ultrafeedback-binarized": [
        ("Name a prime.", "Seven.", "Nine."),
        (
            (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "And twice two?")),
            "Four.",
            "Five.",
        ),
    ],
    "helpsteer2": [
        ("What is tin?", "A soft metal.", "A can."),
        (ZINC, "A metal used against rust.", "No idea."),
    ],
    "helpsteer2-preference": [
        ("What is tin?", "A soft metal.", "A can."),
        ("What is zinc?", "A metal.", "No idea."),
    ],
    "reward-bench": [("What is 2 + 2?", "4", "5"), ("Greet me.", "Good day!", "Go away.")],
    "reward-bench-2": [
        *[("What is 2 + 2?", "4", wrong) for wrong in ("5", "22", "Two.")],
        *[("Name a planet.", right, "Ceres.") for right in ("Mars.", "Venus.")],
    ],
    "rm-bench": [
        ("Is ice light?", right, wrong)
        for right in ("Yes.", "Yes, it floats.", "**Yes**, it floats.")
        for wrong in ("No.", "No, it sinks.", "**No**, it sinks.")
    ],
}

THREADS = {  # id, question, texts of answers, passages
    "stack-exchange-preferences": [
        ("coffee.stackexchange/12", "How do I keep tea hot?", ("Use a **lid**.", "Drink faster."), ())
    ],
    "stack-exchange-dump": [
        (
            "tea.stackexchange/1",
            "How long should tea steep?\n\nMine is *bitter*.",
            ("An hour.", "Three minutes at `95 °C`:\n\n- green: two"),
            (),
        )
    ],
    "eli5": [
        ("eli5/q1", "Why is ice slippery?\n\nI fell again.", ("A thin layer of water.", "It hates you."), ()),
    ],
    "oasst1-threads": [
        ("oasst1/t1", "What is rust?", ("A colour.", "Iron oxide."), ()),
        ("oasst1/t3", "Say hi.", ("Hi.",), ()),
    ],
    "ultrafeedback": [("ultrafeedback/1", "Name a prime.", ("Seven is prime.", "Nine."), ())],
    "dolly": [
        ("dolly/1", "When did the bakery open?", ("In 1911.",), ("The bakery on Mill Street opened in 1911.",)),
        ("dolly/2", "Name two fruits.", ("Apple and pear.",), ()),
    ],
    "researchy-questions": [
        (
            "researchy-questions/1001",
            "how do cats change a home",
            (),
            ("Cats calm people.", "Cats scratch chairs."),
        )
    ],
    "ms-marco": [
        ("ms-marco/5", "what is slate", ("Slate is a rock.",), ("Slate is a fine-grained rock.",)),
        ("ms-marco/6", "what is chalk", ("Soft limestone.",), ("Chalk is soft limestone.",)),
    ],
    "ms-marco-web-search": [
        ("ms-marco-web-search/1", "how tall are giraffes", (), ("Giraffes are up to 5.5 metres tall.",))
    ],
}

SKIPPED = {
    "stack-exchange-preferences": {"no answers": 1},
    "stack-exchange-paired": {"equal answers": 1},
    "stack-exchange-dump": {"no answers": 1, "an answer without its question": 1},
    "webgpt": {"no preference": 1},
    "hh-rlhf": {"dialogues that differ before the last answer": 1, "an empty text": 1},
    "oasst1": {"not English": 1, "no ranked replies": 2},
    "oasst1-threads": {"not English": 1, "no answers": 1},
    "ultrafeedback": {"of TruthfulQA, an evaluation set": 1, "no answers": 1},
    "ultrafeedback-binarized": {"no preference": 1},
    "helpsteer2": {"no preference": 1, "a prompt with one answer": 1},
    "helpsteer2-preference": {"no preference": 1, "of the split validation": 1},
    "dolly": {"no answers": 1},
    "reward-bench-2": {"no correct answer, or no wrong one": 1},
    "eli5": {"no answers": 1},
    "ms-marco": {"no answers": 1},
    "ms-marco-web-search": {"no text of a clicked page": 1},
}


def files_of(name: str) -> list[Path]:
    if name in SPECIAL:
        return sorted(HERE.glob(SPECIAL[name]))
    return [HERE / SHARED.get(name, f"{name}.jsonl")]


def core(item: PreferencePair | Thread) -> tuple:
    if isinstance(item, PreferencePair):
        return item.question, item.chosen, item.rejected
    return item.id, item.question, tuple(answer.text for answer in item.answers), item.passages


def altered(path: Path, name: str, row: int = 0, **columns: object) -> Path:
    """Write the rows of a set's file to `path` with some columns of one row changed, or removed if the value is ...."""
    rows = [columns for _, columns in read_rows(files_of(name)[0])]
    rows[row] = {k: v for k, v in {**rows[row], **columns}.items() if v is not ...}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("name", SOURCES)
def test_each_set_gives_what_its_rows_say_and_counts_the_others(name):
    skipped = Counter()
    items = list(load(name, files_of(name), skipped=skipped))
    source = SOURCES[name]
    assert [core(item) for item in items] == (PAIRS if source.kind == "pairs" else THREADS)[name]
    assert all(isinstance(item, PreferencePair if source.kind == "pairs" else Thread) for item in items)
    assert dict(skipped) == SKIPPED.get(name, {})


def test_scenarios_of_rm_bench_tell_whether_style_helps():
    """Easy where the correct answer has the fancier style, hard where the wrong one has: three pairs of each."""
    scenarios = Counter(pair.provenance["scenario"] for pair in load("rm-bench", files_of("rm-bench")))
    assert scenarios == {"chat, easy": 3, "chat, normal": 3, "chat, hard": 3}
    hard = [
        p.provenance["styles"] for p in load("rm-bench", files_of("rm-bench")) if "hard" in p.provenance["scenario"]
    ]
    assert hard == [["concise", "detailed"], ["concise", "markdown"], ["detailed", "markdown"]]


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in SPECIAL])
def test_the_small_file_has_the_columns_that_the_table_lists(name):
    for _, row in read_rows(files_of(name)[0]):
        assert {*SOURCES[name].columns, *SOURCES[name].optional} <= set(row)


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in SPECIAL])
def test_every_listed_column_is_asked_for(name, tmp_path):
    """A column that is listed is used: without it, the set cannot be read."""
    for column in SOURCES[name].columns:
        path = altered(tmp_path / "rows.jsonl", name, **{column: ...})
        with pytest.raises(FileFormatError, match=f"row 1: .*{column} is missing"):
            list(load(name, [path]))


def test_columns_that_a_set_may_leave_out(tmp_path):
    rows = [row for _, row in read_rows(HERE / "oasst1.jsonl")]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in rows))
    assert list(load("oasst1", [path])) == list(load("oasst1", files_of("oasst1")))
    least = ("message_id", "parent_id", "text", "role", "lang")
    path.write_text("".join(json.dumps({k: row[k] for k in least if row[k]}) + "\n" for row in rows))
    assert [len(thread.answers) for thread in load("oasst1-threads", [path])] == [2, 1]


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in SPECIAL])
def test_parquet_and_a_list_in_json_give_the_same(name, tmp_path):
    rows = [row for _, row in read_rows(files_of(name)[0])]
    expected = list(load(name, files_of(name)))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "rows.json").write_text(json.dumps(rows, indent=1))
    assert list(load(name, [tmp_path / "rows.parquet"])) == expected
    assert list(load(name, [tmp_path / "rows.json"])) == expected


BAD = [  # set, column, value, what is allowed
    ("shp", "labels", 2, "0 or 1"),
    ("shp", "labels", "yes", "a whole number"),
    ("shp", "human_ref_A", 7, "text"),
    ("shp", "score_A", None, "a whole number"),
    ("shp", "score_B", 1.5, "a whole number"),
    ("shp", "score_A", True, "a whole number"),
    ("webgpt", "score_0", 3.0, "-1 to 1"),
    ("webgpt", "score_1", 0.5, "minus score_0"),
    ("webgpt", "score_0", float("nan"), "a finite number"),
    ("webgpt", "question", "Why?", "an object"),
    ("hh-rlhf", "chosen", "Hello", "a transcript"),
    ("oasst1", "role", "bot", "prompter, assistant"),
    ("oasst1", "deleted", "no", "true or false"),
    ("oasst1", "parent_id", "a9", "the message_id of a row before it"),
    ("helpsteer2", "helpfulness", 5, "0 to 4"),
    ("helpsteer2-preference", "preference_strength", -100, "-3 to 3"),
    ("helpsteer2-preference", "split", "test", "train, val, validation"),
    ("eli5", "answers", {"text": ["a"], "score": [1, 2]}, "lists of one length"),
    ("eli5", "answers", ["a"], "a list of objects"),
    ("ms-marco", "answers", "a rock", "a list of texts"),
    ("stack-exchange-preferences", "metadata", [], "a list that begins with the question's address"),
    ("stack-exchange-paired", "metadata", ["no address"], "a list that begins with the question's address"),
    ("ultrafeedback-binarized", "chosen", [{"role": "user", "content": "Hi"}], "the last by the assistant"),
    ("ultrafeedback-binarized", "rejected", None, "a list of objects"),
    ("dolly", "instruction", ["a"], "text"),
    ("reward-bench", "id", "seven", "a whole number"),
    ("reward-bench-2", "rejected", "5", "a list of texts"),
    ("rm-bench", "chosen", ["Yes."], "3 texts: concise, detailed, markdown"),
    ("researchy-questions", "DocStream", "none", "a list of objects"),
]


@pytest.mark.parametrize(("name", "column", "value", "allowed"), BAD)
def test_a_bad_row_is_named_with_set_row_column_value_and_what_is_allowed(name, column, value, allowed, tmp_path):
    path = altered(tmp_path / "rows.jsonl", name, **{column: value})
    with pytest.raises(FileFormatError) as caught:
        list(load(name, [path]))
    text = str(caught.value)
    assert text.startswith(f"{name}, {path}, row 1: {column} is ")
    assert allowed in text
    assert "\n" not in text


def test_a_bad_field_within_a_row_is_named_by_its_place(tmp_path):
    answers = [{"text": "a", "pm_score": 1, "selected": False}, {"text": "b", "pm_score": 99, "selected": False}]
    path = altered(tmp_path / "rows.jsonl", "stack-exchange-preferences", answers=answers)
    with pytest.raises(FileFormatError, match=r"row 1: answers\[1\]\.pm_score is 99; allowed: -1 to 32"):
        list(load("stack-exchange-preferences", [path]))


def test_the_row_before_a_bad_one_is_given_and_its_number_counts_lines(tmp_path):
    path = altered(tmp_path / "rows.jsonl", "shp", row=1, labels=None)
    path.write_text("\n" + path.read_text())
    items = load("shp", [path])
    assert next(items).thread_id == "shp/p1"
    with pytest.raises(FileFormatError, match="row 3: labels is None"):
        next(items)


def test_facts_of_a_label_stand_in_the_provenance():
    shp = next(load("shp", files_of("shp")))
    assert (shp.principle, shp.axiom, shp.thread_id) == ("usefulness", "human", "shp/p1")
    assert shp.provenance == {"recipe": "votes", "votes": [30, 5], "domain": "askbaking_train"}
    judged = next(load("ultrafeedback-binarized", files_of("ultrafeedback-binarized")))
    assert judged.axiom == "judged"
    assert judged.provenance == {"recipe": "rating", "judge": "gpt-4", "scores": [9.0, 2.0]}


def test_facts_of_answers_are_kept():
    [post] = load("stack-exchange-dump", files_of("stack-exchange-dump"))
    assert [(a.votes, a.accepted, a.created) for a in post.answers] == [
        (-1, False, "2016-08-02"),
        (12, True, "2016-08-03"),
    ]
    assert post.views == 120
    [rounded] = load("stack-exchange-preferences", files_of("stack-exchange-preferences"))
    assert [(a.votes, a.accepted) for a in rounded.answers] == [(7, True), (-1, False)]
    [rated] = load("ultrafeedback", files_of("ultrafeedback"))
    assert [(a.author, a.model) for a in rated.answers] == [("model", "gpt-4"), ("model", "alpaca-7b")]
    trees = load("oasst1-threads", files_of("oasst1"))
    assert [[answer.author for answer in tree.answers] for tree in trees] == [["human", "human"], ["model"]]


def test_trees_whose_rows_are_mixed_are_refused(tmp_path):
    rows = [row for _, row in read_rows(HERE / "oasst1.jsonl")]
    path = tmp_path / "mixed.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows[:2], rows[7], rows[2]]))
    with pytest.raises(FileFormatError, match="row 4: parent_id is 't1'; allowed: the message_id of a row before it"):
        list(load("oasst1", [path]))


def test_the_other_split_of_a_file_with_both():
    [pair] = load("helpsteer2-preference", files_of("helpsteer2-preference"), split="validation")
    assert core(pair) == ("Kept apart?", "Yes.", "No.")


def test_a_table_of_text_is_read_as_text(tmp_path):
    (tmp_path / "rows.csv").write_text(
        'prompt,chosen,chosen_model,rejected,rejected_model,subset,id\nnull,42,,"43, or\n44",,"math",7\n'
    )
    [pair] = load("reward-bench", [tmp_path / "rows.csv"])
    assert core(pair) == ("null", "42", "43, or\n44")
    assert pair.thread_id == "reward-bench/7"


@pytest.mark.parametrize(
    ("content", "ending", "message"),
    [
        (b'{"labels": 1\n', ".jsonl", "row 1: not a JSON object"),
        (b"[1, 2]", ".json", "row 1: not a JSON object: found 1"),
        (b"\n7\n", ".jsonl", "row 2: not a JSON object: found 7"),
        (b'{"a": "\xff"}\n', ".jsonl", "codec can't decode"),
        (b"\x1f\x8b\x08\x00cut", ".jsonl.gz", "after row 0"),
        (b"no parquet", ".parquet", "after row 0"),
        (b"a,a\n1,2\n", ".csv", "the names of the columns, each once"),
        (b"", ".csv", "the names of the columns, each once"),
        (b"x", ".txt", "unknown file type; allowed: .jsonl, .jsonl.gz"),
    ],
)
def test_a_damaged_file_is_named(content, ending, message, tmp_path):
    path = tmp_path / f"rows{ending}"
    path.write_bytes(content)
    with pytest.raises(FileFormatError) as caught:
        list(load("shp", [path]))
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_file_and_a_name_with_brackets(tmp_path):
    with pytest.raises(FileFormatError, match="no such file"):
        list(load("shp", [tmp_path / "none.jsonl"]))
    path = tmp_path / "a[1]*.jsonl"
    path.write_text((HERE / "shp.jsonl").read_text())
    assert len(list(load("shp", [path, *files_of("shp")]))) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "shp2"}, "source is 'shp2'; allowed: stack-exchange-preferences, "),
        ({"name": "shp", "split": "dev"}, "split of shp is 'dev'; allowed: train, validation, test"),
        ({"name": "reward-bench"}, "split of reward-bench is 'train'; allowed: filtered, raw"),
        ({"name": "shp", "limit": 0}, "limit is 0; allowed: 1 or more"),
        ({"name": "eli5"}, "eli5 is not on the Hub as data; give FILES with q_id, title"),
        ({"name": "stack-exchange-dump"}, "give FILES"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_read(arguments, message):
    with pytest.raises(InputError) as caught:
        load(**arguments)
    assert message in str(caught.value)


def test_files_of_web_search_without_one_of_the_roles(tmp_path):
    with pytest.raises(InputError, match=r"FILES has no qrels; allowed: queries….tsv, qrels….tsv and"):
        list(load("ms-marco-web-search", [HERE / "ms-marco-web-search" / "queries_train.tsv"]))


def test_web_search_without_a_mapping_takes_the_ids_of_clueweb(tmp_path):
    folder = HERE / "ms-marco-web-search"
    (tmp_path / "qrels.tsv").write_text("1 0 clueweb22-en0000-00-00002 1\n")
    files = [folder / "queries_train.tsv", tmp_path / "qrels.tsv", folder / "en0000-00.jsonl"]
    assert [thread.passages for thread in load("ms-marco-web-search", files)] == [("Horses are smaller.",)]
    (tmp_path / "qrels.tsv").write_text("1 0 x\n")
    with pytest.raises(FileFormatError, match="row 1: found '1 0 x'; allowed: query id, 0, document id, whole number"):
        list(load("ms-marco-web-search", files))


@pytest.mark.skipif(os.environ.get("HF_HUB_OFFLINE") != "1", reason="asks the Hub unless it is told not to")
def test_offline_the_hub_is_an_error_that_names_it():
    with pytest.raises(FileFormatError, match=r"shp: stanfordnlp/SHP, split train, after row 0: .*Offline"):
        next(load("shp"))


def test_every_item_goes_through_every_axiom():
    """Threads without answers, passages or votes are no trouble to the axioms, nor are dialogues to the labels."""
    threads = [t for name in THREADS for t in load(name, files_of(name))]
    pairs = [p for name in PAIRS for p in load(name, files_of(name))]
    for build in AXIOMS.values():
        list(build(threads, Random(0)))
    assert {pair.source for build in LABELS.values() for pair in build(pairs, Random(0))} >= {"shp", "hh-rlhf"}


def test_the_axiom_of_judges_takes_the_scores_of_the_set_that_has_them():
    pairs = list(load("ultrafeedback-binarized", files_of("ultrafeedback-binarized")))
    assert [pair.chosen for pair in LABELS["judged"](pairs, Random(0))] == ["Seven."]
