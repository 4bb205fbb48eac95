"""A training run from recipe to checkpoint: on one device or many, resumable, watched."""

from __future__ import annotations

import shutil
import sys
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import DistributedType, gather_object
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from tqdm import tqdm

from prefmodel.encoding import PairEncoder
from prefmodel.errors import InputError, PrefModelError, one_line
from prefmodel.types import PreferencePair
from training import data
from training.alike import read_alike, told_apart
from training.blend import blend, blend_base, check_shapes
from training.ctrl_c import CtrlC
from training.engine import Engine, accelerator
from training.left_behind import write_results
from training.measure import accuracy_by_axiom, sample_by_axiom
from training.model import PreferenceNet, load_tokenizer, save_tokenizer
from training.objectives.masked_lm import MaskedLM, Masking
from training.plan import plan
from training.recipe import Recipe
from training.resume import Progress, discard_state, load_state, save_state, settle, tensors_of
from training.run_folder import BEST, RunFolder, stopped_recipe
from training.step_net import Scores
from training.surroundings import check_same_weights, surroundings, weights_of
from training.watch import TrainingStopped, Watch

DEV_SAMPLE = 60
"""Development pairs of each axiom that are looked at while training."""


def train(
    recipe: Recipe,
    data_folder: str | Path,
    out: str | Path,
    max_steps: int | None = None,
    trackers: Sequence[str] = (),
) -> Path:
    """Train a preference model and return the folder of its checkpoint.

    The folder gets the model (`config.json`, `model.safetensors`, `heads.safetensors`, `tokenizer.json`), `run.json`
    (recipe, data with hashes, counts, results, versions), `log.jsonl` (a line an update: loss, gradient, speed, now
    and then development accuracy), `curves.png`, `evaluation/` (the test pairs beside trivial baselines), and all
    pairs in `pairs/` and `heldout/`. The same call in the same folder goes on where an interrupted one stopped, and
    ends with the weights that it would have had without the interruption.

    It runs on what `accelerate launch` or `torchrun` has set up: processes, GPUs, sharding.

    Args:
        recipe: the whole configuration.
        data_folder: where the recipe's files are.
        out: folder of the run.
        max_steps: stop after so many updates in this call, resumable; for trials and tests.
        trackers: names that accelerate knows, such as "tensorboard" and "wandb"; they get what the log gets.

    Raises:
        PrefModelError: a file is missing or malformed, the base cannot be loaded, no pairs are left, the folder holds
            another run, or training was stopped since it could not come to good.
        KeyboardInterrupt: by Ctrl-C; the state after the update that was under way is saved first.
    """
    return Run(recipe, out, data_folder, trackers).train(max_steps)


def resume(out: str | Path, max_steps: int | None = None, trackers: Sequence[str] = ()) -> Path:
    """Go on with a run that was stopped, with the recipe and the pairs in its folder; see `train`."""
    return Run(stopped_recipe(out), out, None, trackers).train(max_steps)


class Run:
    """One process's part in a run.

    Args:
        recipe: the whole configuration.
        out: folder of the run.
        data_folder: where the recipe's files are; None to go on with the pairs of the folder.
        trackers: names that accelerate knows.
    """

    def __init__(self, recipe: Recipe, out: str | Path, data_folder: str | Path | None, trackers: Sequence[str] = ()):
        self.recipe, self.options, self._data_folder, self._tracked = recipe, recipe.train, data_folder, bool(trackers)
        self.place = accelerator(recipe.train, trackers, str(out))
        with self.place.main_process_first():  # which alone may find it empty
            self.folder = RunFolder(out, recipe)
        self.place.wait_for_everyone()
        self.say: Callable[[str], None] = _say if self.place.is_main_process else _silent
        self.encoder = PairEncoder(load_tokenizer(recipe.base), recipe.encoding)
        self.net = self._begin()
        if apart := told_apart(load_tokenizer(recipe.base), recipe.train.alike):
            self.say(f"train.alike: no token of their own, and so told apart still: {', '.join(apart)}")
        if recipe.train.blend_base:  # lest a run ends in a model that does not fit
            with torch.random.fork_rng():
                check_shapes(self.net, blend_base(recipe), recipe.train.blend_base)
        _check_length(self.net, recipe.encoding.max_tokens)
        goal = recipe.objective
        self._masking = (
            Masking.of(load_tokenizer(recipe.base), goal.masked_share, recipe.seed) if goal.masked_lm else None
        )

    def _begin(self) -> PreferenceNet:
        """Return the network that the run begins with, the same one whenever it is asked for."""
        torch.manual_seed(self.recipe.seed)
        options = self.options
        net = self._from_base(options.dropout)
        read_alike(net, load_tokenizer(self.recipe.base), options.alike)
        return net

    def _from_base(self, dropout: float) -> PreferenceNet:
        options = self.options
        return PreferenceNet.from_base(self.recipe.base, options.start, dropout, options.layers, options.keep_length)

    def train(self, max_steps: int | None) -> Path:
        """Make the updates that are left, or `max_steps` of them; then leave the result behind."""
        with self.folder.held(self.place.is_main_process):
            return self._train(max_steps)

    def _train(self, max_steps: int | None) -> Path:
        run = self._data()
        pairs, equal = data.encode(run.train, self.encoder, self.recipe.objective)
        if not pairs:
            raise InputError(
                f"the sides of all {equal} training pairs are equal after truncation; see encoding.max_tokens"
            )
        run.report["left_out"]["sides equal after truncation"] = equal
        self.say(f"training pairs: {run.report['pairs']['train']}, {equal} dropped as equal after truncation")
        steps = plan(pairs, self.options, self.recipe.seed)
        engine = self._engine(pairs)
        progress, random = load_state(self.folder.path, engine.net, engine.optimizer)
        self._seed_random(random)
        if self.place.is_main_process:
            self.folder.rewind_log(progress.step)
        self.place.wait_for_everyone()  # all read it, to judge what follows alike
        if self._tracked:
            self.place.init_trackers("prefmodel", _flat(self.recipe.to_dict()))
        stop = len(steps) if max_steps is None else min(len(steps), progress.step + max_steps)
        looked_at = sample_by_axiom(run.dev, DEV_SAMPLE)
        with CtrlC() as ctrl_c:
            progress = self._loop(engine, steps, stop, progress, looked_at, ctrl_c)
            self._save(engine, progress)
        if progress.step < len(steps) or ctrl_c.pressed:
            self.say(f"stopped after {progress.step} of {len(steps)} updates; the same command goes on")
            if ctrl_c.pressed:
                raise KeyboardInterrupt
        else:
            self._finish(engine, run, progress)
        self.place.end_training()
        return self.folder.path

    def _data(self) -> data.RunData:
        """Return the pairs: those of the folder, or new ones, which the main process builds and all read."""
        if self.place.is_main_process:
            run, files = self.folder.begun(), self._data_folder
            weights = weights_of(self.recipe)
            check_same_weights(weights, weights if run is None else run.report.get("weights", weights))
            if run is not None and files is not None:
                data.check_same_files(run, self.recipe.data, files, self.folder.path, self.recipe.distil.threads)
            elif run is None and files is not None:
                built = self._built(files)
                built.report["weights"] = weights
                self.folder.begin(built)
            elif run is None:
                raise InputError(f"--resume is {self.folder.path}, where no pairs are yet; allowed: RECIPE and --data")
            settle(self.folder.path)
            self.folder.settle_best()
        self.place.wait_for_everyone()
        run = self.folder.begun()
        if run is None:
            raise PrefModelError(f"{self.folder.path}: the main process wrote no pairs")
        return run

    def _built(self, folder: str | Path) -> data.RunData:
        run = data.load(self.recipe.data, folder, self.recipe.seed, self.say)
        data.check_axioms(self.recipe.objective, run)
        if self.recipe.distil.teachers:
            from training.distil import with_distilled

            run = with_distilled(run, self.recipe, folder, self.folder.path, self.say)
        data.check_margins(self.recipe.objective, run.train)
        return run

    def _engine(self, pairs: Sequence[data.EncodedPair]) -> Engine:
        recipe, goal = self.recipe, self.recipe.objective
        teacher = PreferenceNet.teacher(recipe.base, self.options.start) if goal.base_relevance else None
        masked_lm = (MaskedLM(recipe.base, self.net.classifier), self._masking) if self._masking else None
        engine = Engine(self.place, self.net, self.encoder, pairs, self.options, goal, masked_lm, teacher)
        engine.net.train()
        return engine

    def _loop(
        self,
        engine: Engine,
        steps: Sequence[Sequence[int]],
        stop: int,
        progress: Progress,
        looked_at: Sequence[PreferencePair],
        ctrl_c: CtrlC,
    ) -> Progress:
        watch, options = Watch(), self.options
        for line in self.folder.entries():  # what was usual before an interruption
            watch.update(line["loss"], line["norm"], line["spread"])
        shown = self.place.is_main_process and sys.stderr.isatty()
        with tqdm(total=len(steps), initial=progress.step, unit="step", disable=not shown) as bar:
            while progress.step < stop and not self._any(ctrl_c.pressed):
                began = time.perf_counter()
                # At neither end, where the learning rate is zero: an update there, maybe the only one, teaches nothing.
                share = (progress.step + 1) / (len(steps) + 1)
                found = engine.update(steps[progress.step], progress.step, share)
                try:
                    watch.update(found.loss, found.norm, found.spread)
                except TrainingStopped as error:
                    raise TrainingStopped(f"{error}; {self._last_good(progress)}") from None
                engine.apply()
                seconds = progress.seconds + time.perf_counter() - began
                progress = replace(progress, step=progress.step + 1, seconds=seconds)
                done = progress.step
                bar.update()
                bar.set_postfix(loss=f"{found.loss:.3f}")
                entry: dict[str, Any] = {
                    "step": done,
                    "loss": round(found.loss, 4),
                    "norm": round(found.norm, 4),
                    "spread": round(found.spread, 4),
                    "rate": engine.optimizer.param_groups[0]["lr"],
                    "pairs": len(steps[done - 1]),
                    "seconds": round(seconds, 1),
                }
                if done % options.eval_every == 0 or done == len(steps):
                    entry["dev"] = self._accuracy(Scores(engine.net), looked_at)
                    told = f"development accuracy {entry['dev']}" if entry["dev"] else f"loss {found.loss:.3f}"
                    self.say(f"step {done} of {len(steps)}, {seconds:.0f} s, {told}")
                    progress = self._look(engine, progress, entry["dev"])
                elif done % 10 == 0 and not shown:
                    speed = done * options.step_pairs / seconds
                    self.say(f"step {done} of {len(steps)}, loss {found.loss:.3f}, {speed:.1f} pairs/s")
                if self.place.is_main_process:
                    self.folder.log(entry)
                if self._tracked:
                    self.place.log(_flat(entry), step=done)
                if done % options.save_every == 0:
                    self._save(engine, progress)
        return progress

    def _accuracy(self, net: nn.Module, pairs: Sequence[PreferencePair]) -> dict[str, float]:
        """Return the accuracy of a net by axiom, computed in the precision of the training."""
        half = self.place.mixed_precision == "bf16"
        return accuracy_by_axiom(net, self.encoder, pairs, self.options.batch_tokens, half)

    def _look(self, engine: Engine, progress: Progress, accuracy: dict[str, float]) -> Progress:
        """Keep the weights if the development pairs are told as well as never before; a later look wins a tie."""
        mean = sum(accuracy.values()) / len(accuracy) if accuracy else 0.0
        if progress.best_step and mean < progress.best:
            return progress
        net = self._whole(engine)
        if net is not None:
            fresh = self.folder.path / f"{BEST}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            self._write_model(net, fresh)
            self.folder.put_best(fresh)
        return replace(progress, best_step=progress.step, best=mean)

    def _last_good(self, progress: Progress) -> str:
        if not progress.best_step:
            return "no checkpoint was kept yet"
        return f"the checkpoint of update {progress.best_step} is kept in {self.folder.path / BEST}"

    def _whole(self, engine: Engine) -> PreferenceNet | None:
        """Return the network with whole weights in the main process, None in others; all have to call it together."""
        if self.place.distributed_type != DistributedType.FSDP:
            net: PreferenceNet = self.place.unwrap_model(engine.net).net
            return net if self.place.is_main_process else None
        weights = get_model_state_dict(engine.net, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
        if not self.place.is_main_process:
            return None
        with torch.random.fork_rng():  # what starts at random must not draw from the run's numbers
            net = self._from_base(dropout=0.0)
        own = {name.removeprefix("net."): tensor for name, tensor in weights.items() if name.startswith("net.")}
        net.load_state_dict(own)
        return net

    def _blend(self, net: PreferenceNet) -> None:
        """Move the weights of a network back towards those that the run began with, or of `train.blend_base`."""
        other = bool(self.options.blend_base)
        with torch.random.fork_rng():  # what starts at random must not draw from the run's numbers
            back = blend_base(self.recipe) if other else self._begin()
        blend(net, back, self.options.blend, heads=not other)

    def _write_model(self, net: PreferenceNet, folder: Path) -> None:
        net.save(folder)
        save_tokenizer(self.recipe.base, folder)

    def _save(self, engine: Engine, progress: Progress) -> None:
        """Write a resumable state; all processes have to call it together."""
        mine = {f"cpu.{self.place.process_index}": torch.get_rng_state()}
        if self.place.device.type == "cuda":
            mine[f"cuda.{self.place.process_index}"] = torch.cuda.get_rng_state()
        random = {name: state for part in gather_object([mine]) for name, state in part.items()}
        tensors = tensors_of(engine.net, engine.optimizer, random)
        if self.place.is_main_process:
            save_state(self.folder.path, tensors, progress)
        self.place.wait_for_everyone()

    def _seed_random(self, saved: dict[str, Tensor]) -> None:
        """Set the random numbers of this process: as they were, or, in a new process, by seed and rank."""
        rank = self.place.process_index
        if f"cpu.{rank}" in saved:
            torch.set_rng_state(saved[f"cpu.{rank}"])
            if f"cuda.{rank}" in saved and self.place.device.type == "cuda":
                torch.cuda.set_rng_state(saved[f"cuda.{rank}"])
        elif rank:
            torch.manual_seed(self.recipe.seed + rank)

    def _any(self, pressed: bool) -> bool:
        """Return whether a process was interrupted: all stop after the same update."""
        if self.place.num_processes == 1:
            return pressed
        flag = torch.tensor(float(pressed), device=self.place.device)
        return bool(self.place.reduce(flag, "sum").item())

    def _finish(self, engine: Engine, run: data.RunData, progress: Progress) -> None:
        """Write checkpoint and results; the main process does, the others wait."""
        net = self._whole(engine)
        if net is not None:
            path, best = self.folder.path, self.folder.path / BEST
            if self.options.keep == "best" and run.dev and best.is_dir():
                net = PreferenceNet.from_checkpoint(best)
            kept = progress.best_step if self.options.keep == "best" and run.dev else progress.step
            if self.options.blend < 1:
                self._blend(net)
            self._write_model(net, path)
            whence = self.options.blend_base or "the start"
            way = f", {self.options.blend:g} of the way from {whence}," if self.options.blend < 1 else ""
            self.say(f"the weights of update {kept}{way} are kept; measuring on the held-out test pairs")
            net = net.to(self.place.device)
            facts: dict[str, Any] = {"recipe": self.recipe.to_dict(), "data": run.report}
            facts["test_accuracy"] = write_results(self.folder, net, self.encoder, run.test, self.options.batch_tokens)
            facts |= {"updates": progress.step, "kept": kept, "seconds": round(progress.seconds)}
            self.folder.finish(facts | surroundings(self.recipe, net, self.place))
            shutil.rmtree(best, ignore_errors=True)
            discard_state(path)
        self.place.wait_for_everyone()


def _check_length(net: PreferenceNet, tokens: int) -> None:
    """Raise InputError when the base has no positions for inputs of so many tokens; not all say how many they have.

    Args:
        net: on the CPU, where this is an error; on a GPU it would be the end of the process's work there.
        tokens: of the longest input.
    """
    error = _unread(net, tokens)
    if error is not None:
        most = bisect_left(range(1, tokens), True, key=lambda fewer: _unread(net, fewer) is not None)
        raise InputError(f"encoding.max_tokens is {tokens}; this base reads at most {most}: {one_line(error)}")


def _unread(net: PreferenceNet, tokens: int) -> Exception | None:
    """Return the error with which a network refuses an input of so many tokens, None where it reads it."""
    mask = torch.ones(1, tokens, dtype=torch.long)
    # RoBERTa, XLM-R and MPNet pad with 1, and count no positions of padding.
    ids = torch.zeros_like(mask) if getattr(net.config, "pad_token_id", None) == 1 else mask
    try:
        with torch.inference_mode():
            net(ids, mask, torch.zeros_like(mask))
    except (IndexError, RuntimeError) as error:
        return error
    return None


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested values by names with slashes, as trackers want them; what is no number is text."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{name}/")
        else:
            out[f"{prefix}{name}"] = value if isinstance(value, int | float) else str(value)
    return out


def _say(text: str) -> None:
    tqdm.write(text, file=sys.stderr)


def _silent(text: str) -> None:
    pass
