"""How fast hardware computes and moves data: data sheets, and what is here by a second's trial."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from mpp.devices import accelerator, finish
from mpp.errors import InputError
from mpp.plan.count import Work

MEGABYTES = (1, 16, 64)
"""Sizes of the tensors that memory is timed with: near, beyond the caches, and newly mapped."""


@dataclass(frozen=True)
class Machine:
    """What limits a kernel.

    Args:
        name: What it is called.
        flops: Single-precision operations a second of a matrix product.
        half: The same in bfloat16.
        bandwidth: Bytes a second, by the bytes that a kernel moves; straight in the logarithms.
        overhead: Seconds to start a kernel.
        memory: Bytes there are.
        spare: What the allocator takes beyond the tensors that live at once, as a share of them.
    """

    name: str
    flops: float
    half: float
    bandwidth: tuple[tuple[float, float], ...]
    overhead: float
    memory: float
    spare: float = 0.0

    def seconds(self, work: Work) -> float:
        """Time of the work if every kernel reached one of the limits."""
        sizes, speeds = np.log(np.array(self.bandwidth)).T
        total = 0.0
        for call, number in work.calls.items():
            moved = call.nbytes / math.exp(np.interp(math.log(call.nbytes + 1), sizes, speeds))
            computed = call.flops / (self.half if call.half else self.flops)
            total += number * (self.overhead + max(moved, computed))
        return total


def _card(name: str, flops: float, half: float, bandwidth: float, gigabytes: int) -> Machine:
    speed = ((1.0, 1e9 * bandwidth), (1e12, 1e9 * bandwidth))
    return Machine(name, 1e12 * flops, 1e12 * half, speed, LAUNCH, 1e9 * gigabytes)


HOLES = 0.3
"""What the C library leaves free between the tensors of a step: a quarter to a third of them, as
experiments/README.md says. Given back at once, as GPUs do it, a step takes twice as long."""
LAUNCH = 5e-6
"""Seconds to start a kernel on a GPU from Python, at best."""
CARDS = {
    "a100": _card("NVIDIA A100 80GB", 19.5, 312, 2039, 80),
    "h100": _card("NVIDIA H100 SXM", 67, 989, 3350, 80),
    "h200": _card("NVIDIA H200 SXM", 67, 989, 4800, 141),
    "l40s": _card("NVIDIA L40S", 91.6, 362, 864, 48),
    "rtx4090": _card("NVIDIA RTX 4090", 82.6, 165, 1008, 24),
}
"""From the makers' data sheets: operations without sparsity, float32 without TF32, as PyTorch
computes it unless told otherwise."""
REACHED = 0.4
"""Share of its limits that training reaches on hardware that nothing was measured on; shares of 0.3
to 0.5 are what published trainings of transformers report."""


def card(name: str) -> Machine:
    """Hardware by its name.

    Raises:
        InputError: It is not in the table.
    """
    if name not in CARDS:
        raise InputError(f"no hardware {name!r}; expected here or one of {', '.join(CARDS)}")
    return CARDS[name]


def here() -> Machine:
    """Where a training would compute here, from a second of trials.

    That is the accelerator, or the processor with the threads that PyTorch uses.
    """
    device = accelerator()
    on_processor = device.type == "cpu"
    points = 2048 if on_processor else 2**16
    rows, width = torch.randn(points, 192, device=device), torch.randn(192, 768, device=device)
    operations = 2 * rows.numel() * width.shape[1]
    low, small = (rows.bfloat16(), width.bfloat16()), torch.zeros(4, device=device)
    bandwidth = []
    for size in MEGABYTES:
        values = torch.randn(size * 2**18, device=device)
        moved = 3.0 * values.nbytes
        bandwidth.append((moved, moved / _fastest(lambda values=values: values + values, device)))
    name, memory = f"this machine ({torch.get_num_threads()} threads)", float("nan")
    if device.type == "cuda":
        name, memory = torch.cuda.get_device_name(device), float(torch.cuda.mem_get_info(device)[1])
    elif not on_processor:
        name = f"this machine's {device.type}"
    return Machine(
        name=name,
        flops=operations / _fastest(lambda: rows @ width, device),
        half=operations / _fastest(lambda: low[0] @ low[1], device),
        bandwidth=tuple(bandwidth),
        overhead=_fastest(lambda: [small + small for _ in range(100)], device) / 100,
        memory=memory,
        spare=HOLES if on_processor else 0.0,
    )


def _fastest(work: Callable[[], object], device: torch.device, seconds: float = 0.1) -> float:
    """Time of the fastest of many calls; others on the machine only ever make it slower."""
    work()
    finish(device)
    best, began = math.inf, time.perf_counter()
    while time.perf_counter() < began + seconds:
        start = time.perf_counter()
        work()
        finish(device)
        best = min(best, time.perf_counter() - start)
    return best
