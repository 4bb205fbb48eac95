"""`prefmodel probe` with the tiny bundle, and the table it prints."""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
import pytest

from prefmodel.baselines import longer
from prefmodel.files import write_rows
from prefmodel.probe.measure import WORST, packaged_pairs, probe
from prefmodel.probe.registry import PROBES, manipulated
from prefmodel.probe.table import HEADINGS, as_json, as_markdown, as_text
from prefmodel.types import PreferencePair
from tests.command import fails, succeeds
from tests.test_imports import HEAVY, RUNTIME, imported_by


def columns(line):
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def cells(line):
    return [cell.strip() for cell in line.strip("| ").split("|")]


@pytest.fixture
def rows(model):
    """Rows in which the tiny model, whose weights are random, prefers chosen, some by far."""
    rows = []
    for word in ("sky", "blue", "light", "air", "because", "scatters", "why", "user"):
        answers = sorted(
            ["is is is " + word, "light " * 3, "no idea " + word, "xyz"], key=lambda a: model.score(word, a)
        )
        rows.append({"question": f"{word}", "chosen": answers[-1], "rejected": answers[0], "source": "demo"})
    return rows


@pytest.fixture
def file(rows, tmp_path):
    write_rows(tmp_path / "pairs.jsonl.gz", rows)
    return tmp_path / "pairs.jsonl.gz"


def test_the_table_has_a_row_for_each_probe(run, file):
    lines = succeeds(run("probe", file)).splitlines()
    assert columns(lines[0]) == list(HEADINGS)
    assert [columns(line)[0] for line in lines[1:13]] == [*PROBES, WORST]
    assert all(len(columns(line)) == len(HEADINGS) for line in lines[1:13])
    assert len({len(line) for line in lines[:13]}) == 1
    assert lines[13] == ""
    assert lines[14].startswith("Untouched: the better answer scores higher in 1.000 [1.000, 1.000] of 8 pairs.")


def test_the_pairs_of_the_package_are_the_default(run):
    """The tiny model's weights are random: it is sure of none of them."""
    fails(run("probe", "--probes", "claim"), f"none of {len(packaged_pairs())} pairs is clear to the model")


def test_json_has_everything(run, file, rows, model, tiny_bundle):
    values = json.loads(succeeds(run("probe", file, "--probes", "padding, claim", "--seed", 3, "--json")))
    assert values["about"]["model"] == str(tiny_bundle)
    assert values["about"]["pairs_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert (values["about"]["seed"], values["about"]["temperature"]) == (3, 1.5)
    assert (values["pairs"], values["questions"], values["ignored"]) == (8, 8, 0)
    assert [result["name"] for result in values["results"]] == ["padding", "claim", WORST]
    padding = values["results"][0]
    changed = [manipulated("padding", row["question"], row["rejected"], 3) for row in rows]
    shifts = [
        model.score(r["question"], c) - model.score(r["question"], r["rejected"])
        for r, c in zip(rows, changed, strict=True)
    ]
    assert padding["shift"]["value"] == pytest.approx(sum(shifts) / 8, abs=1e-3)
    assert padding["example"]["manipulated"] == changed[shifts.index(max(shifts))]
    assert padding["cut"] == 16  # 64 tokens are soon full


def test_markdown_says_what_the_terminal_says(run, file):
    text = succeeds(run("probe", file)).splitlines()
    table = succeeds(run("probe", file, "--markdown")).splitlines()
    assert set(table[1]) <= set("|-: ")
    assert [cells(line) for line in [table[0], *table[2:14]]] == [columns(line) for line in text[:13]]
    assert [line.removeprefix("- ") for line in table[15:]] == text[14:]


def test_another_seed_draws_other_phrasings(run, file):
    first, again, other = (succeeds(run("probe", file, "--seed", seed)) for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_dialogue_can_be_a_question(run, rows, tmp_path):
    turns = [
        {"role": "user", "content": "sky"},
        {"role": "assistant", "content": "is"},
        {"role": "user", "content": "?"},
    ]
    write_rows(tmp_path / "pairs.jsonl", [*rows, {"question": turns, "chosen": "light", "rejected": "xyz"}])
    values = json.loads(succeeds(run("probe", tmp_path / "pairs.jsonl", "--json")))
    assert values["pairs"] == 9


def test_a_picture_is_drawn(run, file, tmp_path):
    pytest.importorskip("matplotlib")
    succeeds(run("probe", file, "--probes", "claim,orders", "--plot", tmp_path / "probes.png"))
    assert (tmp_path / "probes.png").read_bytes().startswith(b"\x89PNG")
    succeeds(run("probe", file, "--probes", "claim", "--plot", tmp_path / "probes.svg"))
    assert "<svg" in (tmp_path / "probes.svg").read_text()


def test_what_a_picture_lacks_is_said_before_the_work(run, file, tmp_path, monkeypatch):
    fails(run("probe", file, "--plot", tmp_path / "probes.txt"), "--plot is", ".png, .svg, .pdf")
    fails(run("probe", file, "--plot", tmp_path / "gone" / "probes.png"), "--plot is", "folder that exists")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    fails(run("probe", file, "--plot", tmp_path / "probes.png"), "--plot needs the extra 'evaluate'")


def test_errors_are_one_line(run, rows, tmp_path):
    paths = {name: tmp_path / f"{name}.jsonl" for name in ("empty", "ties", "blank", "same")}
    write_rows(paths["empty"], [])
    write_rows(paths["ties"], [{**row, "target": 0.5} for row in rows])
    write_rows(paths["blank"], [*rows, {**rows[0], "rejected": " "}])
    write_rows(paths["same"], [{**row, "rejected": row["chosen"]} for row in rows])
    fails(run("probe", paths["empty"]), "empty.jsonl: no pairs to probe; allowed: at least one")
    fails(run("probe", paths["ties"]), "ties.jsonl: no pairs to probe; allowed: at least one")
    fails(run("probe", paths["blank"]), "blank.jsonl, pair 9: rejected is ' '; allowed: non-empty text")
    fails(run("probe", paths["same"]), "none of 8 pairs is clear to the model")
    fails(run("probe", tmp_path / "gone.jsonl"), "gone.jsonl: no such file")
    fails(run("probe", tmp_path / "pairs.csv"), "unknown file type")
    fails(run("probe", "--probes", "claim,magic"), "probes holds 'magic'; allowed: flattery, repetition")
    fails(run("probe", "--probes", ""), "probes holds ''")
    fails(run("probe", model=tmp_path / "gone"), "no such folder")


def test_only_one_form_at_a_time(run, file):
    result = run("probe", file, "--json", "--markdown")
    assert result.exit_code == 2
    assert "either --json or --markdown" in result.stderr


def test_help_is_light():
    code = "from click.testing import CliRunner; from prefmodel.cli import main; "
    code += "print(CliRunner().invoke(main, ['probe', '--help']).output)"
    assert imported_by(code, (*HEAVY, *RUNTIME, "matplotlib")) == []


def a_report(number, scorer=longer, probes=("claim",)):
    pairs = [
        PreferencePair(f"Why {i}?", "Because of x. " * 9, "No idea.", axiom="human", source="demo")
        for i in range(number)
    ]
    return probe(scorer, [*pairs, PreferencePair("Why?", "a", "b", axiom="h", source="demo", target=0.5)], probes)


def test_what_the_notes_say():
    text = as_text(a_report(20))
    assert "Untouched: the better answer scores higher in 1.000 [1.000, 1.000] of 20 pairs." in text
    assert "none of 20 still fits a share of .139." in text
    assert "Pairs ignored for a target of .5 or less: 1." in text
    assert "this scorer does not tell" in text
    assert WORST not in text
    text = as_text(a_report(20, probes=("claim", "combination")))
    assert "The most is gained by combination: +" in text
    assert f"keeps what raises an answer most ({WORST})" in text
    assert "still fits" not in as_text(a_report(20, probes=("combination",)))


def test_a_probe_that_gains_nothing_is_said_to_lose():
    def shorter(questions, answers):
        return np.array([10.0 * ("Because" in answer) - len(answer) / 1000 for answer in answers])

    assert "The least is lost by claim: -0." in as_text(a_report(20, shorter))


def test_an_unknown_interval_is_null_in_json_and_a_mark_in_the_table():
    report = a_report(1)
    values = json.loads(json.dumps(as_json(report, {}), allow_nan=False))
    assert values["results"][0]["shift"]["low"] is None
    assert values["results"][0]["flipped"] == {"value": 0.0, "low": None, "high": None, "count": 1}
    assert "[?]" in as_markdown(report)
