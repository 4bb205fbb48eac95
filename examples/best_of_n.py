"""Best of n: sample several answers, keep the one that the reward model prefers.

python examples/best_of_n.py
"""

from __future__ import annotations

import random
from collections.abc import Callable

from prefmodel import PreferenceModel

QUESTION = "How long should I boil an egg?"
CANDIDATES = [
    "Six minutes for a runny yolk, ten for a firm one; start counting when the water boils.",
    "Boil it for about eight minutes.",
    "It depends on many things, and different people have different opinions about it.",
    "Eggs come from hens.",
    "I do not know.",
]


def best_of_n(model: PreferenceModel, generate: Callable[[str], str], question: str, n: int) -> tuple[str, float]:
    """Return the best of n generated answers, and the probability that it beats the first, which n = 1 would give."""
    answers = [generate(question) for _ in range(n)]
    best = model.rank(question, answers)[0]
    return best.answer, model.compare(question, best.answer, answers[0])


def main() -> None:
    model = PreferenceModel.from_pretrained()
    random.seed(1)
    for n in (1, 2, 4, 16):
        # Put your language model here: a function that samples one answer to a question.
        answer, probability = best_of_n(model, lambda question: random.choice(CANDIDATES), QUESTION, n)
        print(f"best of {n:2}: beats the first sample with probability {probability:.2f}: {answer}")


if __name__ == "__main__":
    main()
