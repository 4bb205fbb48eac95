"""Worker: `CrossEncoderTrainer` of sentence-transformers, with its `RankNetLoss`.

With two answers a question that loss is Bradley-Terry's, log(1 + exp(rejected - chosen)), in another unit (bits). It is
the library's pairwise loss on labelled answers; its losses on lists come to the same thing for two.

Its best settings as far as they keep the work the same: no dropout, as in the others; small batches, whose gradients
are summed up to an update. It has no sampler by length. It tokenises in the loop, which counts, and its tokenizer cuts
the end of what is too long; tokens are counted as the model reads them.
"""

from __future__ import annotations

from benchmarks.train_loop import Loaded, Options, Times, clock, read, serve, trainer_settings


def load(options: Options) -> Loaded:
    """Take the common options, and `attention`, a name that transformers knows."""
    import torch
    from datasets import Dataset
    from sentence_transformers.cross_encoder import (
        CrossEncoder,
        CrossEncoderTrainer,
        CrossEncoderTrainingArguments,
        losses,
    )

    rows = read(options["pairs"])
    data = Dataset.from_dict(
        {
            "query": [row["question"] for row in rows],
            "docs": [[row["chosen"], row["rejected"]] for row in rows],
            "labels": [[1.0, 0.0]] * len(rows),
        }
    )
    model = CrossEncoder(
        options["base"],
        num_labels=1,
        max_length=options["max_tokens"],
        device="cuda" if torch.cuda.is_available() else "cpu",
        model_kwargs={"dtype": torch.float32, "attn_implementation": options["attention"]},
    )
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    micro = min(options["micro_pairs"], options["step_pairs"])
    config = CrossEncoderTrainingArguments(
        per_device_train_batch_size=micro,
        gradient_accumulation_steps=options["step_pairs"] // micro,
        **trainer_settings(options),
    )
    loss = losses.RankNetLoss(model, mini_batch_size=-1)  # no smaller forward passes than those batches

    def train(count: int) -> Times:
        watch, part = clock(), data.select(range(count))
        CrossEncoderTrainer(model, config, train_dataset=part, loss=loss, callbacks=[watch]).train()
        times: Times = watch.times
        return times

    return Loaded(model.model, train, ("sentence-transformers", "torch", "transformers", "accelerate"))


if __name__ == "__main__":
    serve(load)
