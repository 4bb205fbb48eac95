"""Asking a language model over HTTP: retries, errors, the budget, the cache, concurrency, and going on after a kill."""

from __future__ import annotations

import contextlib
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axioms.llm.cache import AnswerCache, Reply, Sampling, key_of
from axioms.llm.client import LLM, LLMOptions
from axioms.llm.failures import BudgetSpent, EndpointError, Unanswered
from axioms.llm.options import open_llm
from prefmodel.errors import FileFormatError, InputError, MissingExtraError, PrefModelError
from tests.fake_llm import KEY, MODEL, FakeLLM, Fault, fake_llm

ROOT = Path(__file__).parents[1]
SAMPLING = Sampling(max_tokens=50)


@pytest.fixture
def fake():
    with fake_llm() as server:
        yield server


@pytest.fixture
def options(fake: FakeLLM, tmp_path: Path) -> LLMOptions:
    return LLMOptions(fake.url, MODEL, tmp_path / "answers.sqlite3", concurrency=4, timeout=5.0, retries=2)


def with_(options: LLMOptions, **changed: object) -> LLMOptions:
    names = ("url", "model", "cache", "concurrency", "budget", "key_env", "timeout", "retries")
    return LLMOptions(**{name: changed.get(name, getattr(options, name)) for name in names})


def asking(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def ask(options: LLMOptions, text: str = "Why?") -> Reply:
    with open_llm(options) as llm:
        return llm.ask(asking(text), SAMPLING)


# Answers


def test_what_is_sent_and_what_comes_back(fake, options):
    reply = ask(options, "Why is it blue?")
    assert reply == Reply("Answer to Why is it blue?", "stop", 4, 6)
    [body] = fake.bodies
    wanted = {"model": MODEL, "temperature": 0.3, "top_p": 0.9, "max_tokens": 50, "seed": 0}
    assert body == {**wanted, "messages": asking("Why is it blue?")}


def test_tokens_are_estimated_where_the_endpoint_is_silent(fake, options):
    fake.usage = False
    reply = ask(options, "x" * 40)
    assert (reply.prompt_tokens, reply.completion_tokens) == (11, 13)


def test_a_refusal_of_the_api_is_marked(fake, options):
    fake.refusal = "No."
    assert ask(options) == Reply("No.", "refusal", 1, 3)


# What goes wrong


@pytest.mark.parametrize("fault", [Fault(429), Fault(500), Fault(503), Fault(cut=True), Fault(garbled=True)])
def test_a_request_that_fails_is_tried_again(fake, options, fault):
    fake.faults = [fault]
    assert ask(options).text == "Answer to Why?"
    assert len(fake.bodies) == 2


def test_a_timeout_is_tried_again(fake, options):
    fake.faults = [Fault(silence=1.5)]
    assert ask(with_(options, timeout=0.3)).text == "Answer to Why?"
    assert len(fake.bodies) == 2


@pytest.mark.parametrize("fault", [Fault(429), Fault(500)])
def test_an_endpoint_that_fails_for_good(fake, options, fault):
    fake.faults = [fault] * 9
    with pytest.raises(EndpointError, match=r"--llm-url is .*injected, after 3 tries; the answers so far are in"):
        ask(options)
    assert len(fake.bodies) == 3


def test_nobody_listens(options):
    with pytest.raises(EndpointError, match=r"--llm-url is 'http://127\.0\.0\.1:1/v1': .*refused.*, at once"):
        ask(with_(options, url="http://127.0.0.1:1/v1", retries=0))


def test_another_address(fake, options):
    with pytest.raises(InputError, match=r"--llm-url is .*speaks no chat-completions API; allowed: .*/v1"):
        ask(with_(options, url=fake.url + "/elsewhere"))
    fake.faults = [Fault(garbled=True)] * 9
    with pytest.raises(InputError, match=r"--llm-url is .*speaks no chat-completions API"):
        ask(with_(options, retries=0))


def test_the_key(fake, options, monkeypatch):
    fake.key = KEY
    monkeypatch.setenv("MY_KEY", "wrong")
    with pytest.raises(InputError, match="--llm-key-env is 'MY_KEY': the key in it was refused: Incorrect API key"):
        ask(with_(options, key_env="MY_KEY"))
    with pytest.raises(InputError, match="--llm-key-env is 'NO_KEY': the key in it is not set"):
        ask(with_(options, key_env="NO_KEY"))
    monkeypatch.setenv("MY_KEY", "schlüssel")
    with pytest.raises(InputError, match=r"--llm-key-env is 'MY_KEY': .*beyond ASCII"):
        ask(with_(options, key_env="MY_KEY"))
    monkeypatch.setenv("MY_KEY", KEY)
    assert ask(with_(options, key_env="MY_KEY")).text == "Answer to Why?"


def test_the_model(options):
    with pytest.raises(InputError, match="--llm-model is 'other': The model other does not exist"):
        ask(with_(options, model="other"))


def test_a_prompt_that_is_refused(fake, options):
    fake.faults = [Fault(400, "content_filter"), Fault(400, "context_length_exceeded"), Fault(400, "other")]
    with pytest.raises(Unanswered, match="content filter"):
        ask(options)
    with pytest.raises(Unanswered, match="context length exceeded"):
        ask(options)
    with pytest.raises(InputError, match=r"--llm-url is .*: it refuses a request: injected"):
        ask(options)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"url": "localhost:8000"}, "--llm-url is 'localhost:8000'; allowed: an address that begins with http"),
        ({"model": " "}, "--llm-model is ' '; allowed"),
        ({"concurrency": 0}, "--llm-concurrency is 0; allowed"),
        ({"budget": -1}, "--llm-budget is -1; allowed"),
    ],
)
def test_options_are_checked(options, changed, message):
    with pytest.raises(InputError, match=message):
        with_(options, **changed)


def test_errors_are_one_line(fake, options):
    fake.faults = [Fault(400, message="two\nlines")]
    with pytest.raises(PrefModelError) as caught:
        ask(options)
    assert str(caught.value).isprintable()


def test_the_package_is_missing(options, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(MissingExtraError, match=r"prefmodel\[llm\]"):
        open_llm(options)


def test_options_pickle(options):
    assert pickle.loads(pickle.dumps(options)) == options


# The cache


def test_a_second_run_asks_nothing(fake, options):
    texts = [f"Question {i}" for i in range(20)]
    with LLM(options) as llm:
        first = list(llm.map(lambda t: llm.ask(asking(t), SAMPLING), texts))
        assert (llm.requests, llm.from_cache) == (20, 0)
    with LLM(with_(options, budget=0)) as llm:
        assert list(llm.map(lambda t: llm.ask(asking(t), SAMPLING), texts)) == first
        assert (llm.requests, llm.from_cache, llm.tokens) == (0, 20, 0)
    assert len(fake.bodies) == 20


def test_whatever_decides_an_answer_is_in_its_key(options):
    keys = {
        key_of(model, asking(text), sampling)
        for model in ("a", "b")
        for text in ("Why?", "How?")
        for sampling in (Sampling(), Sampling(0.5), Sampling(top_p=0.5), Sampling(max_tokens=1), Sampling(seed=1))
    }
    assert len(keys) == 20


def test_the_same_question_at_the_same_time_is_asked_once(fake, options):
    fake.delay = 0.05
    with LLM(options) as llm:
        replies = list(llm.map(lambda t: llm.ask(asking(t), SAMPLING), ["Why?"] * 12))
    assert {r.text for r in replies} == {"Answer to Why?"}
    assert len(fake.bodies) == 1


def test_a_cache_that_is_none(options, tmp_path):
    (tmp_path / "notes.txt").write_text("no database\n" * 100)
    with pytest.raises(FileFormatError, match=r"--llm-cache is .*notes\.txt: .*not a database"):
        ask(with_(options, cache=tmp_path / "notes.txt"))
    with pytest.raises(InputError, match=r"--llm-cache is .*; allowed: a file that can be made"):
        ask(with_(options, cache=tmp_path / "notes.txt" / "below"))


# The budget


def test_a_spent_budget_stops_and_a_larger_one_goes_on(fake, options):
    texts = [f"Question {i}" for i in range(30)]  # 2 + 4 tokens each
    done: list[Reply] = []
    with LLM(with_(options, budget=60, concurrency=1)) as llm, pytest.raises(BudgetSpent) as caught:
        done.extend(llm.map(lambda t: llm.ask(asking(t), SAMPLING), texts))  # keeps what came before the error
    assert "--llm-budget is 60: 60 tokens are spent; repeat the command to spend as many again, " in str(caught.value)
    assert [r.text for r in done] == [f"Answer to {t}" for t in texts[:10]]
    assert len(fake.bodies) == 10
    with LLM(with_(options, budget=10_000)) as llm:
        assert len(list(llm.map(lambda t: llm.ask(asking(t), SAMPLING), texts))) == 30
        assert llm.from_cache == 10
    assert len(fake.bodies) == 30


def test_requests_under_way_when_the_budget_is_spent_are_kept(fake, options):
    fake.delay = 0.02
    with LLM(with_(options, budget=30)) as llm, contextlib.suppress(BudgetSpent):
        list(llm.map(lambda t: llm.ask(asking(t), SAMPLING), [f"Question {i}" for i in range(30)]))
    cache = AnswerCache(options.cache)
    assert 5 <= len(cache) == len(fake.bodies) <= 5 + options.concurrency - 1


# Concurrency


@pytest.mark.parametrize("bound", [1, 3, 6])
def test_requests_at_once(fake, options, bound):
    fake.delay = 0.2
    with LLM(with_(options, concurrency=bound)) as llm:
        texts = [f"Question {i}" for i in range(4 * bound)]
        found = [r.text for r in llm.map(lambda t: llm.ask(asking(t), SAMPLING), texts)]
    assert found == [f"Answer to {t}" for t in texts]  # in order
    assert fake.most_at_once == bound


def test_two_maps_share_the_bound(fake, options):
    fake.delay = 0.03
    with LLM(with_(options, concurrency=2)) as llm:
        maps = [llm.map(lambda t: llm.ask(asking(t), SAMPLING), [f"{m} {i}" for i in range(6)]) for m in "ab"]
        for _ in zip(*maps, strict=True):
            pass
    assert (fake.most_at_once, len(fake.bodies)) == (2, 12)


def test_a_map_that_is_left_begins_nothing_more(fake, options):
    with LLM(options) as llm:
        found = llm.map(lambda t: llm.ask(asking(t), SAMPLING), (f"Question {i}" for i in range(1000)))
        next(found)
        found.close()
    assert len(fake.bodies) <= 4 * options.concurrency + 1


# Other processes

CHILD = """
import sys
from pathlib import Path
from axioms.llm.cache import Sampling
from axioms.llm.client import LLM, LLMOptions

url, model, cache, count = sys.argv[1:]
with LLM(LLMOptions(url, model, Path(cache), concurrency=2)) as llm:
    def ask(i):
        return llm.ask([{"role": "user", "content": f"Question {i}"}], Sampling(max_tokens=50)).text
    print(len(list(llm.map(ask, range(int(count))))))
"""


def child(options: LLMOptions, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, options.url, options.model, str(options.cache), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(fake: FakeLLM, answers: int, process: subprocess.Popen[str]) -> None:
    due = time.monotonic() + 60
    while len(fake.answered) < answers:
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < due
        time.sleep(0.005)


def test_a_killed_run_repeats_no_answer(fake, options):
    fake.delay = 0.02
    count = 60
    for seen in (5, 20, 35):
        process = child(options, count)
        before = len(fake.answered)
        wait_for(fake, seen, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert len(fake.answered) >= max(before, seen)
    cache = AnswerCache(options.cache)
    kept = {f"Question {i}" for i in range(count) if cache.get(key_of(MODEL, asking(f"Question {i}"), SAMPLING))}
    time.sleep(0.1)  # the last requests of the killed process end
    already = len(fake.bodies)
    assert len(kept) >= already - 3 * 2  # only what was under way at a kill is lost: two requests
    done = child(options, count)
    out, err = done.communicate(timeout=60)
    assert out.strip() == str(count), err
    asked = [body["messages"][-1]["content"] for body in fake.bodies[already:]]
    assert not kept & set(asked)
    assert len(asked) == len(set(asked)) == count - len(kept)


def test_two_processes_on_one_cache(fake, options):
    fake.delay = 0.005
    processes = [child(options, 60) for _ in range(2)]
    for process in processes:
        out, err = process.communicate(timeout=60)
        assert out.strip() == "60", err
    assert len(AnswerCache(options.cache)) == 60
    already = len(fake.bodies)
    out, err = child(options, 60).communicate(timeout=60)
    assert out.strip() == "60", err
    assert len(fake.bodies) == already
