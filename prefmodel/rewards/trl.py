"""A reward function for the trainers of TRL that take `reward_funcs`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prefmodel.errors import InputError, shown
from prefmodel.model import PreferenceModel
from prefmodel.rewards.scorer import Rewards, Sample, SharedModel, score_samples
from prefmodel.rewards.shaping import RewardConfig, checked_config
from prefmodel.samples import answer_of, question_of, same_number

_log = logging.getLogger(__name__)


class TRLReward:
    """Rewards completions in TRL's GRPO, RLOO and OnlineDPO trainers: `GRPOTrainer(..., reward_funcs=TRLReward())`.

    Prompts and completions are text or lists of messages. The whole prompt is the question; the answer is the text of
    the completion's last message. The reward is a log-odds, see `RewardConfig`. It runs on the CPU, batches all
    completions of a call, may be called from several threads at once, and pickles: a worker process loads the model
    again when it is first called there.

    A completion without text gets `config.empty`. A sample that fails (a prompt without text, a malformed message)
    gets None, which leaves it out, and a warning in the log; where the trainer is one that would count None as 0
    (OnlineDPO), it is an error.

    To `log_metric` go, under `<name>/`: means over the call of the raw score and of each contribution (logits) and of
    the penalties that are in use; and the shares `empty`, `failed`, and `cut` (answers not seen whole by the model).

    Args:
        model: a bundle's folder or Hub name, None for the default model, or a loaded model.
        config: the options.
        threads: CPU threads of one run; by default as many as this process may use. Set it where several processes
            of a trainer share the cores.
        name: names the reward in the trainer's log.
        backend: what runs the network; by default the fastest that is installed.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        InputError: an argument is not what is allowed.

    Example:
        >>> reward = TRLReward(threads=1)
        >>> good, bad = "Air scatters blue light more than red.", "Bananas are yellow."
        >>> a, b = reward(prompts=["Why is the sky blue?"] * 2, completions=[good, bad])
        >>> a > b
        True
    """

    def __init__(
        self,
        model: str | Path | PreferenceModel | None = None,
        config: RewardConfig | None = None,
        threads: int | None = None,
        name: str = "prefmodel",
        backend: str | None = None,
    ):
        if not isinstance(name, str) or not name:
            raise InputError(f"name is {shown(name)}; allowed: non-empty text")
        self.config = checked_config(config)
        self.__name__ = name  # TRL names the metric by it
        self._shared = SharedModel(model, threads, backend)

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        completion_ids: Sequence[Any] | None = None,
        trainer_state: Any = None,
        log_extra: Callable[..., None] | None = None,
        log_metric: Callable[[str, float], None] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """Return n rewards, with None for a sample that is left out.

        Args:
            prompts: n texts or lists of messages.
            completions: n texts or lists of messages.
            completion_ids: not used; nor are `log_extra` and the data's other columns.
            trainer_state: given by GRPO, RLOO and OnlineDPO.
            log_metric: given by GRPO and RLOO; called with a name and the call's mean.

        Raises:
            InputError: there are different numbers of prompts and completions; or a sample would be left out and
                the trainer would count it as 0.
        """
        same_number(prompts, completions, "prompts and completions")
        samples = [_sample(p, c, i) for i, (p, c) in enumerate(zip(prompts, completions, strict=True))]
        rewards = score_samples(self._shared.model, samples, self.config)
        self._report(rewards, log_metric)
        if trainer_state is not None and log_metric is None:
            # OnlineDPO gives the one and not the other, and sums rewards so that None becomes 0.
            return list(rewards.numbers())
        return rewards.values

    def _report(self, rewards: Rewards, log_metric: Callable[[str, float], None] | None) -> None:
        failed = [error for error in rewards.errors if error is not None]
        if failed:
            _log.warning(
                "%s: %d of %d samples have no reward; %s", self.__name__, len(failed), len(rewards.errors), failed[0]
            )
        if log_metric is not None:
            unused = {name for name in ("length_penalty", "repetition_penalty") if not getattr(self.config, name)}
            for name, value in rewards.means().items():
                if name not in unused:
                    log_metric(f"{self.__name__}/{name}", value)


class AsyncTRLReward:
    """`TRLReward` as an asynchronous function: beside other asynchronous rewards it runs while those wait.

    TRL 1.16 awaits it in GRPO, RLOO and the asynchronous GRPO; OnlineDPO takes synchronous ones only. Arguments and
    results are those of `TRLReward`.

    Example:
        >>> reward = AsyncTRLReward(threads=1)
        >>> len(asyncio.run(reward(prompts=["Why is the sky blue?"], completions=["Air scatters blue light."])))
        1
    """

    def __init__(
        self,
        model: str | Path | PreferenceModel | None = None,
        config: RewardConfig | None = None,
        threads: int | None = None,
        name: str = "prefmodel",
        backend: str | None = None,
    ):
        self._reward = TRLReward(model, config, threads, name, backend)
        self.__name__ = name

    async def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **rest: Any) -> list[float | None]:
        """Return n rewards, see `TRLReward.__call__`; the loop goes on meanwhile."""
        return await asyncio.to_thread(self._reward, prompts, completions, **rest)


def _sample(prompt: object, completion: object, i: int) -> Sample | InputError:
    try:
        return question_of(prompt, f"prompts[{i}]"), answer_of(completion, f"completions[{i}]")
    except InputError as error:
        return error
