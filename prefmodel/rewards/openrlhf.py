"""The reward file of OpenRLHF: `--reward.remote_url path/to/prefmodel/rewards/openrlhf.py`.

OpenRLHF loads this file and calls `reward_func`. Its options come from the environment, see
`prefmodel.rewards.environment`; or write a file of your own with other options:

    from prefmodel.rewards import RewardConfig
    from prefmodel.rewards.openrlhf import OpenRLHFReward

    reward_func = OpenRLHFReward("bundles/mine", RewardConfig(length_penalty=0.5))
"""

# Loaded by its path, this module stands in no package and in no list of modules: imports are absolute, no dataclasses.
from __future__ import annotations

import logging
import math
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefmodel.errors import InputError, PrefModelError
from prefmodel.model import PreferenceModel
from prefmodel.rewards.environment import config_from_environment, model_from_environment
from prefmodel.rewards.markup import answer_after, question_in
from prefmodel.rewards.scorer import Sample, SharedModel, score_samples
from prefmodel.rewards.shaping import RewardConfig, checked_config
from prefmodel.samples import question_of, same_number

_log = logging.getLogger("prefmodel.rewards.openrlhf")
_lock = threading.Lock()
_default: OpenRLHFReward | None = None


class OpenRLHFReward:
    """Rewards the answers of OpenRLHF's rollouts; an instance is a `reward_func`.

    The prompt's chat markup becomes a dialogue. The answer is what follows the prompt, without the special tokens at
    its end. A sample that fails is an error: OpenRLHF knows no missing reward. It logs such an error at level INFO
    only and breaks down later, so here it is logged at level ERROR too.

    Args:
        model: a bundle's folder or Hub name, None for the default model, or a loaded or shared model.
        config: the options. `centre` and `empty` None are not allowed: OpenRLHF calls with one sample at a time.
        threads: CPU threads of one run; by default as many as this process may use.
        backend: what runs the network; by default the fastest that is installed.

    Raises:
        BundleError: there is no such bundle, or it is damaged.
        InputError: an argument is not what is allowed.

    Example:
        >>> reward_func = OpenRLHFReward(threads=1)
        >>> prompt = "<|im_start|>user\\nWhy is the sky blue?<|im_end|>\\n<|im_start|>assistant\\n"
        >>> result = reward_func([prompt + "Air scatters blue light.<|im_end|>"], [prompt], [""])
        >>> sorted(result), 0 < result["scores"][0] < 1
        (['extra_logs', 'rewards', 'scores'], True)
    """

    def __init__(
        self,
        model: str | Path | PreferenceModel | SharedModel | None = None,
        config: RewardConfig | None = None,
        threads: int | None = None,
        backend: str | None = None,
    ):
        self.config = checked_config(config)
        if self.config.centre:
            raise InputError("centre is true; allowed: false, since OpenRLHF calls with one sample at a time")
        if self.config.empty is None:
            raise InputError("empty is none; allowed: a number, since OpenRLHF needs a reward for every sample")
        self._shared = model if isinstance(model, SharedModel) else SharedModel(model, threads, backend)

    def __call__(
        self, queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any] | None = None, **rest: Any
    ) -> dict[str, Any]:
        """Return `rewards`, `scores` and `extra_logs` of n samples.

        Args:
            queries: n texts, prompt and answer, decoded with special tokens.
            prompts: n prompts, as given to the policy.
            labels: not used.

        Returns:
            `rewards`: n log-odds, see `RewardConfig`; `scores`: n numbers 0 to 1, sigmoid(reward), by which OpenRLHF's
            dynamic filtering selects prompts; `extra_logs`: the columns of `Rewards.details`, n numbers each.

        Raises:
            InputError: a query does not begin with its prompt, or a prompt has no text.
        """
        try:
            same_number(queries, prompts, "queries and prompts")
            samples: list[Sample | InputError] = [
                _sample(q, p, i) for i, (q, p) in enumerate(zip(queries, prompts, strict=True))
            ]
            rewards = score_samples(self._shared.model, samples, self.config)
            numbers = rewards.numbers()
        except PrefModelError as error:
            _log.error("%s", error)
            raise
        scores = [0.5 * (1.0 + math.tanh(reward / 2.0)) for reward in numbers]
        return {"rewards": numbers, "scores": scores, "extra_logs": rewards.details()}


def reward_func(queries: Sequence[str], prompts: Sequence[str], labels: Sequence[Any], **rest: Any) -> dict[str, Any]:
    """Return rewards with the options of the environment, see `OpenRLHFReward`.

    Raises:
        BundleError: `PREFMODEL_MODEL` is no bundle.
        InputError: an option is not what is allowed, or a sample fails.
    """
    global _default
    with _lock:
        if _default is None:
            _default = OpenRLHFReward(model_from_environment(), config_from_environment())
    return _default(queries, prompts, labels)


def _sample(query: str, prompt: str, i: int) -> Sample:
    answer = answer_after(prompt, query, f"queries[{i}]")
    return question_of(question_in(prompt), f"prompts[{i}]"), answer
