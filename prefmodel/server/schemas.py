"""Parts of requests and answers that several endpoints share."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, TypeVar

import numpy as np
from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field

from prefmodel.model import Scores

LOGIT = "A raw logit: higher is better, comparable within a question."
SIGMOID = "The sigmoid of the logit, 0 to 1: higher is better, comparable within a question. It is no probability."
CUT_HEADER = "X-Prefmodel-Cut"

T = TypeVar("T")
Many = Annotated[list[T], Field(fail_fast=True)]
"""A list, of which the first wrong item is told. Two million wrong ones, which a body may hold, would take a minute."""


class Turn(BaseModel):
    """One turn of a dialogue."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


class Own(BaseModel):
    """A request of our own: a field that we do not know is a mistake that we tell."""

    model_config = ConfigDict(extra="forbid")

    question: str | Many[Turn] = Field(description="Text, or the turns of one dialogue.")

    def asked(self) -> str | list[dict[str, Any]]:
        """Return the question as `prefmodel` takes it."""
        return self.question if isinstance(self.question, str) else [turn.model_dump() for turn in self.question]


class Ours(BaseModel):
    """What is wrong with a request."""

    type: str
    message: str = Field(description="Names the field, its value and what is allowed.")
    field: str | None = Field(description="The place in the request, like answers[2].")


class OurError(BaseModel):
    """The answer to a request that cannot be served."""

    error: Ours


class TeiError(BaseModel):
    """The answer to a request that cannot be served, as text-embeddings-inference gives it."""

    error: str
    error_type: str


class OpenAIDetails(BaseModel):
    """What is wrong with a request."""

    message: str
    type: str
    param: str | None
    code: int


class OpenAIError(BaseModel):
    """The answer to a request that cannot be served, as vLLM gives it and the OpenAI client reads it."""

    error: OpenAIDetails


class CohereError(BaseModel):
    """The answer to a request that cannot be served, as Cohere gives it."""

    message: str


def errors(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """Return what OpenAPI says about the errors of an endpoint, all in the shape of `model`."""
    told = {
        400: "The body cannot be parsed.",
        401: "The bearer token is missing or wrong, where the server has one.",
        408: "The body came too slowly.",
        413: "The body is too large.",
        422: "The request does not fit the schema or a limit; the message names the field.",
        500: "Scoring failed.",
        503: "Too much is waiting, or the server shuts down. Retry-After says in how many seconds to try again.",
        504: "It took too long.",
    }
    return {status: {"model": model, "description": text} for status, text in told.items()}


def sigmoid(logit: float) -> float:
    """Return 1 / (1 + exp(-logit)).

    >>> sigmoid(0.0), sigmoid(-1000.0)
    (0.5, 0.0)
    """
    return 0.5 * (1.0 + math.tanh(logit / 2.0))  # in this form it cannot overflow


def best_first(scores: Scores) -> list[int]:
    """Return the indices of rows, best first; equal ones keep their order."""
    return [int(i) for i in np.argsort(-scores.scores, kind="stable")]


def tell_cuts(scores: Scores, response: Response) -> None:
    """Tell in a header how many rows were cut, where the answer's schema, being a peer's, has no field for it."""
    response.headers[CUT_HEADER] = str(int(((scores.question_cut > 0) | (scores.answer_cut > 0)).sum()))
