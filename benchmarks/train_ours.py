"""Worker: the engine of `prefmodel train`, as `training/train.py` runs it between two looks at development pairs."""

from __future__ import annotations

from benchmarks.train_loop import Loaded, Options, Times, now, serve, since


def load(options: Options) -> Loaded:
    """Take `freeze_embeddings` beside the common options. Texts are encoded once, before training, as in a run."""
    from prefmodel.encoding import EncodingConfig, PairEncoder
    from prefmodel.files import read_pairs
    from training.config import ObjectiveConfig, TrainConfig
    from training.data import encode
    from training.engine import Engine, accelerator
    from training.model import PreferenceNet, load_tokenizer
    from training.plan import plan

    config = TrainConfig(
        step_pairs=options["step_pairs"],
        batch_tokens=options["batch_tokens"],
        freeze_embeddings=options["freeze_embeddings"],
        precision="bfloat16" if options["bfloat16"] else "float32",
    )
    lengths = EncodingConfig(max_tokens=options["max_tokens"], question_tokens=options["question_tokens"])
    encoder = PairEncoder(load_tokenizer(options["base"]), lengths)
    net = PreferenceNet.from_base(options["base"], config.start, config.dropout)
    pairs, _ = encode([*read_pairs(options["pairs"])], encoder, ObjectiveConfig())
    engine = Engine(accelerator(config), net, encoder, pairs, config, ObjectiveConfig())
    engine.net.train()

    def train(count: int) -> Times:
        steps = plan(pairs[:count], config, seed=0)
        began = now()
        for number, step in enumerate(steps):
            engine.update(step, number, number / len(steps))
            engine.apply()
        return since(began)

    return Loaded(net.classifier, train, ("prefmodel", "torch", "transformers", "accelerate"), engine.spared)


if __name__ == "__main__":
    serve(load)
