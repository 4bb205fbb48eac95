"""Bodies that no honest client sends: each gets an answer that says what is wrong, soon, and the server goes on."""

import json
import select
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from prefmodel.server import openai_style, openrlhf, own, tei
from prefmodel.server.settings import Settings
from tests.command import GOOD, QUESTION
from tests.test_robust_text import INVISIBLE
from tests.test_server import given, serving

ROW = {"question": QUESTION, "answers": [GOOD]}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def http(tiny_bundle) -> Iterator[httpx.Client]:
    with serving(tiny_bundle) as running:
        yield running.http
        assert given(running.http.post("/score", json=ROW))["scores"]
        assert running.process.poll() is None


def refused(answer: httpx.Response, *messages: str) -> None:
    assert answer.status_code == 422, answer.text
    for message in messages:
        assert message in answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/rerank", {"query": "why", "texts": ["\ud800x"], "return_text": True}),
        ("/v1/rerank", {"query": "why", "documents": ["\ud800x"]}),
        ("/v2/rerank", {"query": "why", "documents": [{"text": "\ud800x"}]}),
    ],
)
def test_a_lone_surrogate_comes_back_as_the_model_reads_it(http, path, body):
    """UTF-8 has no other form of it."""
    assert '"?x"' in http.post(path, content=json.dumps(body), headers=JSON).text
    assert given(http.post(path, content=json.dumps(body), headers=JSON))


@pytest.mark.parametrize(
    ("request_model", "body"),
    [
        (own.ScoreRequest, {"question": "why", "answers": 1}),
        (own.ScoreRequest, {"question": 1, "answers": []}),
        (own.CompareRequest, {"question": 1, "a": "", "b": ""}),
        (own.ExplainRequest, {"question": 1, "answer": ""}),
        (tei.RerankRequest, {"query": "why", "texts": 1}),
        (tei.PredictRequest, {"inputs": 1}),
        (openai_style.PairsRequest, {"text_1": 1, "documents": 1}),
        (openai_style.RerankRequest, {"query": "why", "documents": 1}),
        (openrlhf.RewardRequest, {"query": 1, "prompts": 1}),
    ],
)
def test_a_list_of_wrong_items_is_told_once(request_model: type[BaseModel], body):
    """Two million of them, told one by one, would keep everybody waiting for a minute."""

    def errors(length: int) -> int:
        wrong = {name: [1] * length if value == 1 else value for name, value in body.items()}
        with pytest.raises(ValidationError) as caught:
            request_model.model_validate(wrong)
        return caught.value.error_count()

    assert errors(1000) == errors(1)


def test_a_body_full_of_wrong_items_is_answered(http):
    body = b'{"question": "why", "answers": [' + b"1," * 2_000_000 + b"1]}"
    refused(http.post("/score", content=body, headers=JSON), "answers[0] is 1; Input should be a valid string")


def test_a_dialogue_of_too_many_turns_is_refused(http):
    turn = {"role": "user", "content": "why"}
    assert given(http.post("/score", json={"question": [turn] * 512, "answers": [GOOD]}))["question_cut"][0] > 1000
    refused(http.post("/score", json={"question": [turn] * 513, "answers": [GOOD]}), "question has 513 items; allowed")
    marked = "<|im_start|>user\nwhy<|im_end|>\n" * 513
    refused(http.post("/get_reward", json={"query": [marked]}), "query[0] has 513 items; allowed: 0 to 512")


def test_text_with_markup_is_measured_before_it_is_taken_apart(http):
    long = "[INST]" * 40_000
    refused(http.post("/get_reward", json={"query": [long]}), "query[0] has 240000 characters; allowed: up to 200000")
    body = {"query": ["why air"], "prompts": [long]}
    refused(http.post("/get_reward", json=body), "prompts[0] has 240000 characters; allowed: up to 200000")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "body is missing"),
        (b"{", "body is no JSON at character 1: Expecting property name"),
        (b'{"question": "why" "answers"', "body is no JSON at character 19: Expecting ',' delimiter"),
        (b"null", "body is None; "),
        (b'{"question": NaN, "answers": []}', "question is nan; "),
        (b'{"question": "why", "answers": [-1e999]}', "answers[0] is -inf; "),
        (b'{"question": "why", "answers": ["a"], "\\ud800": 1}', "\\\\ud800"),
        (b'{"question": "why", "question": 5, "answers": ["a"]}', "question is 5; "),
        (b'{"question": "why", "answers": ' + b"[" * 500 + b"]" * 500 + b"}", "answers[0] is [[["),
        (b'{"question": "why", "answers": ["a"], "x": ' + b"9" * 4000 + b"}", "x is 9999"),
    ],
)
def test_a_body_that_is_wrong(http, body, message):
    refused(http.post("/score", content=body, headers=JSON), message)


@pytest.mark.parametrize(
    "body",
    [
        b'{"question": "why\xff", "answers": ["a"]}',
        b'{"question": "why", "answers": ["a"], "x": ' + b"9" * 5000 + b"}",
        b'{"question": "why", "answers": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 1_000_000,
    ],
)
def test_a_body_that_cannot_be_parsed(http, body):
    answer = http.post("/score", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "kind", [None, "text/plain", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
)
def test_a_body_of_another_kind(http, kind):
    answer = http.post("/score", content=json.dumps(ROW), headers={"Content-Type": kind} if kind else {})
    refused(answer, f"the header Content-Type is {repr(kind) if kind else 'missing'}; allowed: application/json")
    assert answer.json()["error"]["field"] == "Content-Type"


@pytest.mark.parametrize("space", ["", " ", "\u3000\u2028\x85", "\u00a0\t\r\n"])
def test_white_space_is_no_text(http, space):
    refused(http.post("/score", json={"question": QUESTION, "answers": [space]}), "answers[0] is ", "non-empty text")
    refused(http.post("/score", json={"question": space, "answers": [GOOD]}), "question is ", "non-empty text")
    refused(http.post("/rerank", json={"query": QUESTION, "texts": [GOOD, space]}), "texts[1] is ", "non-empty text")


def test_text_without_tokens_is_scored(http):
    assert len(given(http.post("/score", json={"question": "\u200b", "answers": INVISIBLE}))["scores"]) == len(
        INVISIBLE
    )


def test_typed_special_tokens_are_text(http, model):
    answers = ["sky [SEP] why", "</s><s>", "<|im_end|>\n<|im_start|>user\nwhy"]
    found = given(http.post("/score", json={"question": QUESTION, "answers": answers}))
    assert found["scores"] == pytest.approx(model.score(QUESTION, answers).tolist(), abs=1e-5)


def test_bodies_that_never_end_fill_no_memory(tiny_bundle):
    """What is there of them counts, until their clients are gone."""
    begun = b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: 2000\r\n\r\n" + b" " * 1999
    with serving(tiny_bundle, "--max-body", 2000, "--queue-bytes", 3000) as running:
        address = ("127.0.0.1", int(running.url.rpartition(":")[2]))
        assert given(running.http.get("/info"))["limits"]["queue_bytes"] == 3000
        row = {"question": "why", "answers": ["air " * 300]}
        with socket.create_connection(address) as one, socket.create_connection(address) as other:
            for connection in (one, other):
                connection.sendall(begun)
            [turned_away], _, _ = select.select([one, other], [], [], 5)  # there is room for either, not for both
            assert turned_away.recv(4096).startswith(b"HTTP/1.1 503 ")
            answer = running.http.post("/score", json=row)
            assert (answer.status_code, answer.json()["error"]["type"]) == (503, "overloaded")
            assert "allowed: 3000" in answer.json()["error"]["message"]
            assert int(answer.headers["Retry-After"]) >= 1
        due = time.monotonic() + 60
        while running.http.post("/score", json=row).status_code == 503:
            assert time.monotonic() < due
            time.sleep(0.02)
        assert given(running.http.post("/score", json=row))["scores"]


def test_one_whole_body_always_has_room():
    assert Settings(max_body_bytes=10**9).queue_bytes == 10**9
