"""What can be wrong with a request, and how each family of clients is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi.responses import JSONResponse

from prefmodel.errors import shown

KINDS = {
    401: "unauthorized",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    422: "invalid",
    500: "internal",
    503: "overloaded",
    504: "timeout",
}


class Problem(Exception):
    """A request that gets an error as its answer.

    Args:
        status: the HTTP status.
        message: names the field, its value and what is allowed.
        field: the place in the request, like `answers[2]`, or None.
        headers: further headers of the answer.
    """

    def __init__(self, status: int, message: str, field: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.field, self.headers = status, message, field, headers
        self.kind = KINDS.get(status, "error")

    def response(self, path: str) -> JSONResponse:
        """Return the answer, in the shape that clients of the endpoint `path` read."""
        return JSONResponse(self.body(path), self.status, self.headers)

    def body(self, path: str) -> dict[str, Any]:
        """Return the JSON of the answer.

        >>> Problem(422, "texts is 1; allowed: a list", "texts").body("/rerank")
        {'error': 'texts is 1; allowed: a list', 'error_type': 'Validation'}
        """
        if path in ("/rerank", "/predict"):  # text-embeddings-inference
            kind = {422: "Validation", 413: "Validation", 503: "Overloaded"}.get(self.status, "Backend")
            return {"error": self.message, "error_type": kind}
        if path.startswith("/v1/"):  # vLLM, and what the OpenAI client reads
            details = {"message": self.message, "type": self.kind, "param": self.field, "code": self.status}
            return {"error": details}
        if path.startswith("/v2/"):  # Cohere
            return {"message": self.message}
        return {"error": {"type": self.kind, "message": self.message, "field": self.field}}


def of_validation(errors: Sequence[Any], body: Any, content_type: str | None = "application/json") -> Problem:
    """Return the problem that a request's body does not fit its schema.

    Of several errors (a value that fits no member of a union has one for each) those that lie deepest in the body are
    told, because they say most.

    Args:
        errors: what pydantic found.
        body: what the request's JSON stands for; bytes where it was not read as JSON, for its content type.
        content_type: the header.

    >>> errors = [{"loc": ("body", "question", "str"), "input": 5, "type": "string_type", "msg": "Input ..."}]
    >>> of_validation(errors, {"question": 5}).message
    'question is 5; Input ...'
    """
    if errors[0]["type"] == "json_invalid":  # its input is an empty object, whatever came
        position, reason = errors[0]["loc"][-1], errors[0]["ctx"]["error"]
        return Problem(422, f"body is no JSON at character {position}: {reason}", "body")
    if isinstance(body, bytes):
        what = "missing" if content_type is None else shown(content_type)
        return Problem(422, f"the header Content-Type is {what}; allowed: application/json", "Content-Type")
    parts = max((_place(error, body) for error in errors), key=len)
    told = [error for error in errors if _place(error, body) == parts]
    field = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).removeprefix(".") or "body"
    what = "missing" if told[0]["type"] == "missing" else shown(told[0].get("input"))
    return Problem(422, f"{field} is {what}; {' or '.join(dict.fromkeys(e['msg'] for e in told))}", field)


def _place(error: Any, body: Any) -> list[int | str]:
    """Return where in the body an error lies, without the names of unions' members that pydantic adds."""
    parts: list[int | str] = []
    node, (_, *path) = body, error["loc"]
    for i, part in enumerate(path):
        in_list = isinstance(node, list) and isinstance(part, int) and part < len(node)
        if in_list or (isinstance(node, dict) and part in node):
            node = node[part]
        elif not (error["type"] == "missing" and i == len(path) - 1):
            continue
        parts.append(part)
    return parts
