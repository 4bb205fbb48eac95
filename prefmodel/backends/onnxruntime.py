"""ONNX Runtime: on the CPU, which is what the base install has, and on NVIDIA GPUs by CUDA or TensorRT."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefmodel.backends.interface import (
    FLOAT,
    INT,
    OUTPUTS,
    checked_columns,
    checked_graph,
    checked_inputs,
    checked_outputs,
    checked_threads,
)
from prefmodel.errors import BundleError, one_line

PROVIDERS = {
    "onnxruntime": "CPUExecutionProvider",
    "onnxruntime-cuda": "CUDAExecutionProvider",
    "onnxruntime-tensorrt": "TensorrtExecutionProvider",
}
"""What ONNX Runtime calls each of these backends; it lists those that the installed build has."""

CPU_BATCH_TOKENS = 1024
"""A batch that fits the cache is faster; `prefmodel tune` measures which size is the fastest on a machine."""
GPU_BATCH_TOKENS = 16_384


class OnnxRuntimeBackend:
    """Runs a bundle's graph with onnxruntime; see `Backend`.

    The graph takes `INPUTS` or some of them, int64 [batch, tokens], and gives `logits` [batch, 1] and `contributions`
    [batch, n], both float32. What else it may hold, `prefmodel.graph` says: the file is read once, checked, and
    onnxruntime gets the bytes that were checked. No part of it is computed before `run`.

    Args:
        path: the `.onnx` file.
        precision: of that graph: "int8", "float32" or "float16".
        threads: CPU threads of one run; by default as many as this process may use.
        name: a key of `PROVIDERS`.

    Raises:
        BundleError: the file is no such graph, or the provider cannot run it; one line that names the file.
        InputError: `threads` is not 1 or more.

    Example:
        >>> import numpy as np
        >>> from prefmodel.backends.interface import INPUTS
        >>> from prefmodel.bundle import Bundle
        >>> bundle = Bundle.open(None)
        >>> backend = OnnxRuntimeBackend(bundle.onnx, bundle.precision, threads=1)
        >>> ids = np.ones((2, 16), np.int64)
        >>> logits, contributions = backend.run({name: ids for name in INPUTS})
        >>> logits.shape, contributions.shape
        ((2,), (2, 7))
    """

    def __init__(self, path: str | Path, precision: str, threads: int | None = None, name: str = "onnxruntime"):
        import onnxruntime

        self.name, self.compute = name, precision
        self.path = Path(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = checked_threads(threads)
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # errors come as exceptions; warnings about graph optimisations help no user
        options.add_session_config_entry("session.load_model_format", "ONNX")  # else the bytes may choose another
        # Optimisers would compute at load time whatever a graph derives from its constants, however large, and crash on
        # some graphs that operators refuse. The default model is as fast without them.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        wanted = PROVIDERS[name]
        # Behind a GPU's provider goes the CPU's: it computes the shapes, which no GPU provider takes.
        providers = list(dict.fromkeys([wanted, PROVIDERS["onnxruntime"]]))
        content = checked_graph(self.path)
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=providers, enable_fallback=0)
        except Exception as error:  # onnxruntime's errors share no base but Exception
            raise self._error(error) from None
        if wanted not in self._session.get_providers():  # onnxruntime goes on without one whose libraries it lacks
            raise BundleError(f"{self.path}: {wanted} cannot be started; its CUDA libraries may be missing")
        self._session._model_bytes = None  # else it keeps a second copy of the weights, to fall back on
        on_gpu = name != "onnxruntime"
        self.device = "cuda:0" if on_gpu else "cpu"
        self.batch_tokens = GPU_BATCH_TOKENS if on_gpu else CPU_BATCH_TOKENS
        inputs = [self._tensor(node, "tensor(int64)") for node in self._session.get_inputs()]
        self._inputs = checked_inputs(self.path, [input_name for input_name, _ in inputs])
        outputs = dict(self._tensor(node, "tensor(float)") for node in self._session.get_outputs())
        self.contributions = checked_columns(self.path, outputs)

    def run(self, batch: dict[str, INT]) -> tuple[FLOAT, FLOAT]:
        """Return (logits [batch], contributions [batch, n]); see `Backend.run`."""
        feeds = {name: batch[name] for name in self._inputs}
        try:
            logits, contributions = self._session.run(list(OUTPUTS), feeds)
        except Exception as error:
            raise self._error(error) from None
        return checked_outputs(self.path, logits, contributions, len(feeds[self._inputs[0]]), self.contributions)

    def _tensor(self, node: Any, kind: str) -> tuple[str, list[Any]]:
        if node.type != kind or len(node.shape) != 2:
            raise BundleError(
                f"{self.path}: {node.name} is {node.type} {node.shape}; allowed: {kind} of two dimensions"
            )
        return node.name, node.shape

    def _error(self, error: Exception) -> BundleError:
        return BundleError(f"{self.path}: {one_line(error)}")
