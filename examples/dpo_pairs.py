"""Chosen and rejected answers for DPO: the judge picks them from several answers to each prompt.

python examples/dpo_pairs.py pairs.jsonl
"""

from __future__ import annotations

import argparse

from datasets import Dataset

from prefmodel.rewards import PairwiseJudge

# In practice: prompts with K answers that your policy sampled.
ROWS = [
    {
        "prompt": [{"role": "user", "content": "Why is the sky blue?"}],
        "completions": [
            [
                {
                    "role": "assistant",
                    "content": "Air scatters short waves of light more than long ones, so blue reaches us.",
                }
            ],
            [{"role": "assistant", "content": "Because it is."}],
            [{"role": "assistant", "content": "Bananas are yellow."}],
        ],
    },
    {
        "prompt": [{"role": "user", "content": "Who wrote Faust?"}],
        "completions": [
            [{"role": "assistant", "content": "Johann Wolfgang von Goethe wrote Faust."}],
            [{"role": "assistant", "content": "I like plays."}],
            [{"role": "assistant", "content": ""}],
        ],
    },
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", nargs="?", default="pairs.jsonl")
    output = parser.parse_args().output
    judge = PairwiseJudge(min_gap=0.5, max_pairs=2)
    dataset = Dataset.from_list(ROWS)
    for rates in dataset.map(judge.add_win_rates, batched=True)["win_rates"]:
        print("win rates", [round(rate, 2) for rate in rates])
    pairs = dataset.map(judge.pairs, batched=True, remove_columns=dataset.column_names)
    for row in pairs:
        print(f"gap {row['gap']:.2f}  {row['chosen'][0]['content']!r} over {row['rejected'][0]['content']!r}")
    pairs.select_columns(["prompt", "chosen", "rejected"]).to_json(output)  # what DPOTrainer and RewardTrainer read


if __name__ == "__main__":
    main()
