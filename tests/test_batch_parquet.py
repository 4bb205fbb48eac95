"""Parquet: types, parts of files, and values that Python or Parquet does not have."""

import json
import random
from datetime import date, datetime, timezone
from decimal import Decimal

import pyarrow as arrow
import pytest

from prefmodel.batch import reading
from prefmodel.batch.columns import Additions
from prefmodel.batch.run import Options, score_files
from tests.batch import CHUNK, chunks, read, read_table, write, write_table
from tests.command import BAD, GOOD, QUESTION, fails

TEXTS = {"question": QUESTION, "answer": GOOD}


SCHEMA = arrow.schema(
    {
        "id": arrow.int32(),
        "question": arrow.large_string(),
        "answer": arrow.dictionary(arrow.int16(), arrow.string()),
        "when": arrow.timestamp("us", "Europe/Berlin"),
        "nanos": arrow.timestamp("ns"),
        "day": arrow.date32(),
        "price": arrow.decimal128(12, 3),
        "raw": arrow.binary(),
        "small": arrow.float32(),
        "flags": arrow.list_(arrow.bool_()),
        "meta": arrow.struct({"a": arrow.struct({"b": arrow.list_(arrow.uint8())}), "c": arrow.string()}),
        "pairs": arrow.map_(arrow.string(), arrow.int16()),
        "nothing": arrow.null(),
        "sometimes": arrow.int64(),
        "took": arrow.duration("ms"),
    }
)


def typed(i):
    """Return a row of `SCHEMA`."""
    return {
        "id": i,
        "question": QUESTION,
        "answer": GOOD if i % 3 else BAD,
        "when": datetime(2026, 1, 31, 12, tzinfo=timezone.utc),
        "nanos": 1_700_000_000_123_456_789 + i,
        "day": date(2026, 1, 31),
        "price": Decimal("1.250"),
        "raw": b"\xff\x00",
        "small": 0.1,
        "flags": [True, None],
        "meta": {"a": {"b": [1, 255]}, "c": None},
        "pairs": [("x", i % 9)],
        "nothing": None,
        "sometimes": None if i % 2 else 2**53 + 1,
        "took": 1500,
    }


def test_parquet_keeps_types(score, tmp_path):
    table = arrow.Table.from_pylist([typed(i) for i in range(3000)], SCHEMA)
    write_table(tmp_path / "in.parquet", table, 1300)
    score(tmp_path / "in.parquet", "out.parquet")
    found = read_table(tmp_path / "out.parquet")
    assert found.schema.names == [*SCHEMA.names, "score"]
    assert found.drop_columns("score").cast(SCHEMA).equals(table)
    assert [f.type for f in found.drop_columns("score").schema] == [f.type for f in SCHEMA]


VIEW = arrow.string_view()
VIEWS = {
    "question": (VIEW, arrow.large_string(), QUESTION),
    "answer": (VIEW, arrow.large_string(), GOOD),
    "raw": (arrow.binary_view(), arrow.large_binary(), b"\xff"),
    "tags": (arrow.list_(VIEW), arrow.list_(arrow.large_string()), ["a", None]),
    "two": (arrow.list_(VIEW, 2), arrow.list_(arrow.large_string(), 2), ["a", "b"]),
    "meta": (arrow.struct({"a": arrow.large_list(VIEW)}), arrow.struct({"a": arrow.large_list(arrow.large_string())}),
             {"a": ["b"]}),
    "pairs": (arrow.map_(VIEW, VIEW), arrow.map_(arrow.large_string(), arrow.large_string()), [("a", "b")]),
}  # fmt: skip


@pytest.mark.parametrize("count", [0, 3])
def test_views_become_large_texts_and_bytes(score, tmp_path, count):
    """As polars has them; pyarrow can take no rows of them."""
    rows = [{name: value for name, (*_, value) in VIEWS.items()}] * count
    schema = arrow.schema({name: kind for name, (kind, *_) in VIEWS.items()})
    write_table(tmp_path / "in.parquet", arrow.Table.from_pylist(rows, schema))
    found, bad, _ = score(tmp_path / "in.parquet", "out.parquet")
    assert bad == []
    assert [{name: row[name] for name in VIEWS} for row in found] == rows
    kinds = {field.name: field.type for field in read_table(tmp_path / "out.parquet").schema}
    assert {name: kinds[name] for name in VIEWS} == {name: kind for name, (_, kind, _) in VIEWS.items()}


def test_parquet_types_that_other_formats_do_not_have(score, tmp_path):
    write_table(tmp_path / "in.parquet", arrow.Table.from_pylist([typed(1)], SCHEMA))
    [row], _, _ = score(tmp_path / "in.parquet")
    row.pop("score")
    assert row == TEXTS | {
        "id": 1,
        "when": "2026-01-31T13:00:00+01:00",
        "nanos": "2023-11-14T22:13:20.123456790",
        "day": "2026-01-31",
        "price": "1.250",
        "raw": "/wA=",
        "small": pytest.approx(0.1),
        "flags": [True, None],
        "meta": {"a": {"b": [1, 255]}, "c": None},
        "pairs": [["x", 1]],
        "nothing": None,
        "sometimes": None,
        "took": 1.5,
    }


def test_answers_that_are_left_keep_their_type(model, tmp_path):
    answers = arrow.list_(arrow.struct({"text": arrow.large_string(), "votes": arrow.int8(), "none": arrow.float32()}))
    rows = [{"question": QUESTION, "answers": [{"text": t, "votes": 1, "none": None} for t in (GOOD, BAD)]}]
    write_table(
        tmp_path / "in.parquet",
        arrow.Table.from_pylist(rows, arrow.schema({"question": arrow.string(), "answers": answers})),
    )
    score_files(model, tmp_path / "in.parquet", tmp_path / "out.parquet", Options(additions=Additions(top_k=1)))
    table = read_table(tmp_path / "out.parquet")
    assert (table.schema.field("answers").type, len(table["answers"][0])) == (answers, 1)


def test_the_columns_of_parquet_stay_without_rows(model, tmp_path):
    """Where there was none, or none is kept: then those of the scores are behind them."""
    for row, additions in ((None, {}), (typed(1), {"min_score": 1e9})):
        table = arrow.Table.from_pylist([row] if row else [], SCHEMA)
        write_table(tmp_path / "in.parquet", table)
        score_files(model, tmp_path / "in.parquet", tmp_path / "out.parquet", Options(additions=Additions(**additions)))
        found = read_table(tmp_path / "out.parquet")
        assert (found.schema.types[: len(SCHEMA)], found.num_rows) == (SCHEMA.types, 0)
        assert found.schema.names[len(SCHEMA) :] == (["score"] if row else [])


def test_values_of_several_types_become_json_text(run, tmp_path):
    """Within a chunk, between chunks, and in what no type of Parquet holds."""
    rows = [dict(TEXTS) for _ in range(CHUNK * 2)]
    rows[0] |= {"within": 1, "between": "a", "huge": 10**400, "empty": {}, "exact": 2**53 + 1, "deep": nested(30)}
    rows[1] |= {"within": "b", "grows": {"a": 1}, "late": [], "whole": 1}
    rows[CHUNK] |= {"between": {"c": None}, "exact": 0.5, "grows": {"b": "x"}, "late": [{"d": 1}], "whole": 0.5}
    write(tmp_path / "in.jsonl", rows)
    result = run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.parquet")
    told = [line.split()[9] for line in result.stderr.splitlines()]
    assert (result.exit_code, set(told)) == (0, {"within;", "between;", "huge;", "empty;", "exact;", "deep;"})
    assert result.stderr.startswith("warning: no Parquet type holds all values of column ")
    found = read(tmp_path / "out.parquet")
    texts = [
        {k: json.loads(r[k]) for k in ("within", "between", "huge", "empty", "exact", "deep") if r[k]} for r in found
    ]
    assert texts[0] == {k: rows[0][k] for k in ("within", "between", "huge", "empty", "exact", "deep")}
    assert (texts[1], texts[CHUNK]) == ({"within": "b"}, {"between": {"c": None}, "exact": 0.5})
    assert (found[1]["grows"], found[CHUNK]["grows"]) == ({"a": 1, "b": None}, {"a": None, "b": "x"})
    assert (found[1]["late"], found[CHUNK]["late"]) == ([], [{"d": 1}])
    assert (found[1]["whole"], found[CHUNK]["whole"]) == (1.0, 0.5)


def nested(depth):
    value = []
    for _ in range(depth - 1):
        value = [value]
    return value


def test_objects_whose_names_are_data_become_json_text(run, tmp_path):
    """As a struct they would have as many fields as there are rows, in every row."""
    write(tmp_path / "in.jsonl", [TEXTS | {"votes": {f"user {i}": i}} for i in range(2048)])
    result = run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.parquet")
    assert result.stderr == "warning: no Parquet type holds all values of column votes; written as JSON text\n"
    assert json.loads(read(tmp_path / "out.parquet")[-1]["votes"]) == {"user 2047": 2047}


def test_parquet_files_with_different_columns(score, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    first = arrow.schema([("id", arrow.int32()), ("topic", arrow.string())])
    first = first.append(arrow.field("always", arrow.int8(), nullable=False))  # which the others do not have
    second = arrow.schema({"id": arrow.int64(), "topic": arrow.dictionary(arrow.int8(), arrow.string())})
    texts = arrow.schema({"question": arrow.string(), "answer": arrow.string()})
    for name, schema in (("a", first), ("b", second), ("c", arrow.schema([]))):
        table = arrow.Table.from_pylist(
            [TEXTS | {"id": 1, "topic": "sky", "always": 7}], arrow.unify_schemas([schema, texts])
        )
        write_table(folder / f"{name}.parquet", table)
    found, _, summary = score(folder, "out.parquet")
    assert [(row["id"], row["topic"]) for row in found] == [(1, "sky"), (1, "sky"), (None, None)]
    assert [row["always"] for row in found] == [7, None, None]
    assert read_table(tmp_path / "out.parquet").schema.field("id").type == arrow.int64()
    assert read_table(tmp_path / "out.parquet").schema.field("topic").type == arrow.string()
    assert summary.notes == ()


def test_lone_surrogates_become_question_marks_where_they_have_to(score, tmp_path):
    row = TEXTS | {"x": "a\ud800", "n\udfff": {"k\ud800": ["\udc80b"]}, "answer": f"{GOOD}\ud800"}
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n" + json.dumps(row | {"x": "whole"}) + "\n")
    found, _, _ = score(tmp_path / "in.jsonl")
    assert {k: v for k, v in found[0].items() if k != "score"} == row
    found, _, summary = score(tmp_path / "in.jsonl", "out.parquet")
    assert (found[0]["x"], found[1]["x"], found[0]["n?"]) == ("a?", "whole", {"k?": ["?b"]})
    assert summary.notes == ()
    found, _, _ = score(tmp_path / "in.jsonl", "out.csv")
    assert (found[0]["x"], found[1]["x"]) == ("a?", "whole")


def test_a_run_goes_on_inside_a_row_group(tmp_path):
    write_table(tmp_path / "in.parquet", arrow.table({"answer": [str(i) for i in range(1200)]}), 600)
    whole = chunks(tmp_path / "in.parquet")
    assert [chunk.end for chunk in whole] == [256, 512, 600, 856, 1112, 1200]
    for i, chunk in enumerate(whole):
        rest = chunks(tmp_path / "in.parquet", chunk.end, chunk.digest)
        assert [(c.end, c.records) for c in rest] == [(c.end, c.records) for c in whole[i + 1 :]]
        assert all(c.table.equals(w.table) for c, w in zip(rest, whole[i + 1 :], strict=True))
    write_table(tmp_path / "in.parquet", arrow.table({"answer": ["other"] * 1200}), 600)
    with pytest.raises(reading.SourceError, match="its first 256 rows are not those that were scored before"):
        chunks(tmp_path / "in.parquet", 256, whole[0].digest)


def test_long_rows_of_parquet_come_in_small_chunks(tmp_path):
    text = random.Random(0).randbytes(1 << 19).hex()
    write_table(tmp_path / "in.parquet", arrow.table({"x": [text[i:] for i in range(40)]}))
    assert max(len(chunk.records) for chunk in chunks(tmp_path / "in.parquet")) <= 20


def test_values_that_python_does_not_have(score, model, tmp_path):
    columns = {
        "far": arrow.array([2**60, 0], arrow.timestamp("us")),
        "long": arrow.array([2**62, 1], arrow.duration("s")),
        **{name: arrow.array([text] * 2) for name, text in TEXTS.items()},
    }
    write_table(tmp_path / "in.parquet", arrow.table(columns))
    found, bad, _ = score(tmp_path / "in.parquet")
    assert bad == []
    assert [row["far"] for row in found] == ["<value out of range: 1152921504606846976>", "1970-01-01T00:00:00"]
    assert [row["long"] for row in found] == [str(2**62), 1.0]
    score_files(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    table = read_table(tmp_path / "out.parquet")
    assert table["far"].cast(arrow.int64()).to_pylist() == [2**60, 0]
    assert table["long"].cast(arrow.int64()).to_pylist() == [2**62, 1]


def test_text_in_parquet_that_is_no_utf8(score, tmp_path):
    broken = arrow.array([b"caf\xe9", GOOD.encode(), b"\xff"], arrow.binary()).view(arrow.string())
    write_table(tmp_path / "in.parquet", arrow.table({"id": [1, 2, 3], "question": [QUESTION] * 3, "answer": broken}))
    found, bad, _ = score(tmp_path / "in.parquet")
    assert [row["id"] for row in found] == [2]
    assert [(row["line"], json.loads(row["row"])) for row in bad] == [
        (i, {"id": i, "question": QUESTION}) for i in (1, 3)
    ]
    assert bad[0]["reason"].startswith("not to be read: answer: 'utf-8' codec can't decode byte 0xe9")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no Parquet file at all", b"PAR1" + b"\0" * 50 + b"PAR1"])
def test_files_that_are_no_parquet(run, tmp_path, content):
    (tmp_path / "in.parquet").write_bytes(content)
    fails(run("score", tmp_path / "in.parquet", "-o", tmp_path / "out.jsonl"), "in.parquet, after row 0: ")
    assert [p.name for p in tmp_path.iterdir()] == ["in.parquet"]


def test_two_columns_of_one_name(run, tmp_path):
    write_table(tmp_path / "in.parquet", arrow.table([arrow.array([GOOD])] * 2, ["answer", "answer"]))
    fails(run("score", tmp_path / "in.parquet"), "in.parquet: two columns are called 'answer'")
    (tmp_path / "in.csv").write_text("question,answer,question\na,b,c\n")
    fails(run("score", tmp_path / "in.csv"), "in.csv, first row: two columns are called 'question'")


def test_bad_rows_of_parquet(score, tmp_path):
    table = arrow.table({"question": [QUESTION] * 3, "answer": [GOOD, None, " "], "when": [date(2026, 1, 31)] * 3})
    write_table(tmp_path / "in.parquet", table)
    found, bad, _ = score(tmp_path / "in.parquet")
    assert len(found) == 1
    row = {"question": QUESTION, "when": "2026-01-31"}
    assert bad == [
        {"file": str(tmp_path / "in.parquet"), "line": i, "reason": f"answer is {a!r}; allowed: non-empty text"}
        | {"row": row | {"answer": a}}
        for i, a in ((2, None), (3, " "))
    ]
