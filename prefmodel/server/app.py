"""The application: all endpoints around one model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException

import prefmodel
from prefmodel.model import PreferenceModel
from prefmodel.server import openai_style, openrlhf, own, pages, tei
from prefmodel.server.batcher import Batcher
from prefmodel.server.gate import Gate
from prefmodel.server.metrics import CONTENT_TYPE, Measured, Metrics
from prefmodel.server.problems import Problem, of_validation
from prefmodel.server.schemas import OurError, errors
from prefmodel.server.settings import Settings

DESCRIPTION = """
Scores are raw logits, or their sigmoid; each schema says which. Both are higher for a better answer and comparable
within a question. Probabilities of one answer being better than another are given by `/compare` and `/explain` alone.
"""


class Info(BaseModel):
    """What the server serves, and what it allows."""

    model: str
    version: str
    contributions: list[str]
    experimental: list[str]
    temperature: float
    max_tokens: int
    question_tokens: int
    precision: str
    limits: dict[str, int | float]


class State(BaseModel):
    """How the server is."""

    status: str


def create_app(model: PreferenceModel, settings: Settings | None = None) -> FastAPI:
    """Return the application that serves a model.

    Its `state.batcher` is the queue; setting `state.draining` makes answers tell clients to leave and /ready say 503.

    Args:
        model: a loaded model.
        settings: limits, the token; by default those of `Settings`.

    Example:
        >>> app = create_app(PreferenceModel.from_pretrained())
        >>> sorted(path for path in app.openapi()["paths"] if path.startswith("/v"))
        ['/v1/rerank', '/v1/score', '/v2/rerank']
    """
    settings = settings or Settings()
    metrics = Metrics()
    batcher = Batcher(model, settings, metrics)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await batcher.start()
        try:
            yield
        finally:
            await batcher.close()

    app = FastAPI(
        title="prefmodel",
        version=prefmodel.__version__,
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,  # FastAPI's pages load scripts from another host
        redoc_url=None,
    )
    app.state.batcher, app.state.draining = batcher, False
    for router in (own.router, tei.router, openai_style.router, openrlhf.router):
        app.include_router(router(batcher, settings))
    app.include_router(pages.router())
    _add_facts(app, model, settings, metrics)
    _add_errors(app)
    _add_security(app, settings)
    endpoints = frozenset({*app.openapi()["paths"], "/", "/docs"})
    app.add_middleware(
        Gate, settings=settings, check_room=batcher.check_room, draining=lambda: bool(app.state.draining)
    )
    app.add_middleware(Measured, metrics=metrics, endpoints=endpoints)
    return app


def _add_facts(app: FastAPI, model: PreferenceModel, settings: Settings, metrics: Metrics) -> None:
    bundle = model.bundle
    info = Info(
        model=settings.model_name,
        version=prefmodel.__version__,
        contributions=list(bundle.contributions),
        experimental=list(bundle.experimental),
        temperature=bundle.temperature,
        max_tokens=bundle.encoding.max_tokens,
        question_tokens=bundle.encoding.question_tokens,
        precision=bundle.precision,
        limits=settings.limits,
    )
    told = errors(OurError)
    unready: dict[int | str, dict[str, Any]] = {503: told[503]}

    @app.get("/health", tags=["state"], responses=unready)
    async def health() -> State:
        """Say whether the process works; where it does not, it has to be started again."""
        if not app.state.batcher.alive:
            raise Problem(503, "the scoring queue has ended")
        return State(status="ok")

    @app.get("/ready", tags=["state"], responses=unready)
    async def ready() -> State:
        """Say whether to send requests: not while the server shuts down, and not while its queue is full."""
        if app.state.draining:
            raise Problem(503, "the server is shutting down")
        app.state.batcher.check_room()
        return await health()

    @app.get("/info", tags=["state"], responses={401: told[401]})
    async def facts() -> Info:
        """Tell what the model is and what the server allows."""
        return info

    @app.get("/metrics", tags=["state"], responses={401: told[401]}, response_class=Response)
    async def counters() -> Response:
        """Give the counters of all workers, for Prometheus."""
        return Response(metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(Problem)
    async def of_ours(request: Request, error: Problem) -> Response:
        return error.response(request.url.path)

    @app.exception_handler(RequestValidationError)
    async def of_schema(request: Request, error: RequestValidationError) -> Response:
        told = of_validation(error.errors(), error.body, request.headers.get("Content-Type"))
        return told.response(request.url.path)

    @app.exception_handler(HTTPException)
    async def of_http(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}"
        headers = dict(error.headers) if error.headers else None
        return Problem(error.status_code, message, headers=headers).response(request.url.path)

    @app.exception_handler(Exception)
    async def of_a_mistake(request: Request, error: Exception) -> Response:
        # The log has the traceback; a client has no use for it.
        return Problem(500, "the request failed; the server's log says why").response(request.url.path)


def _add_security(app: FastAPI, settings: Settings) -> None:
    """Say in OpenAPI that there is a token to send, where there is one."""
    if settings.token is not None:
        document = app.openapi()  # built once and kept by FastAPI
        schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
        schemes["bearer"] = {"type": "http", "scheme": "bearer"}
        document["security"] = [{"bearer": []}]
