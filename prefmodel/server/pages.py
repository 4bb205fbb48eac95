"""What a browser gets: the page and its two files, and a list of the endpoints. None asks another host."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from prefmodel.server.problems import Problem

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}


def router() -> APIRouter:
    """Return the endpoints."""
    routes = APIRouter(include_in_schema=False)

    async def page(request: Request) -> Response:
        name, kind = FILES[request.url.path]
        path = files("prefmodel.server") / "page" / name
        if not path.is_file():
            raise Problem(404, f"{name} is not part of this install")
        return Response(path.read_bytes(), media_type=kind, headers=HEADERS)

    for path in FILES:
        routes.add_api_route(path, page, methods=["GET", "HEAD"])

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        return HTMLResponse(listing(request.app.openapi()), headers=HEADERS)

    return routes


def listing(document: dict[str, Any]) -> str:
    """Return an OpenAPI document as a plain HTML list of its endpoints."""
    rows = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            text = escape(operation.get("description") or operation.get("summary", ""))
            rows.append(f"<dt><code>{method.upper()} {escape(path)}</code></dt><dd>{text}</dd>")
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>'
        f'<body><h1>{title}</h1><p>The schemas of all requests and answers: <a href="/openapi.json">openapi.json</a>.'
        f"</p><dl>{''.join(rows)}</dl></body></html>"
    )
