import gzip
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefmodel.errors import FileFormatError
from prefmodel.files import (
    FORMATS,
    put_folder,
    read_pairs,
    read_rows,
    read_threads,
    whole_file,
    write_pairs,
    write_rows,
    write_threads,
)
from prefmodel.types import PRINCIPLES, ROLES, Answer, Message, PreferencePair, Thread
from tests.killed import alone, killed_at

text = st.text(max_size=20)
number = st.integers(-(2**40), 2**40)
json_values = st.none() | st.booleans() | number | text
answers = st.builds(
    Answer,
    text,
    st.sampled_from(["human", "model"]),
    st.none() | number,
    st.none() | st.booleans(),
    st.none() | st.dates().map(str),
    st.none() | text,
)
threads = st.builds(
    Thread,
    text,
    text,
    text,
    st.lists(answers, max_size=3).map(tuple),
    st.lists(text, max_size=3).map(tuple),
    st.none() | number,
)
dialogues = st.lists(st.builds(Message, st.sampled_from(ROLES), text), min_size=1, max_size=3).map(tuple)
pairs = st.builds(
    PreferencePair,
    text | dialogues,
    text,
    text,
    axiom=text,
    source=text,
    principle=st.none() | st.sampled_from(PRINCIPLES),
    margin=st.floats(0, 1e6),
    target=st.floats(0, 1),
    thread_id=st.none() | text,
    provenance=st.dictionaries(text, json_values, max_size=3),
)
any_format = pytest.mark.parametrize("suffix", FORMATS)
same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)


@any_format
@same_folder
@given(rows=st.lists(threads, max_size=5))
def test_threads_round_trip(tmp_path, suffix, rows):
    path = tmp_path / f"threads{suffix}"
    assert write_threads(path, rows) == len(rows)
    assert list(read_threads(path)) == rows


@any_format
@same_folder
@given(rows=st.lists(pairs, max_size=5))
def test_pairs_round_trip(tmp_path, suffix, rows):
    path = tmp_path / f"pairs{suffix}"
    assert write_pairs(path, rows) == len(rows)
    assert list(read_pairs(path)) == rows


@any_format
def test_rows_round_trip_over_chunks(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    rows = [{"i": i, "texts": ["a"] * (i % 3)} for i in range(2500)]
    assert write_rows(path, iter(rows)) == 2500
    assert list(read_rows(path)) == list(enumerate(rows, 1))


@pytest.mark.parametrize("suffix", FORMATS[:2])
def test_lone_surrogates_round_trip(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_rows(path, [{"text": "\ud800 é"}])
    assert list(read_rows(path)) == [(1, {"text": "\ud800 é"})]


def test_lone_surrogates_do_not_fit_parquet(tmp_path):
    with pytest.raises(FileFormatError, match="do not fit one Parquet schema"):
        write_rows(tmp_path / "rows.parquet", [{"text": "\ud800"}])
    assert list(tmp_path.iterdir()) == []


def test_equal_rows_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_rows(tmp_path / f"{name}.jsonl.gz", [{"text": "x"}])
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


GOOD = {"question": "Why?", "chosen": "Because.", "rejected": "No."}


def error_in_line_2(tmp_path, second: str, suffix: str = ".jsonl") -> str:
    path = tmp_path / f"pairs{suffix}"
    content = "\n".join([json.dumps(GOOD), second, json.dumps(GOOD)]).encode()
    path.write_bytes(gzip.compress(content) if suffix == ".jsonl.gz" else content)
    rows = read_pairs(path)
    assert next(rows).chosen == "Because."
    with pytest.raises(FileFormatError) as caught:
        list(rows)
    assert str(caught.value).startswith(f"{path}, line 2: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS[:2])
@pytest.mark.parametrize("line", ["{", "5", "null", "[1]", '"text"', '{"question": }', "\udc00", "[" * 100_000])
def test_broken_line_in_the_middle(tmp_path, line, suffix):
    second = line.encode("utf-8", "surrogatepass").decode("latin-1")
    assert "not a JSON object" in error_in_line_2(tmp_path, second, suffix)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chosen": None}, "chosen is missing; allowed: axiom"),
        ({"rejected": 5}, "rejected is 5; allowed: str"),
        ({"question": None}, "question is missing; allowed: axiom"),
        ({"question": [{"role": "bot", "content": "x"}]}, "role is 'bot'; allowed: system, user, assistant, tool"),
        ({"question": [{"role": "user"}]}, "question holds {'role': 'user'}; allowed: messages with role and content"),
        ({"principle": "charm"}, "principle is 'charm'; allowed: usefulness"),
        ({"target": 1.5}, "target is 1.5; allowed: a number from 0 to 1"),
        ({"margin": -1}, "margin is -1; allowed: a number from 0 to 1.8e+308"),
        ({"margin": True}, "margin is True; allowed: a number"),
        ({"margin": 10**400}, "allowed: a number from 0 to 1.8e+308"),
        ({"provenance": "not json"}, "provenance is 'not json'; allowed: a mapping"),
        ({"provenance": [1], "gpt4": 1}, "provenance is [1]; allowed: a mapping"),
    ],
)
def test_wrong_field_of_a_pair(tmp_path, change, message):
    assert message in error_in_line_2(tmp_path, json.dumps({**GOOD, **change}))


def test_missing_field_of_a_pair(tmp_path):
    assert "rejected is missing; allowed: " in error_in_line_2(tmp_path, '{"question": "a", "chosen": "b"}')


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vote": 3}, "vote is not a field; allowed: id, source"),
        ({"id": None}, "id is missing; required: id, source, question, answers"),
        ({"answers": "text"}, "answers is 'text'; allowed: a list"),
        ({"answers": ["text"]}, "answers[0] is 'text'; allowed: an object"),
        ({"answers": [{"text": "a"}, {"text": "b", "votes": "3"}]}, "answers[1]: votes is '3'; allowed: int or none"),
        ({"answers": [{"text": "a", "author": "god"}]}, "answers[0]: author is 'god'; allowed: human, model"),
        ({"answers": [{"text": "a", "votes": True}]}, "answers[0]: votes is True; allowed: int"),
        ({"passages": [5]}, "passages holds 5; allowed: str"),
        ({"views": 1.5}, "views is 1.5; allowed: int or none"),
        ({"views": 2**63}, f"views is {2**63}; allowed: an int of 64 bits or none"),
        ({"answers": [{"text": "a", "votes": -(10**400)}]}, "allowed: an int of 64 bits or none"),
    ],
)
def test_wrong_field_of_a_thread(tmp_path, change, message):
    path = tmp_path / "threads.jsonl"
    row = {"id": "demo/1", "source": "demo", "question": "Why?", "answers": [], **change}
    path.write_text("\n" + json.dumps(row))
    with pytest.raises(FileFormatError) as caught:
        list(read_threads(path))
    assert str(caught.value) == f"{path}, line 2: " + str(caught.value).partition("line 2: ")[2]
    assert message in str(caught.value)


def test_fields_of_others_go_to_provenance(tmp_path):
    (tmp_path / "pairs.jsonl").write_text(json.dumps({**GOOD, "gpt4": "a", "note": None}))
    [pair] = read_pairs(tmp_path / "pairs.jsonl")
    assert pair.provenance == {"gpt4": "a"}
    assert pair.axiom == "human"


@pytest.mark.parametrize("suffix", FORMATS)
def test_damaged_files(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    write_rows(path, [{"text": f"{i * i} squared"} for i in range(500)])
    data = path.read_bytes()
    cut, changed = data[: len(data) // 2], data[:-20] + b"\xff" * 12 + data[-8:]
    # A text file that ends early may just have fewer lines.
    for damaged in [changed] if suffix == ".jsonl" else [cut, changed]:
        path.write_bytes(damaged)
        with pytest.raises(FileFormatError, match="rows"):
            list(read_rows(path))


def test_no_such_file_and_wrong_type(tmp_path):
    with pytest.raises(FileFormatError, match=r"missing\.jsonl: no such file"):
        read_rows(tmp_path / "missing.jsonl")
    with pytest.raises(
        FileFormatError, match=r"rows\.csv: unknown file type; allowed: \.jsonl, \.jsonl\.gz, \.parquet"
    ):
        read_rows(tmp_path / "rows.csv")
    with pytest.raises(FileFormatError, match="does not exist"):
        write_rows(tmp_path / "missing" / "rows.jsonl", [])


def broken_rows():
    yield {"text": "first"}
    raise ValueError("the source fails")


@any_format
def test_whole_or_not_at_all(tmp_path, suffix):
    path = tmp_path / f"rows{suffix}"
    with pytest.raises(ValueError, match="the source fails"):
        write_rows(path, broken_rows())
    assert list(tmp_path.iterdir()) == []
    write_rows(path, [{"text": "old"}])
    with pytest.raises(ValueError, match="the source fails"):
        write_rows(path, broken_rows())
    assert list(tmp_path.iterdir()) == [path]
    assert [row for _, row in read_rows(path)] == [{"text": "old"}]


def test_whole_file_appears_at_the_end(tmp_path):
    with whole_file(tmp_path / "a.txt") as temporary:
        temporary.write_text("content")
        assert not (tmp_path / "a.txt").exists()
    assert (tmp_path / "a.txt").read_text() == "content"


def test_rows_that_do_not_fit_one_schema(tmp_path):
    rows = [{"question": "text"}, {"question": [{"role": "user", "content": "text"}]}]
    with pytest.raises(FileFormatError, match="do not fit one Parquet schema"):
        write_rows(tmp_path / "rows.parquet", rows)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="makes copies of a process to kill them")
def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    assert alone(put_and_kill, tmp_path) == ["whole"]


def put_and_kill(folder):
    """Print what is there after kills at each instant, where anything is."""
    found, ended, instant = set(), False, 0
    made = Path(folder) / "made"
    (made / "onnx").mkdir(parents=True)
    for name in ("onnx/graph", "config"):
        (made / name).write_text(name)
    while not ended:
        instant += 1
        out = Path(folder) / str(instant)
        ended = killed_at(instant, lambda out=out: put_folder(made, out))
        if out.exists():
            found.add("whole" if (out / "onnx/graph").read_text() + (out / "config").read_text() else "part")
        else:
            put_folder(made, out)
    assert instant > 4
    print(json.dumps(sorted(found)))
