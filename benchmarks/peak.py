"""The most products and sums a second that this machine gives in a plain large matrix product, by precision.

    python benchmarks/peak.py --threads 1,2

Square products of `SIZE`, best of some tries, since what disturbs a run only makes it slower: torch's (oneDNN or MKL)
and onnxruntime's, which has none of bfloat16 on CPUs. The peak of a precision is that of the faster one. A product and
a sum count as two operations. The benchmark of peers runs this file in an environment that has both.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

SIZE = 2048


def kernels(threads: int) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Yield precision, the kernel's name, and one product of two [SIZE, SIZE] matrices.

    What torch would emulate on this CPU is left out: one such product takes half a minute, and the peak is none of it.
    """
    import torch

    from training.precision import has_bfloat16

    torch.set_num_threads(threads)
    for name in ("float32", "bfloat16") if has_bfloat16("cpu") else ("float32",):
        a, b = (torch.randn(SIZE, SIZE).to(getattr(torch, name)) for _ in range(2))
        yield name, "torch.matmul", lambda a=a, b=b: torch.matmul(a, b)  # type: ignore[misc]
    capabilities = torch.cpu.get_capabilities()
    if any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8")):
        c, d = (torch.randint(-127, 128, (SIZE, SIZE), dtype=torch.int8) for _ in range(2))
        yield "int8", "torch._int_mm", lambda: torch._int_mm(c, d)
    try:
        yield "float32", "onnxruntime MatMul", onnxruntime_product("MatMul", threads)
        yield "int8", "onnxruntime MatMulInteger", onnxruntime_product("MatMulInteger", threads)
    except ImportError:
        return


def onnxruntime_product(operator: str, threads: int) -> Callable[[], Any]:
    """Return onnxruntime's product with constant weights: of float32, or of unsigned with signed bytes."""
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    whole = operator == "MatMulInteger"
    weights = random.integers(-127, 128, (SIZE, SIZE)).astype(np.int8 if whole else np.float32)
    kind, result = (TensorProto.UINT8, TensorProto.INT32) if whole else (TensorProto.FLOAT, TensorProto.FLOAT)
    shape = [SIZE, SIZE]
    graph = helper.make_graph(
        [helper.make_node(operator, ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info("a", kind, shape)],
        [helper.make_tensor_value_info("c", result, shape)],
        [numpy_helper.from_array(weights, "b")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {"a": random.integers(0, 256, shape).astype(np.uint8 if whole else np.float32)}
    return lambda: session.run(None, feeds)


def rate(product: Callable[[], Any], seconds: float) -> float:
    """Return the highest rate seen in some time, in 10^9 operations a second."""
    product()
    best, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        started = time.perf_counter()
        product()
        best = min(best, time.perf_counter() - started)
    return 2e-9 * SIZE**3 / best


def peaks(threads: int, seconds: float) -> dict[str, dict[str, float]]:
    """Return rates by precision and kernel, 10^9 operations a second."""
    found: dict[str, dict[str, float]] = {}
    for precision, kernel, product in kernels(threads):
        try:
            found.setdefault(precision, {})[kernel] = rate(product, seconds)
        except Exception as error:  # a kernel that this machine or version does not have
            print(f"{precision}, {kernel}: {error}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", default="1,2", help="numbers of threads, by commas")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each kernel")
    parser.add_argument("--json", help="file for the result")
    arguments = parser.parse_args()
    cpus = sorted(os.sched_getaffinity(0))
    found = {}
    for threads in map(int, arguments.threads.split(",")):
        os.sched_setaffinity(0, cpus[:threads])
        found[threads] = peaks(threads, arguments.seconds)
    for threads, rates in found.items():
        for precision, kernels_ in rates.items():
            for kernel, value in kernels_.items():
                print(f"{threads} threads, {precision:<9} {kernel:<26} {value:8.1f} GFLOP/s")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(found, file)


if __name__ == "__main__":
    main()
