"""Worker: `RewardTrainer` of trl.

Its best settings as far as they keep the work the same: the tokens are those that our encoder gives, since it leaves
out what is too long where others cut it; no dropout, as in its default; no activations computed twice, unlike in its
default; pairs of like length together, in small batches whose gradients are summed up to an update.
"""

from __future__ import annotations

from benchmarks.train_loop import Loaded, Options, Times, clock, read, serve, trainer_settings


def load(options: Options) -> Loaded:
    """Take the common options, and `attention`, a name that transformers knows."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    from prefmodel.encoding import EncodingConfig, PairEncoder
    from training.model import load_tokenizer

    lengths = EncodingConfig(max_tokens=options["max_tokens"], question_tokens=options["question_tokens"])
    encoder = PairEncoder(load_tokenizer(options["base"]), lengths)
    rows = [
        {f"{side}_ids": encoder.encode(row["question"], row[side]).ids for side in ("chosen", "rejected")}
        for row in read(options["pairs"])
    ]
    data = Dataset.from_list([row | {"length": max(map(len, row.values()))} for row in rows])
    model = AutoModelForSequenceClassification.from_pretrained(
        options["base"], num_labels=1, dtype=torch.float32, attn_implementation=options["attention"]
    )
    micro = min(options["micro_pairs"], options["step_pairs"])
    config = RewardConfig(
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=options["step_pairs"] // micro,
        gradient_checkpointing=False,
        max_length=options["max_tokens"],
        train_sampling_strategy="group_by_length",
        remove_unused_columns=False,  # it would take the lengths to be unused
        **trainer_settings(options),
    )
    tokenizer = AutoTokenizer.from_pretrained(options["base"])

    def train(count: int) -> Times:
        watch, part = clock(), data.select(range(count))
        trainer = RewardTrainer(model, config, train_dataset=part, processing_class=tokenizer, callbacks=[watch])
        trainer.train()
        times: Times = watch.times
        return times

    return Loaded(model, train, ("trl", "torch", "transformers", "accelerate"))


if __name__ == "__main__":
    serve(load)
