"""The queue: joining, bounds, time-outs, clients that leave, several workers, and the end of a process."""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from prefmodel.model import PreferenceModel
from prefmodel.server.batcher import Batcher
from prefmodel.server.metrics import Metrics
from prefmodel.server.problems import Problem
from prefmodel.server.settings import Settings
from tests.test_server import given, serving

WORDS = ["why", "is", "the", "sky", "blue", "because", "air", "scatters", "light"]


def rows(count: int, seed: int = 0, words: int = 12) -> list[tuple[str, str]]:
    """Return different (question, answer)."""
    draw = random.Random(seed)
    return [(f"why {i} {seed}", " ".join(draw.choices(WORDS, k=draw.randint(1, words)))) for i in range(count)]


def slow(count: int) -> dict:
    """Return a request that takes long: its texts are tokenised whole, though few of their tokens are seen."""
    return {"question": "why", "answers": [f"{i} " + "air " * 20_000 for i in range(count)]}


@contextlib.asynccontextmanager
async def batching(model: PreferenceModel, **settings):
    metrics = Metrics()
    batcher = Batcher(model, Settings(**settings), metrics)
    await batcher.start()
    try:
        yield batcher, metrics
    finally:
        await batcher.close()


def value(metrics: Metrics, name: str) -> float:
    text = metrics.text().decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name + " "))


def test_rows_of_many_requests_are_joined(model):
    """Each gets its own scores, and there were far fewer runs than requests."""
    pairs = rows(200)

    async def ask() -> tuple[list[float], float]:
        async with batching(model, wait_ms=50) as (batcher, metrics):
            scores = await asyncio.gather(*(batcher.score([q], [a]) for q, a in pairs))
            return [float(s.scores[0]) for s in scores], value(metrics, "prefmodel_batch_rows_count")

    found, batches = asyncio.run(ask())
    assert found == pytest.approx(model.score_batch(*zip(*pairs, strict=True)).scores.tolist(), abs=1e-5)
    assert batches <= 20


def test_a_request_larger_than_a_batch_keeps_its_order(model):
    pairs = rows(300)

    async def ask():
        async with batching(model, batch_tokens=100) as (batcher, _):
            return await batcher.score(*zip(*pairs, strict=True))

    found, expected = asyncio.run(ask()), model.score_batch(*zip(*pairs, strict=True))
    for name in ("scores", "contributions", "question_cut", "answer_cut"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-5)


def test_a_big_request_starves_no_small_one_and_is_not_starved(model):
    async def ask() -> tuple[int, bool]:
        async with batching(model, batch_tokens=200, queue_tokens=10**9) as (batcher, _):
            big = asyncio.ensure_future(batcher.score(*zip(*rows(2_000), strict=True)))
            await asyncio.sleep(0)
            small = 0
            while not big.done():  # more small ones than fit a batch, without an end
                await asyncio.gather(*(batcher.score([q], [a]) for q, a in rows(30, seed=small)))
                small += 1
            return small, len(await big) == 2_000

    small, whole = asyncio.run(asyncio.wait_for(ask(), 120))
    assert small >= 20
    assert whole


def test_a_full_queue_turns_away_and_recovers(model):
    async def ask() -> tuple[list, float]:
        async with batching(model, queue_tokens=100, batch_tokens=1) as (batcher, metrics):
            results = await asyncio.gather(*(batcher.score([q], [a]) for q, a in rows(200)), return_exceptions=True)
            await batcher.score(["why"], ["air"])
            return results, value(metrics, "prefmodel_queued_tokens")

    results, queued = asyncio.run(ask())
    turned_away = [r for r in results if isinstance(r, Problem)]
    assert 0 < len(turned_away) < 200
    assert all(not isinstance(r, Exception) or isinstance(r, Problem) for r in results)
    assert {p.status for p in turned_away} == {503}
    assert all(1 <= int(p.headers["Retry-After"]) <= 60 for p in turned_away)
    assert queued == 0


def test_rows_of_who_left_are_dropped(model):
    async def ask() -> tuple[float, float, float]:
        async with batching(model, batch_tokens=1) as (batcher, metrics):
            before = value(metrics, "prefmodel_rows_total")
            waiting = [asyncio.ensure_future(batcher.score([q] * 10, [a] * 10)) for q, a in rows(50)]
            await asyncio.sleep(0)
            for task in waiting[1:]:
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
            assert len(waiting[0].result()) == 10
            scored = value(metrics, "prefmodel_rows_total") - before
            return scored, value(metrics, "prefmodel_dropped_rows_total"), value(metrics, "prefmodel_queued_tokens")

    scored, dropped, queued = asyncio.run(ask())
    assert scored + dropped == 500
    assert scored <= 20
    assert queued == 0


def test_a_request_that_takes_too_long(tiny_bundle):
    with serving(tiny_bundle, "--timeout", 0.2, "--batch", 1) as server:
        response = server.http.post("/score", json=slow(40))
        assert response.status_code == 504
        assert response.json()["error"]["type"] == "timeout"
        assert server.metric("prefmodel_dropped_rows_total") > 0
        assert given(server.http.post("/score", json={"question": "why", "answers": ["air"]}))


@pytest.fixture(scope="module")
def server(tiny_bundle):
    """A server that takes one row at a time and lets little wait, so that it is soon full."""
    with serving(tiny_bundle, "--batch", 1, "--queue", 2000) as running:
        yield running


def test_scoring_does_not_block_the_loop(server):
    """Other answers come while a long request is scored."""
    with ThreadPoolExecutor(1) as pool:
        long = pool.submit(httpx.post, f"{server.url}/score", json=slow(40), timeout=120)
        between = 0
        while not long.done():
            assert server.http.get("/health").status_code == 200
            between += 1
        assert len(given(long.result())["scores"]) == 40
        assert between >= 5


def test_a_client_that_leaves_is_not_scored(server):
    before = server.metric("prefmodel_dropped_rows_total")
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url}/score", json=slow(40), timeout=httpx.Timeout(60, read=0.2))
    due = time.monotonic() + 60
    while server.metric("prefmodel_dropped_rows_total") == before:
        assert time.monotonic() < due
        time.sleep(0.02)
    assert given(server.http.post("/score", json={"question": "why", "answers": ["air"]}))


def test_an_overloaded_server_says_so_and_recovers(server):
    def ask(_) -> httpx.Response:
        return httpx.post(f"{server.url}/score", json=slow(8), timeout=120)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(ask, range(16)))
    assert {r.status_code for r in responses} == {200, 503}
    for response in responses:
        if response.status_code == 503:
            assert int(response.headers["Retry-After"]) >= 1
            assert response.json()["error"]["type"] == "overloaded"
    assert given(server.http.post("/score", json={"question": "why", "answers": ["air"]}))


class Client(threading.Thread):
    """Asks again and again on one connection until it is refused; notes every request that got no answer.

    A server that ends closes connections on which nothing is asked, and a request may be on its way to it just then;
    as HTTP has it (RFC 9112, section 9.3.1), a client then asks once more, on a new connection.
    """

    def __init__(self, url: str, seed: int):
        super().__init__()
        self.url, self.seed, self.answered, self.unanswered = url, seed, 0, []

    def run(self) -> None:
        with httpx.Client(base_url=self.url, timeout=60) as http:
            for question, answer in rows(100_000, self.seed):
                try:
                    self.ask(http, {"question": question, "answers": [answer]})
                except httpx.ConnectError:  # refused: it was not accepted
                    return
                except httpx.HTTPError as error:
                    self.unanswered.append(repr(error))

    def ask(self, http: httpx.Client, body: dict[str, Any]) -> None:
        try:
            response = http.post("/score", json=body)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if not self.answered:  # the connection was a new one
                raise
            response = http.post("/score", json=body)
        response.raise_for_status()
        self.answered += 1


@pytest.mark.parametrize("workers", [1, 2])
def test_sigterm_during_load(tiny_bundle, workers):
    """Every request that was accepted is answered, and the process ends with status 0."""
    with serving(tiny_bundle, "--workers", workers) as server:
        clients = [Client(server.url, seed) for seed in range(8)]
        for client in clients:
            client.start()
        due = time.monotonic() + 60
        while min(client.answered for client in clients) < 3:
            assert time.monotonic() < due
            time.sleep(0.02)
        status = server.stop()
        for client in clients:
            client.join(60)
    assert status == 0
    assert [client.unanswered for client in clients] == [[]] * 8


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the workers in /proc")
def test_workers_add_up_and_are_replaced(tiny_bundle):
    body = {"question": "why", "answers": ["air", "sky"]}
    with serving(tiny_bundle, "--workers", 2) as server:
        before = server.metric("prefmodel_rows_total")
        for _ in range(20):
            given(httpx.post(f"{server.url}/score", json=body, timeout=60))  # a connection each, so that both get some
        assert server.metric("prefmodel_rows_total") == before + 40
        children = workers_of(server.process.pid)
        assert len(children) == 2
        os.kill(children[0], signal.SIGKILL)
        due = time.monotonic() + 60
        while children[0] in workers_of(server.process.pid) or len(workers_of(server.process.pid)) < 2:
            assert time.monotonic() < due
            time.sleep(0.05)
        with httpx.Client(base_url=server.url) as http:
            assert given(http.post("/score", json=body))
        assert server.stop() == 0
        for child in children:
            assert not os.path.exists(f"/proc/{child}")


def workers_of(pid: int) -> list[int]:
    """Return the worker processes of a server: its children, without the one that tracks resources for Python."""
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = [int(child) for child in file.read().split()]
    found = []
    for child in children:
        with contextlib.suppress(OSError), open(f"/proc/{child}/cmdline", "rb") as file:
            if b"spawn_main" in file.read():
                found.append(child)
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="finds the workers in /proc")
def test_a_worker_that_cannot_start_ends_the_server(tiny_bundle):
    with serving(tiny_bundle, "--workers", 2) as server:
        tokenizer = tiny_bundle / "tokenizer.json"
        whole = tokenizer.read_bytes()
        try:
            tokenizer.write_bytes(b"{}")
            os.kill(workers_of(server.process.pid)[0], signal.SIGKILL)
            assert server.process.wait(120) == 1
        finally:
            tokenizer.write_bytes(whole)
        assert "a worker ended with status 1" in server.process.stderr.read()
