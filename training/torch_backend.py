"""The backend `torch`: runs a bundle's weights for torch, on an NVIDIA GPU without padding."""

from __future__ import annotations

import json
import logging
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from torch import Tensor
from transformers import AutoConfig, AutoModelForSequenceClassification

from prefmodel.backends.interface import FLOAT, INPUTS, INT, checked_outputs
from prefmodel.bundle import Bundle
from prefmodel.bundle_files import LIMITS, TORCH, read_file
from prefmodel.errors import BundleError, one_line
from training.backbones import OneStepClassifier
from training.model import Heads, PreferenceNet
from training.packing import try_packing
from training.precision import has_bfloat16

GPU_TOKENS, CPU_TOKENS = 65_536, 2_048

_log = logging.getLogger("prefmodel")


def open_torch(bundle: Bundle, threads: int) -> TorchBackend:
    """Return the backend for a bundle with `TORCH` weights, on the first GPU or, without one, on the CPU."""
    return TorchBackend(bundle, threads, "cuda:0" if torch.cuda.is_available() else "cpu")


class TorchBackend:
    """Runs the network in torch; see `prefmodel.backends.interface.Backend`.

    Products are of bfloat16 where the device has such, else of float32. On a GPU the rows of a batch are packed: they
    follow each other without padding, and attention keeps to each. An architecture that cannot be packed is padded.

    Args:
        bundle: has the files `TORCH`.
        threads: CPU threads of one run, and of all else that torch does in this process.
        device: "cpu" or "cuda:0".
        packed: whether to pack; by default on a GPU.
        bfloat16: whether to compute in it; by default where the device does.

    Raises:
        BundleError: the weights cannot be read, or are not those of the architecture.
    """

    name = "torch"

    def __init__(
        self, bundle: Bundle, threads: int, device: str, packed: bool | None = None, bfloat16: bool | None = None
    ):
        torch.set_num_threads(threads)
        self.device, on_gpu = device, device != "cpu"
        self.path = bundle.folder / TORCH[0]
        half = has_bfloat16(device) if bfloat16 is None else bfloat16
        self.compute = "bfloat16" if half else "float32"
        self.contributions = len(bundle.contributions)
        self.batch_tokens = GPU_TOKENS if on_gpu else CPU_TOKENS
        self._net = _net(bundle).eval().requires_grad_(False).to(device)
        for parameter in self._net.parameters() if half else ():  # not the buffers: positions need all their digits
            parameter.data = parameter.data.bfloat16()
        self._net.heads.float()  # every error in them goes straight to the score
        self._net.heads.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
        self.packed = on_gpu if packed is None else packed
        if self.packed:
            self.packed = self._try_packing()

    def run(self, batch: dict[str, INT]) -> tuple[FLOAT, FLOAT]:
        """Return (logits [batch], contributions [batch, n]); see `Backend.run`."""
        try:
            found = self._contributions(batch)
        except (RuntimeError, IndexError, ValueError) as error:
            raise BundleError(f"{self.path}: torch: {one_line(error)}") from None
        logits = found.sum(1, keepdims=True)
        return checked_outputs(self.path, logits, found, len(batch["input_ids"]), self.contributions)

    def _contributions(self, batch: dict[str, INT]) -> FLOAT:
        with torch.inference_mode():
            inputs = [torch.from_numpy(batch[name]).to(self.device, non_blocking=True) for name in INPUTS]
            found: FLOAT = self._net(*inputs).float().cpu().numpy()
            return found

    def _try_packing(self) -> bool:
        """Pack from now on where that gives the same scores; else say why not."""

        def compute(batch: dict[str, Tensor]) -> Tensor:
            return torch.from_numpy(self._contributions({name: tensor.numpy() for name, tensor in batch.items()}))

        reason = try_packing(self._net.classifier, compute)
        if reason:
            kind = type(self._net.classifier).__name__
            _log.warning("warning: %s cannot be packed (%s); batches are padded", kind, reason)
        return not reason


def _net(bundle: Bundle) -> PreferenceNet:
    """Build the network from `config.json` alone and fill it: no file but those that were checked is opened."""
    try:
        config = json.loads(read_file(bundle.folder / "config.json", LIMITS["config.json"]))
        weights, heads = (load_tensors(read_file(bundle.folder / name, LIMITS[name])) for name in TORCH)
        classifier = _empty(config)
        missing, unknown = classifier.load_state_dict(weights, strict=False)
        if unknown or {*missing} - {*classifier.all_tied_weights_keys}:  # a tied weight is stored once
            raise ValueError(f"{missing + unknown}")
        of = Heads.of(heads)
        return PreferenceNet(classifier, of.weight, of.bias, length=of.length)
    except Exception as error:  # of safetensors, of transformers, of torch: no common base
        raise BundleError(f"{bundle.folder / TORCH[0]}: not the weights of config.json: {one_line(error)}") from None


def _empty(config: dict[str, Any]) -> Any:
    """Return the classifier that a `config.json` describes, with no weights of its own.

    Made from a folder, it would also take code, adapters and kernels that the folder or the configuration names.
    """
    left_out = ("model_type", "auto_map", "quantization_config", "attn_implementation", "_attn_implementation")
    settings = {name: value for name, value in config.items() if name not in left_out}
    made = AutoConfig.for_model(config["model_type"], **settings)
    if made.is_encoder_decoder:
        return OneStepClassifier(made)
    return AutoModelForSequenceClassification.from_config(made)  # type: ignore[no-untyped-call]
