"""The endpoints of other servers, asked by those servers' own clients or with the bodies that they send."""

import cohere
import httpx
import openai
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from prefmodel.bundle import Bundle
from prefmodel.errors import InputError
from prefmodel.rewards.openrlhf import OpenRLHFReward
from prefmodel.server.openrlhf import question_and_answer
from prefmodel.server.schemas import sigmoid
from tests.command import BAD, GOOD, LONG, QUESTION
from tests.test_server import TOKEN, given, serving

TEXTS = [BAD, GOOD, LONG]


@pytest.fixture(scope="module")
def server(tiny_bundle):
    with serving(tiny_bundle, token=TOKEN) as running:
        running.http.headers["Authorization"] = f"Bearer {TOKEN}"
        yield running


@pytest.fixture(scope="module")
def http(server) -> httpx.Client:
    return server.http


def ranked(model, question: str, texts: list[str]) -> list[tuple[int, float]]:
    return [(r.index, r.score) for r in model.rank(question, texts)]


# text-embeddings-inference


def test_rerank_as_sentence_transformers_users_ask_for_it(http, model):
    response = http.post("/rerank", json={"query": QUESTION, "texts": TEXTS, "truncate": True})
    expected = [{"index": i, "score": pytest.approx(sigmoid(s), abs=1e-5)} for i, s in ranked(model, QUESTION, TEXTS)]
    assert given(response) == expected
    assert response.headers["X-Prefmodel-Cut"] == "1"


def test_rerank_with_raw_scores_and_texts(http, model):
    body = {"query": QUESTION, "texts": TEXTS, "raw_scores": True, "return_text": True}
    expected = [
        {"index": i, "score": pytest.approx(s, abs=1e-5), "text": TEXTS[i]} for i, s in ranked(model, QUESTION, TEXTS)
    ]
    assert given(http.post("/rerank", json=body)) == expected


def test_predict(http, model):
    logit = model.score(QUESTION, GOOD)
    one = {"score": pytest.approx(sigmoid(logit), abs=1e-5), "label": "LABEL_0"}
    raw = {"score": pytest.approx(logit, abs=1e-5), "label": "LABEL_0"}
    assert given(http.post("/predict", json={"inputs": [QUESTION, GOOD]})) == [one]
    assert given(http.post("/predict", json={"inputs": [[QUESTION, GOOD]]})) == [[one]]
    assert given(http.post("/predict", json={"inputs": [[QUESTION, GOOD]] * 2, "raw_scores": True})) == [[raw]] * 2


@pytest.mark.parametrize("inputs", ["a", ["a"], ["a", "b", "c"], [["a", "b"], ["c"]], [], [[]]])
def test_predict_needs_pairs(http, inputs):
    response = http.post("/predict", json={"inputs": inputs})
    assert response.status_code == 422
    assert response.json()["error"].startswith("inputs")
    assert response.json()["error_type"] == "Validation"


# vLLM


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        ({"text_1": QUESTION, "text_2": GOOD}, [(QUESTION, GOOD)]),
        ({"text_1": QUESTION, "text_2": TEXTS}, [(QUESTION, text) for text in TEXTS]),
        ({"queries": [QUESTION, "sky"], "documents": [GOOD, BAD]}, [(QUESTION, GOOD), ("sky", BAD)]),
        ({"queries": [QUESTION, "sky"], "documents": GOOD}, [(QUESTION, GOOD), ("sky", GOOD)]),
    ],
)
def test_score(http, model, body, pairs):
    found = given(http.post("/v1/score", json={"model": "any", **body}))
    logits = [model.score(*pair) for pair in pairs]
    assert [(d["index"], d["object"]) for d in found["data"]] == [(i, "score") for i in range(len(pairs))]
    assert [d["score"] for d in found["data"]] == pytest.approx([sigmoid(s) for s in logits], abs=1e-5)
    assert (found["object"], found["model"]) == ("list", "tiny")
    found = given(http.post("/v1/score", json={**body, "use_activation": False}))
    assert [d["score"] for d in found["data"]] == pytest.approx(logits, abs=1e-5)


@pytest.mark.parametrize(
    "body",
    [
        {"text_1": "a"},
        {"text_1": "a", "queries": "a", "text_2": "b"},
        {"text_1": ["a", "b"], "text_2": ["c", "d", "e"]},
        {"text_1": [], "text_2": "a"},
        {"text_1": "a", "text_2": ["b", ""]},
    ],
)
def test_score_of_texts_that_do_not_match(http, body):
    response = http.post("/v1/score", json=body)
    assert response.status_code == 422
    assert response.json()["error"]["param"].startswith("text_")


def test_the_openai_client(server, model):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=TOKEN, max_retries=0) as client:
        body = {"model": "any", "query": QUESTION, "documents": TEXTS}
        found = client.post("/rerank", body=body, cast_to=object)
        expected = [(i, pytest.approx(sigmoid(s), abs=1e-5)) for i, s in ranked(model, QUESTION, TEXTS)]
        assert [(r["index"], r["relevance_score"]) for r in found["results"]] == expected
        assert [r["document"]["text"] for r in found["results"]] == [TEXTS[i] for i, _ in expected]
        with pytest.raises(openai.UnprocessableEntityError, match="documents") as caught:
            client.post("/rerank", body={"query": "a", "documents": [1]}, cast_to=object)
        assert (caught.value.param, caught.value.type) == ("documents[0]", "invalid")
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.post("/rerank", body=body, cast_to=object)


# Cohere


def test_the_cohere_client(server, model):
    client = cohere.ClientV2(api_key=TOKEN, base_url=server.url)
    found = client.rerank(model="any", query=QUESTION, documents=TEXTS)
    expected = [(i, pytest.approx(sigmoid(s), abs=1e-5)) for i, s in ranked(model, QUESTION, TEXTS)]
    assert [(r.index, r.relevance_score) for r in found.results] == expected
    assert len(client.rerank(model="any", query=QUESTION, documents=TEXTS, top_n=2).results) == 2
    with pytest.raises(cohere.UnprocessableEntityError) as caught:
        client.rerank(model="any", query=QUESTION, documents=["a", ""])
    assert caught.value.body["message"] == "documents[1] is ''; allowed: non-empty text"


def test_the_older_cohere_client(server, model):
    client = cohere.Client(api_key=TOKEN, base_url=server.url)
    found = client.rerank(model="any", query=QUESTION, documents=[{"text": t} for t in TEXTS], return_documents=True)
    expected = [(i, TEXTS[i]) for i, _ in ranked(model, QUESTION, TEXTS)]
    assert [(r.index, r.document.text) for r in found.results] == expected


# OpenRLHF

CHATML = "<|im_start|>system\nYou are kind.<|im_end|>\n<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LLAMA = "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{}<|eot_id|>"
LLAMA += "<|start_header_id|>assistant<|end_header_id|>\n\n"
TEMPLATES = {
    "none": ("{}", ""),
    "sentence marks": ("<s>{}", "</s><pad><pad>"),
    "chatml": (CHATML, "<|im_end|>\n<|endoftext|>"),
    "llama": (LLAMA, "<|eot_id|>"),
    "gemma": ("<bos><start_of_turn>user\n{}<end_of_turn>\n<start_of_turn>model\n", "<end_of_turn>"),
    "deepseek": ("<｜begin▁of▁sentence｜><｜User｜>{}<｜Assistant｜>", "<｜end▁of▁sentence｜>"),
    "mistral": ("<s>[INST] {} [/INST]", "</s>"),
    "zephyr": ("<|system|>\nBe kind.</s>\n<|user|>\n{}</s>\n<|assistant|>\n", "</s>"),
}
SYSTEM = {"chatml": "You are kind.", "zephyr": "Be kind."}


@pytest.mark.parametrize("name", TEMPLATES)
def test_get_reward(http, model, name):
    """The request that `remote_rm` sends: one sample, the query decoded with its special tokens."""
    template, end = TEMPLATES[name]
    prompt = template.format(QUESTION)
    body = {"query": [f"{prompt} {GOOD}{end}"], "prompts": [prompt], "labels": [None]}
    found = given(http.post("/get_reward", json=body))
    user = {"role": "user", "content": QUESTION}
    logit = model.score([{"role": "system", "content": SYSTEM[name]}, user] if name in SYSTEM else QUESTION, GOOD)
    assert found["rewards"] == pytest.approx([logit / 1.5], abs=1e-5)
    assert found["scores"] == pytest.approx([sigmoid(logit / 1.5)], abs=1e-5)
    assert found["extra_logs"] == {}
    if template != "{}":  # where there is markup, the prompt can be told from the answer without help
        del body["prompts"]
        if name != "sentence marks":
            assert given(http.post("/get_reward", json=body))["rewards"] == found["rewards"]


def test_empty_lists_of_a_second_server(http):
    body = {"query": [], "prompts": [], "labels": []}
    assert given(http.post("/get_reward", json=body)) == {"rewards": [], "scores": [], "extra_logs": {}}


def test_an_empty_answer_has_a_reward(http, model):
    body = {"query": [f"{QUESTION}</s>", f"{QUESTION} {GOOD}</s>"], "prompts": [QUESTION] * 2, "labels": ["", ""]}
    found = given(http.post("/get_reward", json=body))
    assert found["rewards"] == pytest.approx([-5.0, model.score(QUESTION, GOOD) / 1.5], abs=1e-5)
    assert found["scores"] == pytest.approx([sigmoid(reward) for reward in found["rewards"]])


def test_the_server_rewards_as_the_file_does_and_pays_nothing_for_length():
    """The default model has a contribution `length`, which people like and a policy would write for."""
    reward = OpenRLHFReward(threads=1)
    prompts = [QUESTION] * 3
    queries = [f"{QUESTION} {GOOD}", f"{QUESTION} {GOOD} {LONG}", f"{QUESTION}</s>"]
    expected = reward(queries, prompts)
    with serving(Bundle.open().folder) as running:
        found = given(running.http.post("/get_reward", json={"query": queries, "prompts": prompts}))
    assert found["rewards"] == pytest.approx(expected["rewards"], abs=1e-4)
    assert found["scores"] == pytest.approx(expected["scores"], abs=1e-4)
    assert abs(expected["extra_logs"]["length"][1]) > 0.01  # so there is something to leave out


def test_dialogues_keep_their_turns():
    turns = "<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\nair<|im_end|>\n"
    prompt = CHATML.format("sky?").replace("<|im_start|>user", turns + "<|im_start|>user")
    question, answer = question_and_answer(prompt + "Because.<|im_end|>", prompt, "query")
    assert [(turn.role, turn.content) for turn in question] == [
        ("system", "You are kind."),
        ("user", "why"),
        ("assistant", "air"),
        ("user", "sky?"),
    ]
    assert answer == "Because."


def test_a_prompt_that_lost_its_beginning():
    prompt = "sky " * 100 + "why?"
    assert question_and_answer(prompt[200:] + " Because.", prompt, "query") == (prompt, "Because.")


def test_marks_inside_an_answer_stay():
    assert question_and_answer("why? <s>wrong</s> right <|im_end|>", "why?", "query")[1] == "wrong</s> right"
    assert question_and_answer("why? The token </s> ends it.", "why?", "query")[1] == "The token </s> ends it."


marks = st.sampled_from(
    ["<|im_start|>", "user\n", "<|im_end|>", "<s>", "</s>", "[INST]", "[/INST]", "<pad>", "why", " "]
)
markup = st.lists(marks | st.text(max_size=3), max_size=12).map("".join)


@settings(max_examples=300, deadline=None)
@drawn(markup, markup)
def test_any_markup_is_read(prompt, answer):
    try:
        question, found = question_and_answer(prompt + answer, prompt, "query")
    except InputError:
        assert not prompt  # where there is one, the query begins with it
        return
    assert isinstance(question, str) or all(turn.content for turn in question)
    assert found == found.strip()
    assert found in answer or not prompt


@settings(max_examples=100, deadline=None)
@drawn(st.text(alphabet="abc d", min_size=1).filter(str.strip), st.text(alphabet="abc d"))
def test_plain_texts_come_apart(prompt, answer):
    assert question_and_answer(prompt + answer, prompt, "query") == (prompt.strip(), answer.strip())


def test_long_runs_of_marks_are_read_at_once():
    """In linear time: with a square of it this would take minutes."""
    for run in ("<pad>" * 50_000, " " * 250_000, "<|" * 100_000, "<|im_start|>user\n" * 10_000):
        question_and_answer(f"why? {run}x{run}", "why?", "query")
        question_and_answer(f"{run}x{run}", run, "query")
