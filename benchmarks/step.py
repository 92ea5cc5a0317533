"""Training windows per second and peak memory: the default model against the published AViT.

The published model trains as its authors wrote it: float32, every frame decoded, normalized squared
error of the last one, AdamW. The default model trains as `mpp pretrain` does: the change loss on
every frame, Muon with AdamW. Both take turns in one process; memory is measured in one each.

example: python benchmarks/step.py --json step.json
"""

import argparse
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import torch
from contenders import FULL, NAMES, TINY, Shape, autocast, parameters
from measuring import (
    alternate,
    choose_precision,
    compare,
    count_gflop,
    product_rate,
    resident_mib,
    speed,
)
from reporting import options, prepare, report, write
from torch import Tensor

from mpp.batch import Batch
from mpp.train.loss import change_loss, nmse_loss
from mpp.train.optimizer import muon_adamw

CLIP = 1.0
"""Both trainings clip the norm of their gradients here."""


class PublishedTraining:
    """The published model with its loss and optimizer.

    Args:
        shape: How the model is built, and what it is given.
        windows: Windows in a batch.
        device: Where it trains.
    """

    precision = "float32"

    def __init__(self, shape: Shape, windows: int, device: str) -> None:
        torch.manual_seed(0)
        self.batch, self.device = shape.batch(windows, shape.frames + 1).to(device), device
        self.usual_change = torch.full((len(NAMES),), 0.1, device=device)
        self.model = self._build(shape).to(device).train()
        self.trained = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = self._optimizer()

    def _build(self, shape: Shape) -> torch.nn.Module:
        return shape.build_published()

    def _optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.AdamW(self.trained, lr=1e-4)

    def _loss(self, batch: Batch) -> Tensor:
        predicted = self.model.every_frame(batch.window(0, batch.frames - 1))[:, -1:]  # type: ignore[operator]
        return nmse_loss(predicted, batch.values, self.usual_change).mean()

    def gradients(self) -> None:
        """Forward and backward."""
        with autocast(self.device, self.precision):
            loss = self._loss(self.batch)
        loss.backward()

    def step(self) -> None:
        """One training step."""
        self.gradients()
        torch.nn.utils.clip_grad_norm_(self.trained, CLIP)
        self.optimizer.step()
        self.optimizer.zero_grad()


class DefaultTraining(PublishedTraining):
    """The default model with its loss and optimizer.

    Args:
        shape: How the model is built, and what it is given.
        windows: Windows in a batch.
        device: Where it trains.
        precision: Precision of its products.
        compiled: Whether the model is compiled.
    """

    def __init__(
        self, shape: Shape, windows: int, device: str, precision: str, compiled: bool
    ) -> None:
        super().__init__(shape, windows, device)
        self.precision = precision
        if compiled:
            self.model.compile(fullgraph=True)

    def _build(self, shape: Shape) -> torch.nn.Module:
        return shape.build_default()

    def _optimizer(self) -> torch.optim.Optimizer:
        return muon_adamw(self.model, lr=1e-4, weight_decay=0.01)

    def _loss(self, batch: Batch) -> Tensor:
        predicted = self.model(batch.window(0, batch.frames - 1))
        return change_loss(predicted, batch.values, self.usual_change).mean()


def training_of(name: str, arguments: argparse.Namespace, precision: str) -> PublishedTraining:
    """One of the two, as the arguments say."""
    common = (TINY if arguments.quick else FULL, arguments.windows, arguments.device)
    if name == "published":
        return PublishedTraining(*common)
    return DefaultTraining(*common, precision, arguments.compile)


def peak_mib(name: str, arguments: argparse.Namespace, precision: str) -> float | None:
    """Most memory of two training steps, weights included, beyond what the process had before."""
    if arguments.threads is not None:
        torch.set_num_threads(arguments.threads)
    before = resident_mib()
    training = training_of(name, arguments, precision)
    for _ in range(2):  # the first makes the optimizer's state, the second starts with it
        training.step()
    if arguments.device == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    peak = resident_mib(peak=True)
    return None if peak is None or before is None else peak - before


def peak_mib_apart(name: str, arguments: argparse.Namespace, precision: str) -> float | None:
    """`peak_mib` in a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak_mib, name, arguments, precision).result()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything, as one object."""
    names, device = ("published", "default"), arguments.device
    rates = {name: product_rate(name, device) for name in ("float32", "bfloat16")}
    precision = choose_precision(arguments.precision, rates)
    memory = {name: peak_mib_apart(name, arguments, precision) for name in names}
    trainings = {name: training_of(name, arguments, precision) for name in names}
    work = {name: count_gflop(training.gradients) for name, training in trainings.items()}
    found = alternate({n: t.step for n, t in trainings.items()}, arguments.rounds, device)
    timings = {n: [timing.per(arguments.windows) for timing in some] for n, some in found.items()}
    shape = TINY if arguments.quick else FULL
    models = {
        name: {
            "parameters": parameters(training.model),
            "arguments": getattr(shape, name),
            "precision": training.precision,
            "compiled": name == "default" and arguments.compile,
            "training_mib": memory[name],
            **speed(
                timings[name], work[name] / arguments.windows, rates[training.precision], device
            ),
        }
        for name, training in trainings.items()
    }
    ratio = compare(timings["published"], timings["default"])
    models["default"] |= ratio
    used = [memory[name] for name in names]
    return report(
        arguments,
        "window",
        "training windows per second, default over published",
        shape.described(),
        rates,
        **ratio,
        memory_ratio=used[1] / used[0] if used[0] and used[1] else None,
        models=models,
    )


def main() -> None:
    """Measure as the arguments say."""
    parser = options(__doc__, windows=8)
    arguments = parser.parse_args()
    prepare(parser, arguments)
    write(measure(arguments), arguments.json)


if __name__ == "__main__":
    main()
