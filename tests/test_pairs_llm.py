"""`prefmodel pairs` with a language model: a real server on 127.0.0.1, blocks, workers, kills and budgets."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

import axioms
from axioms.llm.registry import LLM_AXIOMS
from axioms.registry import AXIOMS
from prefmodel.cli import main
from prefmodel.files import read_pairs, write_threads
from tests.command import COMMAND, fails, process
from tests.fake_llm import MODEL, FakeLLM, fake_llm
from tests.scripted_llm import scripted, some_threads

ASKING = ",".join(LLM_AXIOMS)


@pytest.fixture
def fake():
    with fake_llm(answer=scripted) as server:
        yield server


@pytest.fixture
def threads(tmp_path):
    write_threads(tmp_path / "threads.jsonl", some_threads(24))
    return tmp_path / "threads.jsonl"


def arguments(fake: FakeLLM, threads: Path, *more, output="out.jsonl", cache="answers", model=MODEL, names=ASKING):
    """Return the arguments of a run in blocks of 6 threads, 4 requests at once."""
    place = threads.parent
    files = (threads, "-o", place / output, "--llm-cache", place / cache)
    asked = ("--llm-url", fake.url, "--llm-model", model, "--llm-concurrency", 4)
    return [*map(str, ("pairs", *files, *asked, "--axioms", names, "--block", 6, *more))]


def run(*given, **options):
    return CliRunner().invoke(main, arguments(*given, **options))


def built(fake, threads, *more, **options):
    """Return the bytes of a run that ends well, and what it tells."""
    result = run(fake, threads, *more, **options)
    assert result.exit_code == 0, result.stderr
    output = threads.parent / options.get("output", "out.jsonl")
    assert not output.with_name(f"{output.name}.parts").exists()
    return output.read_bytes(), result.stderr


def spent(fake):
    """Return the tokens of each answered request."""
    texts = [body["messages"][-1]["content"] for body in fake.answered]
    return [len(text.split()) + len(scripted(text).split()) for text in texts]


def summary(told):
    """Return the last lines without those of the progress, of which a slow machine shows more."""
    return [line for line in told.splitlines() if " threads so far" not in line]


def table(told):
    return told[told.index("axiom ") :]


def finished(threads):
    return len(list((threads.parent / "out.jsonl.parts").glob("*.npz")))


def test_all_axioms_of_threads_with_the_language_model_s(fake, threads):
    place = threads.parent
    asked = ("--llm-url", fake.url, "--llm-model", MODEL, "--llm-cache", place / "answers")
    result = CliRunner().invoke(main, [*map(str, ("pairs", threads, "-o", place / "out.jsonl", *asked))])
    assert result.exit_code == 0, result.stderr
    _, *rows = table(result.stderr).splitlines()
    assert [row.split()[0] for row in rows if "not written" not in row] == [*AXIOMS, *LLM_AXIOMS]
    found = [pair for pair in read_pairs(place / "out.jsonl") if pair.axiom in LLM_AXIOMS]
    assert {pair.axiom for pair in found} == {*LLM_AXIOMS}
    for pair in found:
        assert pair.provenance["model"] == MODEL
        assert pair.provenance["recipe"]
        assert all(len(used["sha256"]) == 64 for used in pair.provenance["prompts"].values())
    assert f"{sum(spent(fake)):,} tokens of prompts and answers were spent on the language model\n" in result.stderr


def test_a_full_cache_asks_nothing_and_gives_the_same_bytes(fake, threads):
    whole, told = built(fake, threads)
    assert "tokens" in told
    asked = len(fake.bodies)
    again, told = built(fake, threads, "--llm-budget", 0, output="again.jsonl")
    assert again == whole
    assert len(fake.bodies) == asked
    assert "tokens" not in told


def test_the_bytes_and_the_report_are_the_same_for_any_number_of_workers(fake, threads):
    fake.answer = lambda text: "" if "cider" in text else scripted(text)
    place = threads.parent
    one, told = built(fake, threads, "--report", place / "one", cache="a")
    assert fake.most_at_once <= 4
    asked = len(fake.answered)
    two, told_two = built(fake, threads, "--report", place / "two", "--workers", 2, output="two.jsonl", cache="b")
    assert two == one
    assert len(fake.answered) == 2 * asked
    assert fake.most_at_once <= 4
    assert summary(told_two) == summary(told)
    reports = [json.loads((place / name / "report.json").read_text())["axioms"] for name in ("one", "two")]
    assert reports[0] == reports[1]
    assert reports[0]["llm_groundedness"]["skipped"] == {"empty": 4}
    assert reports[0]["llm_thoroughness"]["skipped"] == {"empty": 8}
    assert "llm_groundedness, not written: empty 4\n" in told
    assert "- llm_groundedness, not written: empty 4.\n" in (place / "two" / "report.md").read_text()


def test_a_run_that_is_killed_goes_on(fake, threads):
    whole, told = built(fake, threads, output="whole.jsonl", cache="other")
    needed = len(fake.answered)
    fake.answered.clear()
    fake.delay = 0.03
    command = [*COMMAND, *arguments(fake, threads, "--workers", 2)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as running:
        end = time.monotonic() + 60
        while finished(threads) < 2 and running.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
        os.kill(running.pid, signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    time.sleep(1)  # the workers end by themselves
    done = finished(threads)
    assert 2 <= done < 4
    again, more = built(fake, threads)
    assert more.startswith(f"going on: {done} blocks are finished\n")
    assert again == whole
    assert table(more) == table(told)  # with what the blocks skipped that were finished before
    assert needed <= len(fake.answered) <= needed + 4  # those under way


@pytest.mark.parametrize("workers", [1, 2])
def test_a_spent_budget_writes_nothing_and_loses_nothing(fake, threads, workers):
    whole, _ = built(fake, threads, output="whole.jsonl", cache="other")
    needed = len(fake.answered)
    fake.answered.clear()
    runs = 0
    while (result := run(fake, threads, "--llm-budget", 8000, "--workers", workers)).exit_code:
        *_, error = result.stderr.splitlines()
        assert error.startswith("error: --llm-budget is 8000: ")
        assert "repeat the command to spend as many again" in error
        assert str(threads.parent / "answers") in error
        assert "Traceback" not in result.stderr
        assert not (threads.parent / "out.jsonl").exists()
        asked, runs = len(fake.answered), runs + 1
        assert runs < 10
    assert runs > 1
    assert finished(threads) == 0  # the parts are gone when the file is written
    assert (threads.parent / "out.jsonl").read_bytes() == whole
    assert len(fake.answered) == needed > asked


def test_workers_share_the_budget(fake, threads):
    result = run(fake, threads, "--llm-budget", 4000, "--workers", 2)
    assert result.exit_code == 1
    assert "tokens are spent by one of 2 workers; repeat the command" in result.stderr
    assert 3500 < sum(spent(fake)) < 4000 + 4 * max(spent(fake))


def stop_early(fake, threads):
    """Leave a run whose budget was spent after some blocks."""
    result = run(fake, threads, "--llm-budget", 6000)
    assert result.exit_code == 1
    assert summary(result.stderr)[-1].startswith("error: --llm-budget is 6000: ")
    assert 0 < finished(threads) < 4


def test_another_address_goes_on_and_another_model_begins_anew(fake, threads):
    stop_early(fake, threads)
    done = finished(threads)
    with fake_llm(answer=scripted) as moved:
        result = run(moved, threads, "--llm-budget", 0)
        assert result.stderr.startswith(f"going on: {done} blocks are finished\n")
        assert not moved.bodies
    result = run(fake, threads, model="other")
    anew, error = summary(result.stderr)
    assert anew == "beginning anew: --axioms changed"
    assert error == "error: --llm-model is 'other': The model other does not exist"


def test_another_prompt_begins_anew(fake, threads):
    stop_early(fake, threads)
    copy = threads.parent / "code" / "axioms"
    shutil.copytree(Path(axioms.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    command = arguments(fake, threads, "--llm-budget", 0)
    elsewhere = {"env": {**os.environ, "PYTHONPATH": str(copy.parent)}, "cwd": copy.parent}
    assert process(*command, **elsewhere).stderr.startswith("going on: ")
    prompt = copy / "llm" / "prompts" / "closed_book.txt"
    prompt.write_text(prompt.read_text() + "Be brief.\n")
    assert process(*command, **elsewhere).stderr.startswith("beginning anew: the version changed\n")


def test_no_pairs_tells_why(fake, threads):
    fake.answer = lambda text: "I cannot help with that."
    result = run(fake, threads, names="llm_groundedness")
    assert result.exit_code == 1
    *_, error = result.stderr.splitlines()
    assert error.endswith("that llm_groundedness could pair; the language model wrote none: refused 24")
    assert not (threads.parent / "out.jsonl").exists()


def test_options_that_do_not_fit(fake, threads):
    plain = ("pairs", threads, "-o", threads.parent / "out.jsonl")
    result = CliRunner().invoke(main, [*map(str, (*plain, "--axioms", "relevance,llm_groundedness"))])
    fails(result, "axiom is 'llm_groundedness', which asks a language model; allowed with --llm-url")
    fails(run(fake, threads, names="relevance"), "no axiom of this run asks a language model; allowed with llm_grounde")
    result = CliRunner().invoke(main, [*map(str, (*plain, "--llm-url", fake.url))])
    fails(result, "--llm-model is missing; allowed: the name of a model at --llm-url")
    result = CliRunner().invoke(main, [*map(str, (*plain, "--llm-budget", 5))])
    fails(result, "--llm-budget is given without --llm-url")
    (threads.parent / "text").write_text("no cache " * 1000)
    fails(run(fake, threads, cache="text"), "--llm-cache is ", "allowed: a new file, or a cache of this package")
    assert not fake.bodies
    assert not finished(threads)


def test_an_endpoint_that_is_wrong_is_told_in_one_line(fake, threads):
    result = run(fake, threads, "--llm-url", fake.url.replace("/v1", "/v2"))
    fails(result, "/v2', which speaks no chat-completions API")
    assert not (threads.parent / "out.jsonl").exists()
