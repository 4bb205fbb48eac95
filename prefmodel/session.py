"""The only place that runs a network: an ONNX graph on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prefmodel.bundle_files import GRAPH_BYTES, read_file
from prefmodel.errors import BundleError, InputError, one_line, shown
from prefmodel.graph import check_graph

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("logits", "contributions")


class OnnxSession:
    """Runs a bundle's graph with onnxruntime.

    The graph takes `INPUTS` or some of them, int64 [batch, tokens], and gives `logits` [batch, 1] and `contributions`
    [batch, n], both float32. What else it may hold, `prefmodel.graph` says: the file is read once, checked, and
    onnxruntime gets the bytes that were checked. No part of it is computed before `run`.

    Args:
        path: the `.onnx` file.
        threads: CPU threads of one run; by default as many as this process may use.

    Raises:
        BundleError: the file is no such graph; one line that names the file.
        InputError: `threads` is not 1 or more.

    Example:
        >>> from prefmodel.bundle import Bundle
        >>> session = OnnxSession(Bundle.open(None).onnx, threads=1)
        >>> ids = np.ones((2, 16), np.int64)
        >>> logits, contributions = session.run({name: ids for name in INPUTS})
        >>> logits.shape, contributions.shape
        ((2,), (2, 6))
    """

    def __init__(self, path: str | Path, threads: int | None = None):
        import onnxruntime

        if threads is not None and (not isinstance(threads, int) or isinstance(threads, bool) or threads < 1):
            raise InputError(f"threads is {shown(threads)}; allowed: 1 or more, or none for all that are usable")
        self.path = Path(path)
        content = read_file(self.path, GRAPH_BYTES)
        check_graph(content, self.path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or usable_cpus()
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions; warnings about graph optimisations help no user
        options.add_session_config_entry("session.load_model_format", "ONNX")  # else the bytes may choose another
        # Optimisers would compute at load time whatever a graph derives from its constants, however large, and crash on
        # some graphs that operators refuse. The default model is as fast without them.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings = {"providers": ["CPUExecutionProvider"], "enable_fallback": 0}
        try:
            self._session = onnxruntime.InferenceSession(content, options, **settings)
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise self._error(error) from None
        self._session._model_bytes = None  # else it keeps a second copy of the weights, to fall back on
        self.inputs, self.contributions = self._check_interface()

    def run(self, batch: dict[str, NDArray[np.int64]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (logits [batch], contributions [batch, n]), float32, of one padded batch.

        Args:
            batch: int64 arrays [batch, tokens] by input name; those that the graph does not take are left out.

        Raises:
            BundleError: the graph fails, or gives numbers that are not finite or not one row for each input.
        """
        feeds = {name: batch[name] for name in self.inputs}
        try:
            logits, contributions = self._session.run(list(OUTPUTS), feeds)
        except Exception as error:
            raise self._error(error) from None
        shapes, rows = [logits.shape, contributions.shape], len(feeds[self.inputs[0]])
        if shapes != [(rows, 1), (rows, self.contributions)]:  # what a graph declares need not be what it gives
            raise BundleError(f"{self.path}: the graph gives {shapes} for {rows} inputs; allowed: one row for each")
        if not (np.isfinite(logits).all() and np.isfinite(contributions).all()):
            raise BundleError(f"{self.path}: the graph gives numbers that are not finite")
        return logits[:, 0], contributions

    def _check_interface(self) -> tuple[list[str], int]:
        """Return the names of the graph's inputs and the number of contributions."""
        inputs = [self._tensor(node, "tensor(int64)") for node in self._session.get_inputs()]
        unknown = [name for name, _ in inputs if name not in INPUTS]
        if unknown or not inputs:
            raise BundleError(f"{self.path}: inputs are {[n for n, _ in inputs]}; allowed: some of {', '.join(INPUTS)}")
        outputs = dict(self._tensor(node, "tensor(float)") for node in self._session.get_outputs())
        if set(outputs) != set(OUTPUTS):
            raise BundleError(f"{self.path}: outputs are {list(outputs)}; allowed: {', '.join(OUTPUTS)}")
        if outputs["logits"][1] != 1 or not isinstance(outputs["contributions"][1], int):
            raise BundleError(
                f"{self.path}: logits are {outputs['logits']} and contributions {outputs['contributions']}; "
                "allowed: [batch, 1] and [batch, a fixed number]"
            )
        return [name for name, _ in inputs], outputs["contributions"][1]

    def _tensor(self, node: Any, kind: str) -> tuple[str, list[Any]]:
        if node.type != kind or len(node.shape) != 2:
            raise BundleError(
                f"{self.path}: {node.name} is {node.type} {node.shape}; allowed: {kind} of two dimensions"
            )
        return node.name, node.shape

    def _error(self, error: Exception) -> BundleError:
        return BundleError(f"{self.path}: {one_line(error)}")


def usable_cpus() -> int:
    """Return how many CPUs this process may use; not how many the machine has.

    >>> usable_cpus() >= 1
    True
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
