"""GRPO with TRL: a tiny random language model learns to please the reward model, on a CPU, in a few minutes.

pip install "prefmodel" "trl>=1.16"
python examples/grpo.py                                      # a tiny random policy, nothing is downloaded
python examples/grpo.py --policy Qwen/Qwen3-0.6B --steps 500 # a real one
"""

from __future__ import annotations

import argparse
from typing import Any

from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed
from trl import GRPOConfig, GRPOTrainer

from prefmodel.rewards import RewardConfig, TRLReward

QUESTIONS = [
    "Why is the sky blue?",
    "How long should I boil an egg?",
    "Why do cats purr?",
    "How does a bicycle stay upright?",
]
WORDS = """
    the a of and to in is it because air light blue red scatters more than waves short water boils six minutes egg yolk
    runny firm wheel spins bicycle rider steers cat purrs calm throat muscles no yes maybe hello banana table seven
    random sorry nothing whatever . , user assistant why how do does i should long sky cats stay upright boil an ?
"""
CHAT = """{% for m in messages %}{{ m['role'] + ' ' + m['content'] + ' ' }}{% endfor %}\
{% if add_generation_prompt %}assistant {% endif %}"""


def tiny_policy() -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """Return a random language model of 0.1M parameters that knows about a hundred words, and its tokenizer."""
    vocabulary = {word: i for i, word in enumerate(["<pad>", "<eos>", "<unk>", *dict.fromkeys(WORDS.split())])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", chat_template=CHAT
    )
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=256, pad_token_id=0, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    return LlamaForCausalLM(config), tokenizer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--policy", help="a causal language model: folder or Hub name; by default a tiny random one")
    parser.add_argument("--bundle", help="the reward model: folder or Hub name; by default the one in the package")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--learning-rate", type=float, default=2e-2, help="1e-6 suits a real policy")
    parser.add_argument("--output", default="grpo-output")
    arguments = parser.parse_args()

    set_seed(0)
    model, tokenizer = (arguments.policy, None) if arguments.policy else tiny_policy()
    # The reward's unit is a log-odds. A policy that repeats itself pays; so does one that says nothing (-5).
    reward = TRLReward(arguments.bundle, RewardConfig(repetition_penalty=2.0, repetition_ngram=2, clip=(-6.0, 6.0)))
    trainer = GRPOTrainer(
        model=model,
        processing_class=tokenizer,
        reward_funcs=reward,
        train_dataset=Dataset.from_list([{"prompt": [{"role": "user", "content": q}]} for q in QUESTIONS * 16]),
        args=GRPOConfig(
            output_dir=arguments.output, max_steps=arguments.steps, learning_rate=arguments.learning_rate,
            per_device_train_batch_size=32, num_generations=8, max_completion_length=16, logging_steps=1, seed=0,
            use_cpu=arguments.policy is None, report_to="none", save_strategy="no", disable_tqdm=True,
        ),
    )  # fmt: skip
    trainer.train()
    report([row for row in trainer.state.log_history if "reward" in row])


def report(history: list[dict[str, Any]]) -> None:
    """Print the mean reward and contributions of the first and the last quarter of the steps."""
    quarter = max(1, len(history) // 4)
    names = ["reward", *(name for name in history[0] if name.startswith("prefmodel/"))]
    print(f"{'mean of':32} {'first ' + str(quarter):>10} {'last ' + str(quarter):>10}")
    for name in names:
        first, last = (
            sum(row.get(name, 0.0) for row in rows) / quarter for rows in (history[:quarter], history[-quarter:])
        )
        print(f"{name:32} {first:10.3f} {last:10.3f}")


if __name__ == "__main__":
    main()
