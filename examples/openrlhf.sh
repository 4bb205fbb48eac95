#!/usr/bin/env bash
# OpenRLHF 0.11: GRPO-like training with prefmodel's reward in the rollout workers, on their CPUs.
#   pip install openrlhf prefmodel
# The reward's options are read from the environment of the workers; see prefmodel/rewards/environment.py.
set -euo pipefail

export PREFMODEL_THREADS=2                                                 # CPU threads of one scoring run
export PREFMODEL_REWARD='{"clip": [-6, 6], "repetition_penalty": 2.0}'     # fields of RewardConfig
# export PREFMODEL_MODEL=bundles/mine                                      # by default the model in the package

reward_file=$(python -c 'import prefmodel.rewards.openrlhf as reward; print(reward.__file__)')

python -m openrlhf.cli.train_ppo_ray \
  --actor.model_name_or_path "${POLICY:-Qwen/Qwen3-0.6B}" \
  --reward.remote_url "$reward_file" \
  --data.prompt_dataset "${PROMPTS:-prompts.jsonl}" \
  --data.input_key prompt \
  --data.apply_chat_template \
  --data.max_len 2048 \
  --rollout.n_samples_per_prompt 8 \
  --rollout.max_new_tokens 1024 \
  --rollout.batch_size 64 \
  --train.batch_size 64 \
  --algo.advantage.estimator group_norm \
  --algo.kl.init_coef 0.001 \
  --actor.num_gpus_per_node 1 \
  --ref.num_gpus_per_node 1 \
  --vllm.num_engines 1 \
  --train.colocate_all \
  --ckpt.output_dir ckpt
