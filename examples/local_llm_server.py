"""Serve a language model of transformers on this machine as an OpenAI-compatible API; see local_llm.md.

python examples/local_llm_server.py MODEL --port 8080

Requests that come together are answered together, in one batch: on a CPU that is several times as fast as one by one.
What their prompts have in common at their beginning is read once.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import takewhile
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, DynamicCache

CANDIDATES = 64
"""Likeliest tokens that one is drawn from."""
GATHER_SECONDS = 0.05
"""How long the first request of a batch waits for others."""


@dataclass(eq=False)
class Job:
    """One request: what is asked, and what becomes of it."""

    tokens: list[int]
    max_tokens: int
    temperature: float
    top_p: float
    random: random.Random
    answer: list[int] = field(default_factory=list)
    finish: str = "length"
    error: str = ""
    done: threading.Event = field(default_factory=threading.Event)


class TooLong(Exception):
    """A prompt and the answer that may come do not fit the model."""


def number(device: str) -> torch.dtype:
    """Return bfloat16, or float32 for a CPU that has no instructions for it and would take a hundred times as long."""
    able = getattr(torch.cpu, "get_capabilities", dict)()  # older releases of torch do not tell
    fast = device != "cpu" or able.get("avx512_bf16") or able.get("amx_bf16")
    return torch.bfloat16 if fast else torch.float32


class Model:
    """A causal language model that answers batches of jobs."""

    def __init__(self, name: str, threads: int | None):
        if threads:
            torch.set_num_threads(threads)
        self.tokenizer = AutoTokenizer.from_pretrained(name)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network = AutoModelForCausalLM.from_pretrained(name, dtype=number(self.device)).eval().to(self.device)
        ends = self.network.generation_config.eos_token_id
        self.ends = {*(ends if isinstance(ends, list) else [ends]), self.tokenizer.eos_token_id}
        self.most = self.network.config.max_position_embeddings

    def job(self, body: dict[str, Any]) -> Job:
        """Return the job of a request's body; raise TooLong for one that does not fit."""
        tokens = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, return_dict=False)
        max_tokens = int(body.get("max_tokens") or body.get("max_completion_tokens") or 256)
        if len(tokens) + max_tokens > self.most:
            raise TooLong(f"{len(tokens)} tokens and {max_tokens} to come are more than the {self.most} allowed")
        settings = [float(body.get(name, 1.0)) for name in ("temperature", "top_p")]
        return Job(tokens, max_tokens, *settings, random.Random(body.get("seed")))

    @torch.inference_mode()
    def answer(self, jobs: list[Job]) -> None:
        """Fill in the answers of n jobs. A job that is finished leaves the batch."""
        common = min(shared(jobs), min(len(job.tokens) for job in jobs) - 1)
        cache = DynamicCache(config=self.network.config)
        if common:  # what all prompts begin with, such as a worked example, is read once
            prefix = torch.tensor([jobs[0].tokens[:common]], device=self.device)
            self.network(prefix, past_key_values=cache, logits_to_keep=1)
            cache.batch_repeat_interleave(len(jobs))
        width = max(len(job.tokens) for job in jobs)
        ids = torch.zeros(len(jobs), width - common, dtype=torch.long, device=self.device)
        mask = torch.zeros(len(jobs), width, dtype=torch.long, device=self.device)
        mask[:, :common] = 1
        for row, job in enumerate(jobs):  # padding on the left, so that all answers begin in one column
            own = job.tokens[common:]
            ids[row, -len(own) :] = torch.tensor(own)
            mask[row, -len(own) :] = 1
        positions = (mask.cumsum(1) - 1)[:, common:].clamp(min=0)
        while jobs:
            output = self.network(
                ids, attention_mask=mask, position_ids=positions, past_key_values=cache, logits_to_keep=1
            )
            drawn = self.draw(output.logits[:, -1].float(), jobs)
            staying = []
            for row, (job, token) in enumerate(zip(jobs, drawn, strict=True)):
                if token in self.ends:
                    job.finish = "stop"
                else:
                    job.answer.append(token)
                if job.finish == "stop" or len(job.answer) == job.max_tokens:
                    job.done.set()
                else:
                    staying.append(row)
            if len(staying) < len(jobs):
                jobs = [jobs[row] for row in staying]
                drawn = [drawn[row] for row in staying]
                rows = torch.tensor(staying, dtype=torch.long, device=self.device)
                cache.batch_select_indices(rows)
                mask, positions = mask[rows], positions[rows]
            ids = torch.tensor(drawn, dtype=torch.long, device=self.device)[:, None]
            mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
            positions = positions[:, -1:] + 1

    @staticmethod
    def draw(logits: torch.Tensor, jobs: list[Job]) -> list[int]:
        """Return a token for each row of logits [n, vocabulary], drawn as its job asks."""
        best, tokens = logits.topk(min(CANDIDATES, logits.shape[1]))
        heat = torch.tensor([max(job.temperature, 1e-4) for job in jobs], device=logits.device)[:, None]
        chances = (best / heat).softmax(dim=1)
        top_p = torch.tensor([job.top_p for job in jobs], device=logits.device)[:, None]
        chances[chances.cumsum(1) - chances >= top_p] = 0.0  # the likeliest one always stays
        reached = chances.cumsum(1)
        at = torch.tensor([job.random.random() for job in jobs], device=logits.device)[:, None] * reached[:, -1:]
        places = (reached <= at).sum(1, keepdim=True).clamp(max=tokens.shape[1] - 1)
        return tokens.gather(1, places)[:, 0].tolist()


def shared(jobs: list[Job]) -> int:
    """Return how many tokens all prompts begin with."""
    columns = zip(*(job.tokens for job in jobs), strict=False)
    return sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))


def work(model: Model, waiting: queue.Queue[Job], batch: int) -> None:
    """Answer what waits, batch by batch, for ever: the one that waits longest with those that begin most like it."""
    pending: list[Job] = []
    while True:
        pending = pending or [waiting.get()]
        due = time.monotonic() + GATHER_SECONDS
        while (left := due - time.monotonic()) > 0 or not waiting.empty():
            try:
                pending.append(waiting.get(timeout=max(left, 0.001)))
            except queue.Empty:
                break
        alike = sorted(pending, key=lambda job: -shared([pending[0], job]))  # keeps the order of those that tie
        jobs = alike[:batch]
        pending = [job for job in pending if job not in jobs]
        began = time.monotonic()
        try:
            model.answer(jobs)
        except Exception as error:  # such as a want of memory; the next batch may be smaller
            for job in jobs:
                job.error = job.error or str(error)
                job.done.set()
        tokens, seconds = sum(len(job.answer) for job in jobs), time.monotonic() - began
        print(f"{len(jobs)} requests, {tokens} tokens, {tokens / seconds:.0f} tokens/s", flush=True)


def handler(model: Model, name: str, waiting: queue.Queue[Job]) -> type[BaseHTTPRequestHandler]:
    """Return the class that speaks HTTP."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # keeps connections open
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self.reply(200, {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "local"}]})
            else:
                self.fail(404, f"{self.path} is not served")

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.path != "/v1/chat/completions":
                return self.fail(404, f"{self.path} is not served")
            try:
                body = json.loads(text)
                if body.get("model") != name:
                    text = f"the model {body.get('model')!r} is not served; there is {name!r}"
                    return self.fail(404, text, "model_not_found")
                job = model.job(body)
            except TooLong as error:
                return self.fail(400, str(error), "context_length_exceeded")
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                return self.fail(400, f"the request cannot be read: {error}")
            waiting.put(job)
            job.done.wait()
            if job.error:
                return self.fail(500, job.error)
            content = model.tokenizer.decode(job.answer, skip_special_tokens=True).strip()
            message = {"role": "assistant", "content": content}
            used = {"prompt_tokens": len(job.tokens), "completion_tokens": len(job.answer)}
            self.reply(
                200,
                {
                    "id": f"chatcmpl-{uuid.uuid4().hex}",
                    "object": "chat.completion",
                    "created": int(time.time()),
                    "model": name,
                    "choices": [{"index": 0, "message": message, "finish_reason": job.finish, "logprobs": None}],
                    "usage": {**used, "total_tokens": sum(used.values())},
                },
            )

        def fail(self, status: int, message: str, code: str | None = None) -> None:
            self.reply(status, {"error": {"message": message, "type": "invalid_request_error", "code": code}})

        def reply(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            with suppress(ConnectionError):  # of a client that no longer waits
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass  # a line for each batch says enough

    return Handler


class Server(ThreadingHTTPServer):
    request_queue_size = 128  # clients that connect at once


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", help="folder, or name on the Hub")
    parser.add_argument("--name", default="local", help="what requests call the model")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--batch", type=int, default=32, help="requests answered at once, at most")
    parser.add_argument("--threads", type=int, help="CPU threads; by default torch's own choice")
    chosen = parser.parse_args()
    model = Model(chosen.model, chosen.threads)
    waiting: queue.Queue[Job] = queue.Queue()
    threading.Thread(target=work, args=(model, waiting, chosen.batch), daemon=True).start()
    with Server((chosen.host, chosen.port), handler(model, chosen.name, waiting)) as server:
        print(f"serving {chosen.name} on http://{chosen.host}:{server.server_port}/v1", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    main()
