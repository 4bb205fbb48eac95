"""`prefmodel pairs --encoder`: dense hard negatives beside those of BM25, with a small graph of our own."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from prefmodel.cli import main
from prefmodel.files import read_pairs, write_rows, write_threads
from tests.command import fails, process
from tests.test_axiom_dense import encoder_folder
from tests.threads import library


@pytest.fixture
def threads(tmp_path):
    write_threads(tmp_path / "threads.jsonl", library(40))
    return tmp_path / "threads.jsonl"


@pytest.fixture
def encoder(tmp_path):
    return encoder_folder(tmp_path / "encoder")


def arguments(threads, encoder, *more, output="out.jsonl"):
    place = threads.parent
    return [*map(str, ("pairs", threads, "-o", place / output, "--encoder", encoder, "--block", 10, *more))]


def run(*given, **options):
    return CliRunner().invoke(main, arguments(*given, **options))


def test_negatives_of_the_encoder_and_of_bm25(threads, encoder):
    result = run(threads, encoder, "--axioms", "relevance")
    assert result.exit_code == 0, result.stderr
    found = [pair.provenance for pair in read_pairs(threads.parent / "out.jsonl")]
    assert "dense" in {made.get("found_by") for made in found}
    plain = CliRunner().invoke(main, ["pairs", str(threads), "-o", str(threads.parent / "plain.jsonl")])
    assert plain.exit_code == 0
    assert {p.provenance.get("found_by") for p in read_pairs(threads.parent / "plain.jsonl")} == {None, "bm25"}


def test_any_number_of_workers_gives_the_same_bytes(threads, encoder):
    assert run(threads, encoder, "--axioms", "relevance,strength").exit_code == 0
    result = process(*arguments(threads, encoder, "--axioms", "relevance,strength", "--workers", 2, output="two.jsonl"))
    assert result.returncode == 0, result.stderr
    assert (threads.parent / "two.jsonl").read_bytes() == (threads.parent / "out.jsonl").read_bytes()


def test_the_encoder_s_files_tell_runs_apart_wherever_they_are(threads, encoder, tmp_path):
    bad = tmp_path / "bad.jsonl"
    write_rows(bad, [{"id": "x", "source": "b", "question": "Why?"}])
    assert run(threads, encoder, bad).exit_code == 1  # four blocks are finished
    moved = shutil.copytree(encoder, tmp_path / "moved")
    assert run(threads, moved, bad).stderr.startswith("going on: 4 blocks are finished\n")
    encoder_folder(moved, pooled=True)
    assert run(threads, moved, bad).stderr.startswith("beginning anew: --axioms changed\n")


def test_an_encoder_that_cannot_be_used_is_told_before_the_work(threads, encoder, tmp_path):
    fails(run(threads, ""), "encoder is ''; allowed: a folder, or owner/name on the Hub")
    fails(run(threads, tmp_path / "none"), "allowed: a folder, or owner/name on the Hub")
    fails(run(threads, tmp_path), "no tokenizer.json with onnx/model.onnx or model.onnx; an encoder needs them")
    result = run(threads, encoder, "--axioms", "strength")
    fails(result, "and no axiom of this run takes it; allowed with relevance")
    assert not (tmp_path / "out.jsonl").exists()
