"""The endpoints of vLLM and Cohere: /v1/score, /v1/rerank, /v2/rerank."""

from __future__ import annotations

import time
import uuid
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from prefmodel.encoding import encodable
from prefmodel.server.batcher import Batcher
from prefmodel.server.checks import check_count, checked_question, checked_text, checked_texts
from prefmodel.server.problems import Problem
from prefmodel.server.schemas import (
    LOGIT,
    SIGMOID,
    CohereError,
    Many,
    OpenAIError,
    best_first,
    errors,
    sigmoid,
    tell_cuts,
)
from prefmodel.server.settings import Settings

# vLLM applies a sigmoid to a cross-encoder with one label unless the request says use_activation: false, and Cohere
# documents relevance scores of 0 to 1; so do we.
SCORE = f"{SIGMOID} With use_activation false: {LOGIT[0].lower()}{LOGIT[1:]}"
MODEL = "Accepted and not used: the server has one model."


class Common(BaseModel):
    """What these requests share."""

    model: str | None = Field(default=None, description=MODEL)
    use_activation: bool | None = Field(default=None, description="False gives logits in place of their sigmoid.")


class PairsRequest(Common):
    """Texts to score in pairs. One text goes with all of the other side."""

    text_1: str | Many[str] | None = Field(default=None, description="Questions; the same as queries.")
    text_2: str | Many[str] | None = Field(default=None, description="Answers; the same as documents.")
    queries: str | Many[str] | None = Field(default=None, description="Questions; the same as text_1.")
    documents: str | Many[str] | None = Field(default=None, description="Answers; the same as text_2.")


class Usage(BaseModel):
    """Tokens, estimated from the length of the texts."""

    prompt_tokens: int
    total_tokens: int


class PairScore(BaseModel):
    """The score of one pair."""

    index: int
    object: Literal["score"] = "score"
    score: float = Field(description=SCORE)


class PairsResponse(BaseModel):
    """The scores of pairs, in their order."""

    id: str
    object: Literal["list"] = "list"
    created: int
    model: str
    data: list[PairScore]
    usage: Usage


class Document(BaseModel):
    """A text."""

    text: str


class RerankRequest(Common):
    """Documents to rank by how well they answer a query."""

    query: str
    documents: Many[str | Document] = Field(min_length=1)
    top_n: int | None = Field(default=None, description="Give only so many; by default, or with 0 or less, all.")
    return_documents: bool = Field(default=True, description="Whether results hold the documents.")


class RerankResult(BaseModel):
    """One document of a ranking."""

    index: int
    document: Document | None = None
    relevance_score: float = Field(description=SCORE)


class RerankResponse(BaseModel):
    """The ranking, best first."""

    id: str
    model: str
    usage: Usage
    results: list[RerankResult]
    meta: dict[str, Any] = Field(description="As Cohere has it: the version of the interface.")


def router(batcher: Batcher, settings: Settings) -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter()

    @routes.post("/v1/score", tags=["vLLM"], responses=errors(OpenAIError))
    async def score(body: PairsRequest, response: Response) -> PairsResponse:
        """Score pairs of a question and an answer. Gives sigmoids, or with use_activation false logits."""
        first, first_texts = _one_of(body, "text_1", "queries")
        second, second_texts = _one_of(body, "text_2", "documents")
        check_count(len(first_texts), first, settings, least=1)
        check_count(len(second_texts), second, settings, least=1)
        questions = [checked_question(t, f"{first}[{i}]", settings) for i, t in enumerate(first_texts)]
        answers = [checked_text(t, f"{second}[{i}]", settings) for i, t in enumerate(second_texts)]
        if len(questions) == 1:
            questions = questions * len(answers)
        elif len(answers) == 1:
            answers = answers * len(questions)
        if len(questions) != len(answers):
            message = f"{first} has {len(questions)} items and {second} {len(answers)}; allowed: equally many, or one"
            raise Problem(422, message, first)
        scored = await batcher.score(questions, answers)
        tell_cuts(scored, response)
        tokens = sum(batcher.cost(q, a) for q, a in zip(questions, answers, strict=True))
        values = _values(scored.scores.tolist(), body)
        return PairsResponse(
            id=f"score-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=settings.model_name,
            data=[PairScore(index=i, score=value) for i, value in enumerate(values)],
            usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
        )

    async def rerank(body: RerankRequest, response: Response) -> RerankResponse:
        """Rank documents, best first. Gives sigmoids, or with use_activation false logits."""
        query = checked_question(body.query, "query", settings)
        texts = [document if isinstance(document, str) else document.text for document in body.documents]
        texts = checked_texts(texts, "documents", settings)
        scored = await batcher.score([query] * len(texts), texts)
        tell_cuts(scored, response)
        values = _values(scored.scores.tolist(), body)
        order = best_first(scored)
        if body.top_n is not None and body.top_n > 0:
            order = order[: body.top_n]
        documents = [Document(text=encodable(text)) if body.return_documents else None for text in texts]
        tokens = sum(batcher.cost(query, text) for text in texts)
        return RerankResponse(
            id=f"rerank-{uuid.uuid4().hex}",
            model=settings.model_name,
            usage=Usage(prompt_tokens=tokens, total_tokens=tokens),
            results=[RerankResult(index=i, document=documents[i], relevance_score=values[i]) for i in order],
            meta={"api_version": {"version": "2"}},
        )

    kinds: list[tuple[str, str, type[BaseModel]]] = [
        ("/v1/rerank", "vLLM", OpenAIError),
        ("/v2/rerank", "Cohere", CohereError),
    ]
    for path, tag, error in kinds:
        routes.add_api_route(
            path,
            rerank,
            methods=["POST"],
            tags=[tag],
            responses=errors(error),
            response_model_exclude_none=True,
        )
    return routes


def _one_of(body: PairsRequest, name: str, other: str) -> tuple[str, list[str]]:
    """Return the name and the texts of whichever of two fields was given."""
    given = [(field, value) for field in (name, other) if (value := getattr(body, field)) is not None]
    if len(given) != 1:
        found = "missing" if not given else "there twice"
        raise Problem(422, f"{name} is {found}; allowed: one of {name} and {other}", name)
    field, value = given[0]
    return field, [value] if isinstance(value, str) else value


def _values(logits: list[float], body: Common) -> list[float]:
    return logits if body.use_activation is False else [sigmoid(logit) for logit in logits]
