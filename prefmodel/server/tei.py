"""The endpoints of text-embeddings-inference: /rerank, /predict."""

from __future__ import annotations

import json

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from prefmodel.bundle import Bundle
from prefmodel.encoding import encodable
from prefmodel.errors import shown
from prefmodel.server.batcher import Batcher
from prefmodel.server.checks import check_count, checked_question, checked_text, checked_texts
from prefmodel.server.problems import Problem
from prefmodel.server.schemas import LOGIT, SIGMOID, Many, TeiError, best_first, errors, sigmoid, tell_cuts
from prefmodel.server.settings import Settings

SCORE = f"{SIGMOID} With raw_scores: {LOGIT[0].lower()}{LOGIT[1:]}"
TRUNCATE = "Accepted and not used: what does not fit is always cut, and the header X-Prefmodel-Cut counts it."


class RerankRequest(BaseModel):
    """Texts to rank by how well they answer a query."""

    query: str
    texts: Many[str] = Field(min_length=1)
    raw_scores: bool = Field(default=False, description="Give logits in place of their sigmoid.")
    return_text: bool = False
    truncate: bool = Field(default=False, description=TRUNCATE)


class Rank(BaseModel):
    """One text of a ranking."""

    index: int
    score: float = Field(description=SCORE)
    text: str | None = None


class PredictRequest(BaseModel):
    """One pair of a question and an answer, or a list of pairs."""

    inputs: str | Many[str] | Many[Many[str]] = Field(
        description="[question, answer], or a list of those. A text alone is refused: a reward needs both."
    )
    raw_scores: bool = Field(default=False, description="Give logits in place of their sigmoid.")
    truncate: bool = Field(default=False, description=TRUNCATE)


class Prediction(BaseModel):
    """The score of one pair."""

    score: float = Field(description=SCORE)
    label: str


def router(batcher: Batcher, settings: Settings) -> APIRouter:
    """Return the endpoints."""
    label = _label(batcher.bundle)
    routes = APIRouter(tags=["text-embeddings-inference"], responses=errors(TeiError))

    @routes.post("/rerank", response_model_exclude_none=True)
    async def rerank(body: RerankRequest, response: Response) -> list[Rank]:
        """Rank texts, best first. Gives sigmoids, or with raw_scores logits."""
        query = checked_question(body.query, "query", settings)
        texts = checked_texts(body.texts, "texts", settings)
        scored = await batcher.score([query] * len(texts), texts)
        tell_cuts(scored, response)
        values = _values(scored.scores.tolist(), body.raw_scores)
        told = [encodable(text) if body.return_text else None for text in texts]
        return [Rank(index=i, score=values[i], text=told[i]) for i in best_first(scored)]

    @routes.post("/predict")
    async def predict(body: PredictRequest, response: Response) -> list[Prediction] | list[list[Prediction]]:
        """Score pairs of a question and an answer. Gives sigmoids, or with raw_scores logits."""
        pairs, single = _pairs(body.inputs)
        check_count(len(pairs), "inputs", settings, least=1)
        fields = ["inputs" if single else f"inputs[{i}]" for i in range(len(pairs))]
        for pair, field in zip(pairs, fields, strict=True):
            if len(pair) != 2:
                raise Problem(422, f"{field} is {shown(pair)}; allowed: a question and an answer", field)
        questions = [checked_question(q, f"{f}[0]", settings) for (q, _), f in zip(pairs, fields, strict=True)]
        answers = [checked_text(a, f"{f}[1]", settings) for (_, a), f in zip(pairs, fields, strict=True)]
        scored = await batcher.score(questions, answers)
        tell_cuts(scored, response)
        values = _values(scored.scores.tolist(), body.raw_scores)
        predictions = [[Prediction(score=value, label=label)] for value in values]
        return predictions[0] if single else predictions

    return routes


def _pairs(inputs: str | list[str] | list[list[str]]) -> tuple[list[list[str]], bool]:
    """Return the pairs, and whether it was one that stood alone."""
    if isinstance(inputs, str):
        return [[inputs]], True
    pairs = [item for item in inputs if isinstance(item, list)]
    if len(pairs) == len(inputs):
        return pairs, False
    return [[item for item in inputs if isinstance(item, str)]], True


def _values(logits: list[float], raw: bool) -> list[float]:
    return logits if raw else [sigmoid(logit) for logit in logits]


def _label(bundle: Bundle) -> str:
    """Return the name that the bundle's config.json gives the score, as text-embeddings-inference would tell it."""
    labels = json.loads((bundle.folder / "config.json").read_bytes()).get("id2label")
    return str(labels.get("0", "LABEL_0")) if isinstance(labels, dict) else "LABEL_0"
