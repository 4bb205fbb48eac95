"""Our own endpoints: /score, /compare, /explain."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field

from prefmodel.server.batcher import Batcher
from prefmodel.server.checks import checked_question, checked_text, checked_texts
from prefmodel.server.schemas import LOGIT, Many, OurError, Own, errors, sigmoid
from prefmodel.server.settings import Settings


class ScoreRequest(Own):
    """Answers to one question."""

    answers: Many[str]


class ScoreResponse(BaseModel):
    """The scores of answers, in the order of the answers."""

    scores: list[float] = Field(description=LOGIT)
    question_cut: list[int] = Field(description="Tokens of the question that the model did not see, by answer.")
    answer_cut: list[int] = Field(description="Tokens of each answer that the model did not see.")
    unit: Literal["logit"] = "logit"


class CompareRequest(Own):
    """Two answers to one question."""

    a: str
    b: str


class CompareResponse(BaseModel):
    """Which of two answers is better."""

    probability: float = Field(description="That a is better than b: sigmoid((scores[0] - scores[1]) / temperature).")
    scores: list[float] = Field(description=f"Of a and of b. {LOGIT}")
    temperature: float = Field(description="In logits.")


class ExplainRequest(Own):
    """An answer to explain, alone or beside another one."""

    answer: str
    other: str | None = Field(default=None, description="With it, contributions are differences, answer - other.")


class ExplainResponse(BaseModel):
    """The parts of an answer's score, or of its lead over another answer."""

    score: float = Field(description=LOGIT)
    contributions: dict[str, float] = Field(description="Logits. They sum to score, or to score - other_score.")
    experimental: list[str] = Field(
        description="Contributions not shown to tell best on held-out pairs of their principle."
    )
    question_cut: int = Field(description="Tokens of the question that the model did not see.")
    answer_cut: int = Field(description="Tokens of the answer that the model did not see.")
    other_score: float | None = Field(default=None, description=LOGIT)
    other_cut: int | None = Field(default=None, description="Tokens of the other answer that the model did not see.")
    probability: float | None = Field(default=None, description="That the answer is better than the other, 0 to 1.")


def router(batcher: Batcher, settings: Settings) -> APIRouter:
    """Return the endpoints."""
    bundle = batcher.bundle
    routes = APIRouter(tags=["prefmodel"], responses=errors(OurError))

    @routes.post("/score")
    async def score(body: ScoreRequest) -> ScoreResponse:
        """Score answers to one question. Gives logits."""
        question = checked_question(body.asked(), "question", settings)
        answers = checked_texts(body.answers, "answers", settings)
        scored = await batcher.score([question] * len(answers), answers)
        return ScoreResponse(
            scores=scored.scores.tolist(),
            question_cut=scored.question_cut.tolist(),
            answer_cut=scored.answer_cut.tolist(),
        )

    @routes.post("/compare")
    async def compare(body: CompareRequest) -> CompareResponse:
        """Compare two answers. Gives a calibrated probability, and both logits."""
        question = checked_question(body.asked(), "question", settings)
        answers = [checked_text(body.a, "a", settings), checked_text(body.b, "b", settings)]
        first, second = (await batcher.score([question] * 2, answers)).scores.tolist()
        probability = sigmoid((first - second) / bundle.temperature)
        return CompareResponse(probability=probability, scores=[first, second], temperature=bundle.temperature)

    @routes.post("/explain", response_model_exclude_none=True)
    async def explain(body: ExplainRequest) -> ExplainResponse:
        """Explain a score, or the lead over another answer. Gives logits, and with another answer a probability."""
        question = checked_question(body.asked(), "question", settings)
        answers = [checked_text(body.answer, "answer", settings)]
        if body.other is not None:
            answers.append(checked_text(body.other, "other", settings))
        scored = await batcher.score([question] * len(answers), answers)
        parts, scores = scored.contributions[0], scored.scores.tolist()
        told = ExplainResponse(
            score=scores[0],
            contributions={},
            experimental=list(bundle.experimental),
            question_cut=int(scored.question_cut[0]),
            answer_cut=int(scored.answer_cut[0]),
        )
        if body.other is not None:
            parts = parts - scored.contributions[1]
            told.other_score, told.other_cut = scores[1], int(scored.answer_cut[1])
            told.probability = sigmoid((scores[0] - scores[1]) / bundle.temperature)
        told.contributions = dict(zip(bundle.contributions, parts.tolist(), strict=True))
        return told

    return routes
