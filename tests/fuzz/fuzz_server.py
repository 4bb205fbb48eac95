"""Fuzzes the server: mutated bodies to every endpoint of the application, which runs in this process."""

from __future__ import annotations

import asyncio
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

MARKED = "<|im_start|>user\nwhy<|im_end|>\n<|im_start|>assistant\nair<|im_end|>"
SEEDS: dict[str, list[dict[str, Any]]] = {
    "/score": [{"question": "why", "answers": ["a", "\ud800"]}, {"question": [{"role": "user", "content": "why"}]}],
    "/compare": [{"question": "why", "a": "air", "b": "[SEP]"}],
    "/explain": [{"question": "why", "answer": "air"}, {"question": "why", "answer": "air", "other": "\u200b"}],
    "/rerank": [{"query": "why", "texts": ["\udfff", "air"], "return_text": True, "raw_scores": True}],
    "/predict": [{"inputs": ["why", "air"]}, {"inputs": [["why", "air"], ["is", "sky"]]}],
    "/v1/score": [{"text_1": "why", "text_2": ["air"]}, {"queries": ["a", "b"], "documents": "c", "model": "m"}],
    "/v1/rerank": [{"query": "why", "documents": ["a", {"text": "\ud800"}], "top_n": 1}],
    "/v2/rerank": [{"query": "why", "documents": ["a"], "return_documents": True, "use_activation": False}],
    "/get_reward": [{"query": [MARKED]}, {"query": ["why air"], "prompts": ["why"], "labels": [None, 1e9]}],
}
"""Bodies to begin with, by endpoint."""

WORDS = [
    "NaN",
    "-Infinity",
    "1e999",
    "9" * 30,
    "\\\\ud800",
    "\\\\u0000",
    "\\\\uFFFF",
    "null",
    "true",
    '\\"a\\":',
    "[[",
    "{}",
]
WORDS += ["role", "content", "assistant", "system", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "\\xff", "\\xed"]
KINDS = ["application/json"] * 12 + [
    "text/plain",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "",
]
NAMES = sorted(
    {name for bodies in SEEDS.values() for body in bodies for name in body} | {"role", "content", "text", "\ud800"}
)
TEXTS = [*WORDS, MARKED, " ", "\u3000", "\u200b", "\0", "\ud800", "user", "air " * 200, "<|im_start|>assistant\n" * 9]
STATUSES = {200, 400, 422}
"""The others that OpenAPI states cannot come: there is no token, the body is small and here, and nobody else asks."""


def main() -> None:
    """Run until libFuzzer's options in `sys.argv` say to stop; an answer that must not be ends it with an error."""
    import atheris

    with atheris.instrument_imports(include=["prefmodel"]):
        from prefmodel.model import PreferenceModel
        from prefmodel.server.app import create_app
        from prefmodel.server.settings import Settings
    import httpx

    from tests.tiny import build_bundle

    folder = Path(tempfile.mkdtemp(prefix="prefmodel-fuzz-"))
    paths = list(SEEDS)
    app = create_app(PreferenceModel.from_pretrained(build_bundle(folder / "tiny"), threads=1), Settings(wait_ms=0))
    loop = asyncio.new_event_loop()
    lifespan = app.router.lifespan_context(app)
    loop.run_until_complete(lifespan.__aenter__())
    # A mistake in the application is raised here, and not told as a 500.
    http = httpx.AsyncClient(transport=httpx.ASGITransport(app, raise_app_exceptions=True), base_url="http://fuzz")

    def drawn(data: atheris.FuzzedDataProvider, depth: int = 0) -> Any:
        kind = data.ConsumeIntInRange(0, 9 if depth < 4 else 6)
        if kind < 4:
            return data.PickValueInList(TEXTS) if kind == 0 else data.ConsumeUnicode(data.ConsumeIntInRange(0, 30))
        if kind < 7:
            return [None, data.ConsumeFloat(), data.ConsumeInt(9)][kind - 4]
        items = [drawn(data, depth + 1) for _ in range(data.ConsumeIntInRange(0, 4))]
        return items if kind < 9 else {data.PickValueInList(NAMES): item for item in items}

    def drawn_body(path: str, data: atheris.FuzzedDataProvider) -> bytes:
        """Return a seed of the endpoint with other values in some of its fields, and at times another field."""
        body = dict(data.PickValueInList(SEEDS[path]))
        for name in [*body, data.PickValueInList(NAMES)]:
            if data.ConsumeIntInRange(0, 3) == 0:
                body[name] = drawn(data)
        return json.dumps(body).encode()

    def one_input(content: bytes) -> None:
        if len(content) < 2:
            return
        path, kind, body = paths[content[0] % len(paths)], KINDS[content[1] // 2 % len(KINDS)], content[2:]
        if content[1] % 2:
            body = drawn_body(path, atheris.FuzzedDataProvider(body))
        answer = loop.run_until_complete(http.post(path, content=body, headers={"Content-Type": kind}))
        assert answer.status_code in STATUSES, (path, body, answer.status_code, answer.text)
        for number in numbers(json.loads(answer.content, parse_constant=refused)):
            assert math.isfinite(number)

    seeds = folder / "seeds"
    seeds.mkdir()
    for number, path in enumerate(paths):
        for i, seed in enumerate(SEEDS[path]):
            (seeds / f"{number}-{i}").write_bytes(bytes([number, 0]) + json.dumps(seed).encode())
        (seeds / f"{number}-drawn").write_bytes(bytes([number, 1, *range(100)]))
    (folder / "words").write_text("".join(f'"{word}"\n' for word in WORDS))
    atheris.Setup([*sys.argv, f"-dict={folder / 'words'}", str(seeds)], one_input)
    atheris.Fuzz()


def numbers(value: Any) -> list[float]:
    """Return all numbers in a JSON value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def refused(constant: str) -> float:
    """Refuse NaN and the infinities, which JSON does not have."""
    raise AssertionError(f"the answer holds {constant}")


if __name__ == "__main__":
    main()
