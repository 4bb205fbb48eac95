"""The server's own endpoints, its limits and its pages: a real process, asked over HTTP."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from prefmodel.server.settings import Settings
from tests.command import BAD, COMMAND, GOOD, LONG, QUESTION

TOKEN = "a secret 123"


@dataclass
class Serving:
    """A server process, and a client of it."""

    process: subprocess.Popen
    url: str
    http: httpx.Client

    def stop(self, seconds: float = 60) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        lines = [
            line for line in self.http.get("/metrics").text.splitlines() if line.startswith((name + "{", name + " "))
        ]
        assert lines, name
        return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextlib.contextmanager
def serving(bundle, *arguments, token: str | None = None, cwd: Path | None = None) -> Iterator[Serving]:
    """Run `prefmodel serve` on a free port of this machine until the block ends."""
    command = [*COMMAND, "serve", "--model", bundle, "--threads", 1, "--port", 0, "--name", "tiny", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"} | ({"PREFMODEL_TOKEN": token} if token else {})
    process = subprocess.Popen(list(map(str, command)), env=environment, cwd=cwd, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stderr.readline()
        url = re.search(r"http://[\d.]+:\d+", line)
        assert url, line + process.stderr.read()
        with httpx.Client(base_url=url[0], timeout=120) as http:
            due = time.monotonic() + 120
            while True:
                with contextlib.suppress(httpx.TransportError):
                    if http.get("/ready").status_code == 200:
                        break
                assert process.poll() is None, process.stderr.read()
                assert time.monotonic() < due, "the server does not get ready"
                time.sleep(0.05)
            yield Serving(process, url[0], http)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def server(tiny_bundle) -> Iterator[Serving]:
    with serving(tiny_bundle) as running:
        yield running


@pytest.fixture(scope="module")
def http(server) -> httpx.Client:
    return server.http


def given(response: httpx.Response):
    assert response.status_code == 200, response.text
    return response.json()


# Own endpoints


def test_score(http, model):
    found = given(http.post("/score", json={"question": QUESTION, "answers": [GOOD, BAD, GOOD]}))
    assert found["scores"] == pytest.approx(model.score(QUESTION, [GOOD, BAD, GOOD]).tolist(), abs=1e-5)
    assert found["unit"] == "logit"
    assert found["question_cut"] == found["answer_cut"] == [0, 0, 0]


def test_score_of_a_dialogue(http, model):
    dialogue = [{"role": "user", "content": "why"}, {"role": "assistant", "content": "air"}]
    dialogue += [{"role": "user", "content": "is the sky blue"}]
    found = given(http.post("/score", json={"question": dialogue, "answers": [GOOD]}))
    assert found["scores"] == pytest.approx([model.score(dialogue, GOOD)], abs=1e-5)
    assert found["scores"] != pytest.approx([model.score(QUESTION, GOOD)], abs=1e-3)


def test_no_answers_have_no_scores(http):
    found = given(http.post("/score", json={"question": QUESTION, "answers": []}))
    assert found == {"scores": [], "question_cut": [], "answer_cut": [], "unit": "logit"}


def test_what_is_cut_is_told(http, model):
    expected = model.score_batch([LONG, LONG], [GOOD, LONG])
    found = given(http.post("/score", json={"question": LONG, "answers": [GOOD, LONG]}))
    assert found["question_cut"] == expected.question_cut.tolist()
    assert found["answer_cut"] == expected.answer_cut.tolist()
    assert found["answer_cut"][1] > 0


def test_texts_in_any_script(http, model):
    text = "空が青いのはなぜ \U0001f30d ñ"
    found = given(http.post("/score", json={"question": text, "answers": [text, "x\x00y"]}))
    assert found["scores"] == pytest.approx(model.score(text, [text, "x\x00y"]).tolist(), abs=1e-5)


def test_a_lone_surrogate_is_scored(http):
    body = b'{"question": "\\ud800", "answers": ["\\udfff"]}'
    assert len(given(http.post("/score", content=body, headers={"Content-Type": "application/json"}))["scores"]) == 1


def test_compare(http, model):
    found = given(http.post("/compare", json={"question": QUESTION, "a": GOOD, "b": BAD}))
    assert found["probability"] == pytest.approx(model.compare(QUESTION, GOOD, BAD), abs=1e-5)
    assert found["scores"] == pytest.approx(model.score(QUESTION, [GOOD, BAD]).tolist(), abs=1e-5)
    assert found["temperature"] == 1.5


def test_explain(http, model):
    found = given(http.post("/explain", json={"question": QUESTION, "answer": GOOD}))
    expected = model.explain(QUESTION, GOOD)
    assert found["contributions"] == pytest.approx(expected.contributions, abs=1e-5)
    assert found["experimental"] == list(expected.experimental)
    assert "other_score" not in found
    assert "probability" not in found


def test_explain_beside_another(http, model):
    found = given(http.post("/explain", json={"question": QUESTION, "answer": GOOD, "other": LONG}))
    expected = model.explain(QUESTION, GOOD, LONG)
    assert found["contributions"] == pytest.approx(expected.contributions, abs=1e-5)
    assert found["probability"] == pytest.approx(expected.probability, abs=1e-5)
    assert found["other_score"] == pytest.approx(expected.other_score, abs=1e-5)
    assert found["other_cut"] == expected.other_cut > 0


def test_info(http, model):
    found = given(http.get("/info"))
    assert found["model"] == "tiny"
    assert found["contributions"] == list(model.bundle.contributions)
    assert (found["max_tokens"], found["question_tokens"], found["precision"]) == (64, 16, "int8")
    assert found["limits"] == Settings().limits


def test_health_and_ready(http):
    assert given(http.get("/health")) == given(http.get("/ready")) == {"status": "ok"}


def test_metrics_count(server):
    before = server.metric("prefmodel_rows_total")
    cut = server.metric("prefmodel_cut_rows_total")
    server.http.post("/score", json={"question": QUESTION, "answers": [GOOD, BAD, LONG]})
    assert server.metric("prefmodel_rows_total") == before + 3
    assert server.metric("prefmodel_cut_rows_total") == cut + 1
    server.http.get("/made/up/1")
    text = server.http.get("/metrics").text
    assert 'prefmodel_requests_total{endpoint="other",status="404"}' in text
    assert "/made/up" not in text


# Errors


@pytest.mark.parametrize(
    ("path", "body", "field", "message"),
    [
        ("/score", {"question": QUESTION, "answers": [GOOD, " "]}, "answers[1]", "answers[1] is ' '; allowed: non-"),
        ("/score", {"question": "", "answers": []}, "question", "question is ''; allowed: non-empty text"),
        ("/score", {"question": [], "answers": []}, "question", "question is []; allowed: "),
        ("/score", {"question": 5, "answers": []}, "question", "question is 5; Input should be a valid string or "),
        ("/score", {"question": "a", "answers": [1]}, "answers[0]", "answers[0] is 1; Input should be a valid string"),
        ("/score", {"question": "a"}, "answers", "answers is missing"),
        ("/score", {"question": "a", "answers": ["b"], "anwser": "c"}, "anwser", "anwser is 'c'; Extra inputs"),
        (
            "/score",
            {"question": [{"role": "me", "content": "a"}], "answers": []},
            "question[0].role",
            "is 'me'; Input ",
        ),
        ("/score", {"question": [{"role": "user"}], "answers": []}, "question[0].content", "content is missing"),
        ("/score", ["a"], "body", "body is ['a']"),
        ("/compare", {"question": "a", "a": "b", "b": ""}, "b", "b is ''; allowed: non-empty text"),
        ("/explain", {"question": "a", "answer": "b", "other": ""}, "other", "other is ''; allowed: non-empty text"),
        ("/get_reward", {"query": ["a b"], "prompts": []}, "prompts", "prompts has 0 items; allowed: 1"),
        ("/get_reward", {"query": ["a b"], "prompts": ["a", "b"]}, "prompts", "prompts has 2 items; allowed: 1"),
        ("/get_reward", {"query": ["a b"]}, "query[0]", "query[0] is 'a b'; allowed: with prompts, or"),
    ],
)
def test_errors_name_the_field(http, path, body, field, message):
    response = http.post(path, json=body)
    assert response.status_code == 422, response.text
    error = response.json()["error"]
    assert (error["type"], error["field"]) == ("invalid", field)
    assert message in error["message"]


@pytest.mark.parametrize(
    ("path", "shape"),
    [
        ("/score", lambda e: e["error"].keys() == {"type", "message", "field"}),
        ("/rerank", lambda e: e.keys() == {"error", "error_type"} and e["error_type"] == "Validation"),
        ("/predict", lambda e: e.keys() == {"error", "error_type"} and e["error"].startswith("inputs is missing")),
        ("/v1/score", lambda e: e["error"]["code"] == 422 and e["error"]["param"] == "text_1"),
        ("/v1/rerank", lambda e: e["error"]["code"] == 422 and e["error"]["param"] in ("query", "documents")),
        ("/v2/rerank", lambda e: e.keys() == {"message"}),
    ],
)
def test_errors_have_the_shape_that_clients_read(http, path, shape):
    response = http.post(path, json={})
    assert response.status_code == 422
    assert shape(response.json()), response.text


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000, b'{"question": 1' + b"0" * 5000 + b"}", b"NaN"])
def test_what_is_no_json(http, body):
    response = http.post("/score", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code in (400, 422)
    assert response.json()["error"]["message"]


def test_paths_and_methods_that_are_none(http):
    assert http.get("/nonsense").json()["error"]["type"] == "not_found"
    response = http.get("/score")
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


# Pages


def test_pages_ask_no_other_host(http):
    for path in ("/", "/page.js", "/page.css", "/docs"):
        response = http.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self';")
        assert not re.search(r"""(src|href)=["']?(https?:)?//""", response.text)
    assert http.get("/page.css").headers["Content-Type"].startswith("text/css")
    assert http.get("/page.js").headers["Content-Type"].startswith("text/javascript")
    assert "<html" in http.get("/").text


def test_docs_list_every_endpoint(http):
    paths = given(http.get("/openapi.json"))["paths"]
    listing = http.get("/docs").text
    assert {"/score", "/compare", "/explain", "/rerank", "/predict", "/v1/score", "/get_reward"} < set(paths)
    for path in paths:
        assert f" {path}</code>" in listing


def test_every_schema_says_logit_or_sigmoid(http):
    """Each number of an answer that is a score says which of the two it is."""
    schemas = given(http.get("/openapi.json"))["components"]["schemas"]
    found = 0
    for name, schema in schemas.items():
        for field, value in schema.get("properties", {}).items():
            if name.endswith("Request") or field not in (
                "score",
                "scores",
                "rewards",
                "relevance_score",
                "other_score",
            ):
                continue
            found += 1
            assert re.search("logit|sigmoid", value["description"]), (name, field)
    assert found >= 9


# Limits


@pytest.fixture(scope="module")
def strict(tiny_bundle) -> Iterator[Serving]:
    limits = ("--max-body", 2000, "--max-rows", 3, "--max-chars", 100, "--body-timeout", 0.5)
    with serving(tiny_bundle, *limits, token=TOKEN) as running:
        running.http.headers["Authorization"] = f"Bearer {TOKEN}"
        yield running


def test_too_large_a_body(strict):
    for content in (b"x" * 2001, iter([b"x" * 1500] * 3)):  # with a length, and in chunks without one
        response = strict.http.post("/score", content=content, headers={"Content-Type": "application/json"})
        assert response.status_code == 413
        error = response.json()["error"]
        assert (error["type"], error["field"]) == ("too_large", "body")
        assert "allowed: up to 2000" in error["message"]
    assert given(strict.http.post("/score", json={"question": "a", "answers": ["b"]}))


def test_a_body_that_does_not_come(strict):
    with socket.create_connection(("127.0.0.1", int(strict.url.rpartition(":")[2])), timeout=60) as connection:
        head = f"POST /score HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 100\r\n\r\n{{"
        connection.sendall(head.encode())
        answer = b"".join(iter(lambda: connection.recv(4096), b""))  # until the server closes the connection
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body was not there after 0.5 seconds" in answer


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/score", {"question": "a", "answers": ["b"] * 4}, "answers"),
        ("/rerank", {"query": "a", "texts": ["b"] * 4}, "texts"),
        ("/predict", {"inputs": [["a", "b"]] * 4}, "inputs"),
        ("/v1/score", {"text_1": ["a"] * 4, "text_2": "b"}, "text_1"),
        ("/v1/score", {"queries": "a", "documents": ["b"] * 4}, "documents"),
        ("/v2/rerank", {"query": "a", "documents": ["b"] * 4}, "documents"),
        ("/get_reward", {"query": ["a b"] * 4, "prompts": ["a"] * 4}, "query"),
    ],
)
def test_too_many_rows(strict, path, body, field):
    response = strict.http.post(path, json=body)
    assert response.status_code == 422
    assert re.search(rf"{field} has 4 items; allowed: [01] to 3", response.text)


def test_too_long_a_text(strict):
    response = strict.http.post("/score", json={"question": "a", "answers": ["b", "c" * 101]})
    assert response.status_code == 422
    assert response.json()["error"]["message"] == "answers[1] has 101 characters; allowed: up to 100"
    turns = [{"role": "user", "content": "d" * 51}] * 2
    response = strict.http.post("/score", json={"question": turns, "answers": ["b"]})
    assert response.json()["error"]["message"] == "question has 102 characters; allowed: up to 100"


def test_a_token_is_needed(strict):
    body = {"question": "a", "answers": ["b"]}
    for wrong in ("", "Bearer", f"Bearer {TOKEN}x", "Bearer é", f"Basic {TOKEN}", TOKEN):
        headers = {"Authorization": wrong.encode()}
        response = httpx.post(f"{strict.url}/score", json=body, headers=headers)
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer"), wrong
        assert TOKEN not in response.text
    assert httpx.post(f"{strict.url}/score", json=body).status_code == 401
    assert httpx.post(f"{strict.url}/score", json=body, headers={"Authorization": f"bearer {TOKEN}"}).status_code == 200
    for path in ("/info", "/metrics", "/openapi.json", "/docs", "/nonsense"):
        assert httpx.get(strict.url + path).status_code == 401, path
    for path in ("/", "/page.js", "/page.css", "/health", "/ready"):
        assert httpx.get(strict.url + path).status_code == 200, path


def test_openapi_tells_of_the_token(strict, http):
    assert given(strict.http.get("/openapi.json"))["security"] == [{"bearer": []}]
    assert "security" not in given(http.get("/openapi.json"))
