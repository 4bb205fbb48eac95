"""What is read and written in which text format, and what is told of rows and files that are none."""

import csv
import gzip
import json
import subprocess

import pytest

from prefmodel.batch import reading
from prefmodel.batch.sources import FORMATS
from tests.batch import CHUNK, chunks, read, write
from tests.command import GOOD, QUESTION, fails

TEXTS = {"question": QUESTION, "answer": GOOD}
LINE = json.dumps(TEXTS) + "\n"


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_other_columns_and_their_order_are_kept(score, model, tmp_path, suffix, output):
    n = CHUNK + 76
    rows = [
        {"z": f"{i}", "answer": f"{GOOD} {i % 7}", "é ,\t\"'\n": "a\r\nb\rc", "question": QUESTION} for i in range(n)
    ]
    rows[-1] |= {"z": "", "é ,\t\"'\n": ' "q",\t\u2028\x85\x00\U0001f642 '}
    write(tmp_path / f"in{suffix}", rows)
    found, bad, _ = score(tmp_path / f"in{suffix}", f"out{output}")
    scores = [float(row.pop("score")) for row in found]
    assert bad == []
    assert found == rows
    assert [list(row) for row in found] == [list(row) for row in rows]
    assert scores == pytest.approx(model.score(QUESTION, [row["answer"] for row in rows]).tolist(), abs=1e-5)


@pytest.mark.parametrize("output", FORMATS)
@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_is_written_without_rows(run, tmp_path, suffix, output):
    write(tmp_path / f"in{suffix}", [])
    result = run("score", tmp_path / f"in{suffix}", "-o", tmp_path / f"out{output}")
    assert (result.exit_code, result.output) == (0, "")
    assert read(tmp_path / f"out{output}") == []
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([f"in{suffix}", f"out{output}"])


# JSON lines


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not a JSON object: Expecting property name"),
        (LINE.strip() + LINE.strip(), "not a JSON object: Extra data"),
        ("[1]", "not a JSON object: found [1]"),
        ("null", "not a JSON object: found None"),
        ('"text"', "not a JSON object: found 'text'"),
        ('{"votes": 1e400}', "not a JSON object: the number '1e400' has no 64-bit float"),
        ('{"votes": [-1e999]}', "not a JSON object: the number '-1e999' has no 64-bit float"),
        ('{"votes": ' + "9" * 5000 + "}", "not a JSON object: Exceeds the limit (4300 digits)"),
        ('{"x": ' + "[" * 101 + "]" * 101 + "}", "not a JSON object: lists and objects are nested over 100 deep"),
        ('{"x":' * 101 + "1" + "}" * 101, "not a JSON object: lists and objects are nested over 100 deep"),
        ("[" * 100_000, "not a JSON object: lists and objects are nested over 100 deep"),
        ("\0" * 9, "not a JSON object: Expecting value"),
        ("'" + LINE.strip() + "'", "not a JSON object: Expecting value"),
    ],
)
def test_lines_that_are_no_row(score, tmp_path, line, reason):
    (tmp_path / "in.jsonl").write_text(f"{LINE}\n{line}\n{LINE}")
    found, [bad], summary = score(tmp_path / "in.jsonl")
    assert bad.pop("reason").startswith(reason)
    assert bad == {"file": str(tmp_path / "in.jsonl"), "line": 3, "row": line}
    assert (len(found), summary.rows, summary.bad) == (2, 2, 1)


@pytest.mark.parametrize("text", ['{"answer": "caf\xe9"}'.encode("latin-1"), b'{"a": "\xed\xa0\x80"}', b"\xff\xfe{"])
def test_lines_that_are_no_utf8(score, tmp_path, text):
    (tmp_path / "in.jsonl").write_bytes(LINE.encode() + text + b"\n" + LINE.encode())
    found, [bad], _ = score(tmp_path / "in.jsonl")
    assert bad["reason"].startswith("not a JSON object: 'utf-8' codec can't decode byte")
    assert (bad["line"], len(found), "\ufffd" in bad["row"]) == (2, 2, True)


def test_utf16_is_not_read_as_something_else(score, tmp_path):
    """Every second line would otherwise be a row."""
    (tmp_path / "in.jsonl").write_bytes(LINE.encode() + (LINE * 4).encode("utf-16-le"))
    found, bad, _ = score(tmp_path / "in.jsonl")
    assert (len(found), len(bad)) == (1, 5)


NUMBERS = '{"a": 0.1, "b": -0.0, "c": 1e22, "d": 12345678901234567890, "e": NaN, "f": -Infinity, "g": 5e-324, "h": 1E2}'


def test_numbers_are_kept(score, tmp_path):
    huge = 10**400
    line = NUMBERS[:-1] + f', "i": {huge}, "question": "Why?", "answer": "So."}}\n'
    (tmp_path / "in.jsonl").write_text(line)
    [row], _, _ = score(tmp_path / "in.jsonl")
    assert json.dumps(row).startswith(json.dumps(json.loads(NUMBERS))[:-1])
    assert row["i"] == huge
    found, _, _ = score(tmp_path / "in.jsonl", "out.csv")
    assert list(found[0].values())[:9] == [
        *["0.1", "-0.0", "1e+22", "12345678901234567890", "NaN", "-Infinity", "5e-324", "100.0"],
        str(huge),
    ]


def test_blank_lines_and_ends_of_lines(score, tmp_path):
    line = LINE.strip().encode()
    mark = reading.UTF8_BOM
    for content, lines in (
        (line, [1]),
        (mark + line + b"\r\n\r\n \t \n" + line, [1, 4]),
        (b"\n\n" + line + b"\n\n", [3]),
        (mark, []),
        (mark + b"\n", []),
        (b"\n" + line + b"\n" + mark + line, [2]),
    ):
        (tmp_path / "in.jsonl").write_bytes(content)
        records = [record for chunk in chunks(tmp_path / "in.jsonl") for record in chunk.records]
        assert [r.line for r in records if r.row] == lines


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
def test_lines_and_rows_over_the_limit(score, tmp_path, suffix):
    """One row, of which only the beginning is kept; a table's row also where no single line is long."""
    long = "x" * (reading.MAX_LINE + 9)
    if suffix == ".jsonl":
        content = LINE + json.dumps(TEXTS | {"x": long}) + "\n" + LINE
        lines = [(2, 0)]
    else:
        row, lines_ = f"{QUESTION},{GOOD},x\n", "long line\n" * (reading.MAX_LINE // 10 + 1)
        content = f'question,answer,x\n{row}a,b,{long}\n{row}a,b,"{long}"\n{row}a,"{lines_}",c\n{row}'
        lines = [(3, 0), (5, 0), (7, reading.MAX_LINE // 10)]
    (tmp_path / f"in{suffix}").write_text(content)
    found, bad, _ = score(tmp_path / f"in{suffix}")
    # The row that is cut off in its third field ends where the limit is; the rest of it is read as a row of its own,
    # in which its last quote opens one that is never closed.
    assert [r["line"] for r in bad][: len(lines)] == [line for line, _ in lines]
    assert all(f"has over {reading.MAX_LINE} bytes" in r["reason"] and len(r["row"]) == 1000 for r in bad[: len(lines)])
    assert len(found) == (2 if suffix == ".jsonl" else 3)


def test_a_long_row_under_the_limit(model, tmp_path):
    row = TEXTS | {"x": "y" * (reading.MAX_LINE - 200)}
    write(tmp_path / "in.jsonl", [row, TEXTS])
    assert [len(c.records) for c in chunks(tmp_path / "in.jsonl")] == [2]
    write(tmp_path / "in.jsonl", [row] * 3)
    assert [len(c.records) for c in chunks(tmp_path / "in.jsonl")] == [2, 1]


# gzip


def test_gzip_of_several_members_and_with_padding(score, tmp_path):
    parts = [gzip.compress(LINE.encode() * n) for n in (1, 0, 2)]
    (tmp_path / "in.jsonl.gz").write_bytes(b"".join(parts) + b"\0" * 100)
    assert len(score(tmp_path / "in.jsonl.gz")[0]) == 3
    middle = gzip.compress(LINE.encode()[:20]) + gzip.compress(LINE.encode()[20:])
    (tmp_path / "in.jsonl.gz").write_bytes(middle)
    assert len(score(tmp_path / "in.jsonl.gz")[0]) == 1


@pytest.mark.parametrize("damage", ["cut", "changed", "plain", "garbage"])
def test_damaged_gzip(run, tmp_path, damage):
    rows = b"".join(json.dumps(TEXTS | {"id": i}).encode() + b"\n" for i in range(20_000))
    data = bytearray(gzip.compress(rows))
    if damage == "cut":
        del data[-100:]
    elif damage == "changed":
        data[len(data) // 2] ^= 0xFF
    data = rows if damage == "plain" else data + b"garbage" if damage == "garbage" else data
    (tmp_path / "in.jsonl.gz").write_bytes(data)
    fails(
        run("score", tmp_path / "in.jsonl.gz", "-o", tmp_path / "out.jsonl"),
        "in.jsonl.gz, after line ",
        warned=damage == "changed",
    )
    assert not (tmp_path / "out.jsonl").exists()


def test_gzip_that_others_can_read(score, tmp_path):
    write(tmp_path / "in.jsonl", [TEXTS] * 3000)
    score(tmp_path / "in.jsonl", "out.jsonl.gz")
    subprocess.run(["gzip", "-t", tmp_path / "out.jsonl.gz"], check=True)


# CSV and TSV


def table_of(score, tmp_path, content, suffix=".csv"):
    (tmp_path / f"in{suffix}").write_bytes(content if isinstance(content, bytes) else content.encode())
    found, bad, _ = score(tmp_path / f"in{suffix}")
    return [row["answer"] for row in found], [(row["line"], row["reason"], row["row"]) for row in bad]


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        ("question,answer\na,b\n", ["b"]),
        ("question,answer\r\na,b\r\n", ["b"]),
        ("\ufeffquestion,answer\na,b", ["b"]),
        ('\ufeff"question","answer"\n"a","b"\n', ["b"]),
        ('question,answer\na,"b ""c"", d"\n', ['b "c", d']),
        ('question,answer\na,"b\nc\r\nd\re"\nf,g\n', ["b\nc\r\nd\re", "g"]),
        ("question,answer\n\n\r\na,b\n\n", ["b"]),
        ("\n\nquestion,answer\na,b\n", ["b"]),
        ('question,answer\na," b "\na, c\n', [" b ", " c"]),
        ("question,answer\na,b \x85 \u2028 \x0b \x0c\n", ["b \x85 \u2028 \x0b \x0c"]),
        ("question,answer\na,b'\"c\n", ["b'\"c"]),
        ("question,answer\na,\U0001f642\n", ["\U0001f642"]),
        ("answer,,question\nb,x,a\n", ["b"]),
    ],
)
def test_tables(score, tmp_path, content, answers):
    assert table_of(score, tmp_path, content) == (answers, [])


def test_tsv(score, tmp_path):
    content = 'question\tanswer\na,b\t"c\t""d"""\n'
    assert table_of(score, tmp_path, content, ".tsv") == (['c\t"d"'], [])


@pytest.mark.parametrize(
    ("row", "line", "reason", "left"),
    [
        (b"a\n", 3, "1 fields; allowed: 2, as in the first row", "a"),
        (b"a,b,c\n", 3, "3 fields; allowed: 2, as in the first row", "a,b,c"),
        (b'a,"b\nc",d\n', 3, "3 fields; allowed: 2, as in the first row (lines 3 to 4)", 'a,"b\nc",d'),
        (b'a,"b"c\n', 3, "not a row of CSV: ',' expected after '\"'", 'a,"b"c'),
        (b"a,caf\xe9\n", 3, "not UTF-8: b'caf\\xe9'", "a,caf\ufffd"),
        (b"a,\xed\xa0\x80\n", 3, "not UTF-8: b'\\xed\\xa0\\x80'", "a,\ufffd\ufffd\ufffd"),
        (b"a,\n", 3, "answer is ''; allowed: non-empty text", {"question": "a", "answer": ""}),
        (b"a,b\rc,d\n", 3, "not a row of CSV: new-line character seen in unquoted field", "a,b\rc,d"),
    ],
)
def test_rows_that_are_none(score, tmp_path, row, line, reason, left):
    answers, [bad] = table_of(score, tmp_path, b"question,answer\na,first\n" + row + b"a,last\n")
    assert (answers, bad[0], bad[2]) == (["first", "last"], line, left)
    assert bad[1].startswith(reason)


def test_a_quote_that_is_not_closed(score, tmp_path):
    """It takes what follows with it; nothing of that is lost, and the text says how much it is."""
    answers, [bad] = table_of(score, tmp_path, 'question,answer\na,b\na,"c\nd,e\nf,g\n')
    assert answers == ["b"]
    assert bad == (3, "not a row of CSV: unexpected end of data (lines 3 to 5)", 'a,"c\nd,e\nf,g')


@pytest.mark.parametrize("header", [b'"question,answer\n', b"question,caf\xe9\n", b'"question"x,answer\n'])
def test_headers_that_are_none(run, tmp_path, header):
    (tmp_path / "in.csv").write_bytes(header + b"a,b\n")
    fails(run("score", tmp_path / "in.csv", "-o", tmp_path / "out.csv"), "in.csv, first row: not ")


def test_strict_stops_at_the_first(run, tmp_path):
    for suffix, content in ((".jsonl", f"{LINE}no row\n{{\n"), (".csv", "question,answer\na\na,b,c\n")):
        path = tmp_path / f"in{suffix}"
        path.write_text(content)
        fails(run("score", path, "-o", tmp_path / "out.jsonl", "--strict"), f"in{suffix}, line 2: ")
        assert not (tmp_path / "out.jsonl").exists()


def test_bad_rows_are_counted_last(run, tmp_path):
    (tmp_path / "in.jsonl").write_text(LINE * 2 + "{\n" * 3)
    result = run("score", tmp_path / "in.jsonl", "-o", tmp_path / "out.csv")
    told = f"warning: 3 of 5 rows could not be scored; they are in {tmp_path}/out.csv.errors.jsonl"
    assert (result.exit_code, result.stdout, result.stderr.splitlines()[-1]) == (3, "", told)
    assert (tmp_path / "out.csv").read_bytes().count(b"\n") == 3
    assert b"\r" not in (tmp_path / "out.csv").read_bytes()
    with open(tmp_path / "out.csv", newline="") as file:
        assert [row["answer"] for row in csv.DictReader(file)] == [GOOD] * 2
