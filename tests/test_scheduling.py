"""Windows, batches and what is done ahead change neither order nor scores, and leave no thread behind."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from prefmodel import batching
from prefmodel.batch.run import local, score_files, score_stream
from prefmodel.batch_tokens import cache_folder, keep_tokens, kept_tokens
from prefmodel.batching import ahead, first_alike, window_rows
from prefmodel.errors import FileFormatError, PrefModelError
from prefmodel.model import PreferenceModel
from prefmodel.tuning import fastest, tune
from prefmodel.types import Message
from tests.batch import read
from tests.command import GOOD, QUESTION, process

quickly = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

DIALOGUE = (Message("user", "Why?"), Message("user", "How?"))
QUESTIONS = st.sampled_from([QUESTION, "Why?", "why?", DIALOGUE])
ANSWERS = st.integers(1, 80).map(lambda n: "air " * n) | st.sampled_from([GOOD, "Air.", "the sky"])


@quickly
@given(
    rows=st.lists(st.tuples(QUESTIONS, ANSWERS), max_size=12),
    window=st.integers(1, 5),
    batch_tokens=st.sampled_from([16, 100, 1024]),
)
def test_windows_and_batches_change_neither_order_nor_scores(model, monkeypatch, rows, window, batch_tokens):
    monkeypatch.setattr(batching, "MOST_ROWS", window)
    monkeypatch.setattr(model, "batch_tokens", batch_tokens)
    scored = model.score_batch([q for q, _ in rows], [a for _, a in rows])
    assert len(scored) == len(scored.contributions) == len(scored.question_cut) == len(rows)
    for i, (question, answer) in enumerate(rows):
        alone = model.score_batch([question], [answer])
        np.testing.assert_allclose(scored.contributions[i], alone.contributions[0], atol=1e-5)
        assert scored.scores[i] == pytest.approx(float(alone.scores[0]), abs=1e-5)
        assert (scored.question_cut[i], scored.answer_cut[i]) == (alone.question_cut[0], alone.answer_cut[0])
    for one, other in zip(*np.triu_indices(len(rows), 1), strict=True):
        if rows[one] == rows[other]:
            assert scored.scores[one] == scored.scores[other]  # computed once, hence to the last bit


@quickly
@given(pairs=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3))))
def test_what_is_alike_is_found_and_nothing_else_also_where_hashes_are_equal(pairs):
    class Same(int):
        def __hash__(self):
            return 7

    assert first_alike(*([p[k] for p in pairs] for k in (0, 1))).tolist() == [pairs.index(pair) for pair in pairs]
    found = first_alike(*([Same(p[k]) for p in pairs] for k in (0, 1))).tolist()
    assert all(pairs[i] == pair for i, pair in zip(found, pairs, strict=True))


def test_windows_grow_with_batches():
    assert [window_rows(n) for n in (16, 512, 4096, 10**6)] == [256, 256, 2048, 8192]


# What is done ahead


def of_ours():
    return [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


@pytest.mark.parametrize("count", [0, 1, 5])
def test_items_that_were_made_ahead_come_in_order(count):
    assert list(ahead(iter(range(count)))) == list(range(count))
    assert of_ours() == []


def test_one_item_is_made_ahead_and_no_more():
    made, second = [], threading.Event()

    def items():
        for i in range(5):
            made.append(i)
            if i == 1:
                second.set()
            yield i

    coming = ahead(items())
    assert next(coming) == 0
    assert second.wait(10)
    assert made == [0, 1]
    coming.close()
    assert of_ours() == []
    assert made == [0, 1]


def test_an_error_comes_after_what_was_made_before_it():
    def items():
        yield 1
        yield 2
        raise FileFormatError("broken")

    found = []
    with pytest.raises(FileFormatError, match="broken"):
        found.extend(ahead(items()))
    coming = ahead(items())
    assert [next(coming), next(coming)] == [1, 2]
    with pytest.raises(FileFormatError, match="broken"):
        next(coming)
    assert of_ours() == []


# Runs over files


@pytest.fixture
def rows(tmp_path, monkeypatch):
    """A file of 40 rows of which two have no answer, in chunks of 4."""
    monkeypatch.setattr(batching, "MOST_ROWS", 4)
    path = tmp_path / "in.jsonl"
    texts = ["air " * (i * 7 % 40 + 1) if i not in (13, 30) else "" for i in range(40)]
    rows = [{"id": i, "question": QUESTION, "answer": text} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize("interrupted", [KeyboardInterrupt, FileFormatError])
def test_a_run_that_is_stopped_leaves_no_thread(model, rows, tmp_path, interrupted):
    def stop(errors):
        if errors:
            assert of_ours()
            raise interrupted("stopped")

    with pytest.raises(interrupted):
        score_files(model, rows, tmp_path / "out.jsonl", errors=stop)
    assert of_ours() == []
    with pytest.raises(interrupted):
        score_stream(model, rows, lambda rows: None, stop)
    assert of_ours() == []
    score_files(model, rows, tmp_path / "out.jsonl")
    score_files(model, rows, tmp_path / "whole.jsonl")
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert [row["id"] for row in read(tmp_path / "out.jsonl")] == [i for i in range(40) if i not in (13, 30)]


def test_an_error_of_reading_is_told_after_the_rows_before_it(run, rows, tmp_path):
    data = b"".join(gzip.compress(line) for line in rows.read_bytes().splitlines(keepends=True))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(data[:-30])
    result = run("score", cut)
    assert result.exit_code == 1
    *warnings, error = result.stderr.splitlines()
    assert error.startswith(f"error: {cut}, after line ")
    assert len(warnings) == 2  # the rows without an answer
    assert len(result.stdout.splitlines()) == 34  # of 9 chunks
    assert of_ours() == []


def test_a_run_goes_on_with_the_batches_that_it_began_with(run, tiny_bundle, tmp_path, monkeypatch):
    """So its output is the same, byte for byte, whatever was measured or set meanwhile."""
    path = tmp_path / "in.jsonl"
    lines = [{"question": f"{QUESTION} {i % 7}", "answer": "air light " * (i * 11 % 37 + 1)} for i in range(3000)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    small, large = (PreferenceModel.from_pretrained(tiny_bundle, threads=1) for _ in range(2))
    small.batch_tokens, large.batch_tokens = 64, 4096
    began = []

    def stopping(plan, output):
        began.append(plan.batch_tokens)
        for i, done in enumerate(local(small)(plan, output)):
            if i == 3:
                raise KeyboardInterrupt
            yield done

    def going_on(plan, output):
        began.append(plan.batch_tokens)
        return local(large)(plan, output)

    with pytest.raises(KeyboardInterrupt):
        score_files(small, path, tmp_path / "out.jsonl", engine=stopping)
    summary = score_files(large, path, tmp_path / "out.jsonl", engine=going_on)
    assert (summary.rows, summary.resumed, began) == (3000, 768, [64, 64])
    for model, name in ((small, "small.jsonl"), (large, "large.jsonl")):
        score_files(model, path, tmp_path / name)
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "small.jsonl").read_bytes()
    found = [[row["score"] for row in read(tmp_path / name)] for name in ("small.jsonl", "large.jsonl")]
    np.testing.assert_allclose(*found, atol=1e-5)


# What `prefmodel tune` keeps


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFMODEL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "batch-tokens.json"


def test_tune_keeps_what_is_best_for_this_model_and_these_threads(run, tiny_bundle, cache):
    result = run("tune", "--seconds", "0.2", "--threads", "1")
    assert result.exit_code == 0, result.output
    speeds = dict(line.split("\t") for line in result.stdout.splitlines())
    assert list(speeds)[:2] == ["512", "1024"]
    [kept] = json.loads(cache.read_text()).values()
    assert str(kept) in speeds
    assert f"batches of {kept} tokens from now on; kept in {cache}\n" in result.stderr
    known = json.loads(cache.read_text())
    cache.write_text(json.dumps(dict.fromkeys(known, 4321)))
    assert PreferenceModel.from_pretrained(tiny_bundle, threads=1).batch_tokens == 4321
    assert "batch_tokens: 4321\nbatch_tokens_from: prefmodel tune\n" in run("info", "--threads", "1").stdout
    assert "batch_tokens_from: the backend\n" in run("info", "--threads", "2").stdout
    other = PreferenceModel.from_pretrained(tiny_bundle, threads=2)
    assert other.batch_tokens == other.backend.batch_tokens
    assert run("tune", "--seconds", "0.01", "--threads", "2").exit_code == 0
    assert 4321 in json.loads(cache.read_text()).values()
    assert len(json.loads(cache.read_text())) == 2
    assert {path.name for path in cache.parent.iterdir()} <= {"batch-tokens.json", "batch-tokens.lock"}


class Clock:
    """A machine on which runs take as long as they are told to, one after another; each look at the clock takes .01."""

    def __init__(self, seconds):
        self.seconds, self.now, self.looks = seconds, 0.0, 0

    def monotonic(self):
        self.now += 0.01
        return self.now

    def perf_counter(self):
        self.looks += 1
        if self.looks % 2 == 0:
            self.now += self.seconds[self.looks // 2 % len(self.seconds)]
        return self.now


@quickly
@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=12))
@example([1, 1, 1, 9, 1, 1, 1, 1])  # before, the best of a round that was slow in the next left none to measure
def test_tune_ends_however_busy_the_machine_is(model, seconds):
    clock = Clock(seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("prefmodel.tuning.time", clock)
        speeds = tune(model, seconds=0.3)
    assert [speed.batch_tokens for speed in speeds][:2] == [512, 1024]
    assert clock.now < 5 * 10 + 1  # the first run, and two of each of two sizes
    assert fastest(speeds) in [speed.batch_tokens for speed in speeds]


def test_tune_ends_where_memory_is_for_the_smallest_batches_only(model, monkeypatch):
    whole = model.score_encoded

    def small(encoded, batch_tokens=None):
        if batch_tokens > 512:
            raise PrefModelError("no memory is left")
        return whole(encoded, batch_tokens)

    monkeypatch.setattr(model, "score_encoded", small)
    assert [speed.batch_tokens for speed in tune(model, seconds=0.05)] == [512]


@pytest.mark.parametrize("content", ["", "[", "[1]", '{"a": "b"}', '{"a": true}', '{"a": 0}', "\udcff"])
def test_a_damaged_file_is_ignored_with_one_warning(tiny_bundle, cache, content):
    cache.parent.mkdir()
    cache.write_bytes(content.encode("utf-8", "surrogateescape"))
    result = process("score", "--question", QUESTION, "--answer", GOOD, "--model", tiny_bundle)
    assert result.returncode == 0
    assert float(result.stdout)
    [warning] = result.stderr.splitlines()
    assert warning.startswith(f"warning: {cache}: ")
    assert warning.endswith("; ignored")
    result = process("tune", "--seconds", "0.01", "--model", tiny_bundle, "--threads", "1")
    assert result.returncode == 0, result.stderr
    assert len(json.loads(cache.read_text())) == 1


def test_a_folder_in_place_of_the_file(tiny_bundle, cache):
    cache.mkdir(parents=True)
    result = process("score", "--question", QUESTION, "--answer", GOOD, "--model", tiny_bundle)
    assert (result.returncode, len(result.stderr.splitlines())) == (0, 1)
    result = process("tune", "--seconds", "0.01", "--model", tiny_bundle)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: ")
    assert "Traceback" not in result.stderr


def test_where_measurements_lie(monkeypatch, tmp_path):
    monkeypatch.delenv("PREFMODEL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder() == tmp_path / "xdg" / "prefmodel"
    for unset in ("", "relative"):
        monkeypatch.setenv("XDG_CACHE_HOME", unset)
        assert cache_folder() == tmp_path / ".cache" / "prefmodel"


def test_measurements_kept_at_once_are_all_kept(cache):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda i: keep_tokens(f"machine {i}", 1000 + i), range(40)))
    assert kept_tokens() == {f"machine {i}": 1000 + i for i in range(40)}
