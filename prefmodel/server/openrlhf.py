"""The endpoint that OpenRLHF asks for rewards: /get_reward."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from prefmodel.errors import InputError, shown
from prefmodel.rewards.markup import answer_after, question_in
from prefmodel.rewards.scorer import without_length
from prefmodel.rewards.shaping import EMPTY
from prefmodel.server.batcher import Batcher
from prefmodel.server.checks import check_count, check_length, checked_question, checked_text
from prefmodel.server.problems import Problem
from prefmodel.server.schemas import Many, OurError, errors, sigmoid, tell_cuts
from prefmodel.server.settings import Settings
from prefmodel.types import Question


class RewardRequest(BaseModel):
    """What `remote_rm` sends: `query` is prompt and answer in one text, special tokens included."""

    query: Many[str]
    prompts: Many[str] | None = Field(
        default=None,
        description="With chat markup or without. Where it is left out, the query's last turn is the answer.",
    )
    labels: list[Any] | None = Field(default=None, description="Accepted and not used: the model needs none.")


class RewardResponse(BaseModel):
    """The rewards, in the order of the queries."""

    rewards: list[float] = Field(
        description="The logit without the contribution `length`, over the temperature: a log-odds, as "
        f"`RewardConfig()` gives. An answer without text has {EMPTY:g}."
    )
    scores: list[float] = Field(description="The sigmoid of the reward, 0 to 1.")
    extra_logs: dict[str, Any] = Field(default={}, description="Empty: trainers turn each value into a tensor.")


def router(batcher: Batcher, settings: Settings) -> APIRouter:
    """Return the endpoint."""
    routes = APIRouter(tags=["OpenRLHF"], responses=errors(OurError))

    @routes.post("/get_reward")
    async def get_reward(body: RewardRequest, response: Response) -> RewardResponse:
        """Score the answers of an RL trainer. Gives the rewards of `prefmodel.rewards`, and sigmoids as scores."""
        check_count(len(body.query), "query", settings)
        prompts = [""] * len(body.query) if body.prompts is None else body.prompts
        if len(prompts) != len(body.query):
            message = f"prompts has {len(prompts)} items; allowed: {len(body.query)}, as query has, or none"
            raise Problem(422, message, "prompts")
        # A policy may end at once, and the trainer needs a number for it: a floor. To score "…" in its place would put
        # silence above many a poor answer.
        rewards = [EMPTY] * len(body.query)
        questions, answers, places = [], [], []
        for i, (query, prompt) in enumerate(zip(body.query, prompts, strict=True)):
            field = f"prompts[{i}]" if body.prompts is not None else f"query[{i}]"
            # A question and an answer; before they are taken apart, which takes a second for a body full of markup.
            check_length(len(prompt), field, settings, texts=2)
            check_length(len(query), f"query[{i}]", settings, texts=2)
            try:
                question, answer = question_and_answer(query, prompt, f"query[{i}]")
            except InputError as error:
                raise Problem(422, str(error), f"query[{i}]") from None
            checked = checked_question(question, field, settings)
            if answer:
                questions.append(checked)
                answers.append(checked_text(answer, f"query[{i}]", settings))
                places.append(i)
        scored = await batcher.score(questions, answers)
        tell_cuts(scored, response)
        # A policy that is paid for length learns to write it.
        shaped = without_length(scored, batcher.bundle).astype(np.float64) / batcher.bundle.temperature
        for i, reward in zip(places, shaped.tolist(), strict=True):
            rewards[i] = reward
        return RewardResponse(rewards=rewards, scores=[sigmoid(reward) for reward in rewards])

    return routes


def question_and_answer(query: str, prompt: str, field: str) -> tuple[Question, str]:
    """Return the question and the answer that a text of OpenRLHF is made of, both without chat markup.

    Args:
        query: prompt and answer, decoded with special tokens.
        prompt: the prompt, or "" where it is not known; the answer is then the query's last turn.
        field: what an error text calls the query.

    Raises:
        InputError: the query does not begin with the prompt, or without a prompt has no markup to tell it by.

    >>> question_and_answer("<s>Why? Because.</s>", "Why?", "query[0]")
    ('Why?', 'Because.')
    >>> prompt = "<|im_start|>user\\nWhy?<|im_end|>\\n<|im_start|>assistant\\n"
    >>> question_and_answer(prompt + "Because.<|im_end|>", "", "query[0]")
    ((Message(role='user', content='Why?'),), 'Because.')
    """
    if prompt:
        return question_in(prompt), answer_after(prompt, query, field)
    turns = question_in(query)
    if isinstance(turns, str):
        raise InputError(f"{field} is {shown(query)}; allowed: with prompts, or with chat markup")
    if turns and turns[-1].role == "assistant":
        return turns[:-1], turns[-1].content
    return turns, ""
