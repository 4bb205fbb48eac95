"""Scoring at once from many threads and processes gives, bit for bit, the numbers of one thread."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from prefmodel.model import PreferenceModel
from prefmodel.types import Message, Question
from tests.command import LONG

PROCESSES, THREADS = 2, 16
DIALOGUE = (Message("user", "Why?"), Message("tool", "42"), Message("user", "How [SEP] \ud800?"))
QUESTIONS = ["Why is the sky blue?", LONG, DIALOGUE]
ANSWERS = ["Because air scatters blue light.", "中文 😀</s>", "\u200b", LONG, "light " * 20, "air"]
ASKED = {"tiny": (QUESTIONS * 3, ANSWERS), "default": (QUESTIONS[::2], ANSWERS[:3])}
"""Questions and answers by bundle; few for the default one, which takes its time."""


def numbers(model: PreferenceModel, question: Question, answers: list[str]) -> bytes:
    """Return the bits of everything that a model tells of some answers."""
    scored = model.score_batch([question] * len(answers), answers)
    parts = (scored.scores, scored.contributions, scored.question_cut, scored.answer_cut)
    told = (model.rank(question, answers), model.compare(question, *answers[:2]), model.explain(question, *answers[:2]))
    return b"".join(part.tobytes() for part in parts) + repr(told).encode()


def at_once(name: str, folder: Path | None, everybody: Barrier) -> list[list[bytes]]:
    """Return what each of many threads got that began together; each asks the questions in an order of its own."""
    model = PreferenceModel.from_pretrained(folder, threads=1)
    questions, answers = ASKED[name]
    together = threading.Barrier(THREADS)

    def one(thread: int) -> list[bytes]:
        found = {}
        together.wait()
        for i in range(len(questions)):
            place = (i + thread) % len(questions)
            found[place] = numbers(model, questions[place], answers)
        return [found[place] for place in range(len(questions))]

    everybody.wait(120)  # for the other process, which loads its model meanwhile
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(one, range(THREADS)))


@pytest.mark.parametrize("name", ASKED)
def test_threads_and_processes_get_the_same_numbers(name, tiny_bundle):
    folder = tiny_bundle if name == "tiny" else None
    model = PreferenceModel.from_pretrained(folder, threads=1)
    questions, answers = ASKED[name]
    alone = [numbers(model, question, answers) for question in questions]
    assert len({*alone}) == len({*questions})
    with multiprocessing.get_context("spawn").Manager() as manager:
        everybody = manager.Barrier(PROCESSES)
        with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
            found = [pool.submit(at_once, name, folder, everybody) for _ in range(PROCESSES)]
            assert [future.result(240) for future in found] == [[alone] * THREADS] * PROCESSES
