"""How the benchmarks measure: tasks in turn, medians with their spread, never one number alone."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class Timing:
    """One run of a task, or a part of it.

    Args:
        wall: Seconds that passed.
        cpu: Seconds that the processors worked for this process, in all of its threads. Other
            programs on the machine change it far less than ``wall``.
    """

    wall: float
    cpu: float

    def per(self, parts: int) -> Self:
        """The time of one of so many equal parts."""
        return type(self)(self.wall / parts, self.cpu / parts)

    def busy(self, device: str) -> float:
        """Seconds that the device worked: of one GPU, or summed over the cores of processors."""
        return self.wall if device == "cuda" else self.cpu


def alternate(
    tasks: Mapping[str, Callable[[], object]], rounds: int, device: str = "cpu"
) -> dict[str, list[Timing]]:
    """Run every task once a round, one after another, so that a busy machine slows all of them.

    One round before, which is not counted, pays for compilation and first allocations.
    """
    timings: dict[str, list[Timing]] = {name: [] for name in tasks}
    with Progress(console=Console(stderr=True), transient=True) as bar:
        number = bar.add_task("warming up", total=(rounds + 1) * len(tasks))
        for count in range(rounds + 1):
            for name, task in tasks.items():
                timing = timed(task, device)
                if count:
                    timings[name].append(timing)
                bar.update(number, advance=1, description=f"round {count} of {rounds}")
    return timings


def timed(task: Callable[[], object], device: str = "cpu") -> Timing:
    """Run a task and wait for the device to finish it."""
    _wait(device)
    wall, cpu = time.perf_counter(), time.process_time()
    task()
    _wait(device)
    return Timing(time.perf_counter() - wall, time.process_time() - cpu)


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median and interquartile range."""
    if len(values) == 1:
        return {"median": values[0], "interquartile": [values[0], values[0]]}
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "interquartile": [low, high]}


def compare(slow: Sequence[Timing], fast: Sequence[Timing]) -> dict[str, Any]:
    """How many times faster the second is, round by round: neighbours in time compare best."""
    pairs = list(zip(slow, fast, strict=True))
    wall = spread([one.wall / other.wall for one, other in pairs])
    return {
        "ratio": wall["median"],
        "ratio_interquartile": wall["interquartile"],
        "cpu_ratio": spread([one.cpu / other.cpu for one, other in pairs])["median"],
    }


def speed(
    timings: Sequence[Timing], gflop: float, peak: float, device: str = "cpu"
) -> dict[str, Any]:
    """What one unit of work takes, with its floating-point operations.

    Args:
        timings: Of one unit each.
        gflop: Operations of one unit, in 10^9.
        peak: The most of them that could be done in a second (`product_rate`).
        device: Where it ran.
    """
    busy = spread([timing.busy(device) for timing in timings])["median"]
    return {
        "per_second": spread([1 / timing.wall for timing in timings]),
        "seconds": spread([timing.wall for timing in timings]),
        "cpu_seconds": spread([timing.cpu for timing in timings]),
        "gflop": gflop,
        "flop_utilization": gflop / busy / peak,
    }


def count_gflop(task: Callable[[], object]) -> float:
    """Floating-point operations of a task that is not compiled, in 10^9."""
    with FlopCounterMode(display=False) as counter:
        task()
    return counter.get_total_flops() / 1e9


def product_rate(precision: Precision, device: str = "cpu") -> float:
    """GFLOP in a second of one large matrix product, the best of a few, which no model can exceed.

    On processors it is a second of one core.
    """
    size = 8192 if device == "cuda" else 512
    matrix = torch.randn(size, size, device=device).to(getattr(torch, precision))

    def product() -> Tensor:
        return matrix @ matrix

    product()
    return 2e-9 * size**3 / min(timed(product, device).busy(device) for _ in range(5))


def choose_precision(wanted: str, rates: Mapping[Precision, float]) -> Precision:
    """What was asked for; ``auto`` is bfloat16 where its products are faster."""
    if wanted == "auto":
        return "bfloat16" if rates["bfloat16"] > rates["float32"] else "float32"
    return "bfloat16" if wanted == "bfloat16" else "float32"


def resident_mib(peak: bool = False) -> float | None:
    """Memory of this process, or the most it has had; ``None`` where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    lines = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines())
    return int(lines["VmHWM" if peak else "VmRSS"].split()[0]) / 1024
