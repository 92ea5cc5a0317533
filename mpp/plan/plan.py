"""A training before it runs: its operations, memory and time, and how they grow.

The time is that of a roofline (Williams et al. 2009): each kernel takes as long as its operations
or its bytes do, whichever is more, and the whole is divided by the share of these limits that is
reached. On this machine that share is measured with a few real steps of a smaller case; for other
hardware it is stated.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mpp.batch import Batch
from mpp.devices import accelerator, finish
from mpp.errors import require_at_least
from mpp.model.axial import AxialTransformer
from mpp.model.surrogate import Surrogate
from mpp.plan.count import Work, count, extended, mixed
from mpp.plan.machine import REACHED, Machine, card, here
from mpp.plan.shape import Shape
from mpp.train.loss import change_loss, rollout_loss
from mpp.train.optimizer import MuonAdamW, split_parameters

Make = Callable[[Sequence[str]], Surrogate]
"""Makes a model with rows for these names."""
NUMBER = 4
"""Bytes of a number in single precision, in which weights are kept whatever the precision."""
PROBE_SECONDS, LONGEST_PROBE = 2.0, 1.0
"""How long real steps are measured, and how long one of them should take by the arithmetic."""
GRADIENTS = "gradients and what they need"
"""What lives at once, at most, beyond weights and the optimizer's state."""
SMALL = {"width": 256, "depth": 2, "heads": 4}
"""A model to measure with in place of one that is too large to be tried."""


@dataclass(frozen=True)
class Training:
    """What is planned.

    Args:
        make: Makes the model from the names of its fields.
        shapes: Windows of each system, drawn equally often.
        batch_size: Windows in a batch.
        steps: Optimizer steps.
        precision: ``32-true`` or ``bf16-mixed``.
        accumulate: Batches an optimizer step.
        rolled: Share of the batches that are rolled out on the model's own frames.
        checkpointing: Whether blocks are computed anew for their gradient.

    Raises:
        InputError: A number below one.
    """

    make: Make
    shapes: tuple[Shape, ...]
    batch_size: int = 2
    steps: int = 500
    precision: str = "32-true"
    accumulate: int = 1
    rolled: float = 0.25
    checkpointing: bool = False

    def __post_init__(self) -> None:
        require_at_least(
            1, batch_size=self.batch_size, steps=self.steps, accumulate=self.accumulate
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Every field of every system, once."""
        return tuple(dict.fromkeys(name for shape in self.shapes for name in shape.names))

    @cached_property
    def empty(self) -> Surrogate:
        """The model without values."""
        with torch.device("meta"):
            return self.model(self.names)

    def frames(self, shape: Shape) -> int:
        """Frames of a window, the last target included, as training chooses them."""
        return 1 + max(self.empty.history, min(self.empty.training_frames, shape.frames - 1))

    def model(self, names: Sequence[str]) -> Surrogate:
        """The model to train."""
        made = self.make(names)
        if isinstance(made, AxialTransformer):
            made.checkpointing = self.checkpointing
            made.numbers.grow([f.name for shape in self.shapes for f in shape.parameters])
        return made


@dataclass(frozen=True)
class Growth:
    """How cost changes when one thing is doubled, as factors."""

    what: str
    parameters: float
    flops: float
    memory: float


@dataclass(frozen=True)
class Plan:
    """What a training will take.

    Args:
        model: Class of the model.
        parameters: Trained numbers, by part.
        flops: Operations of an optimizer step, by part.
        memory: Bytes, by what they hold.
        reached: Share of the hardware's limits that training reaches.
        measured: Whether that share was measured, not stated.
        hardware: What it runs on.
        available: Bytes the hardware has; ``nan`` where that is not known.
        seconds_a_step: Time of an optimizer step.
        steps: Optimizer steps.
    """

    model: str
    parameters: dict[str, int]
    flops: dict[str, float]
    memory: dict[str, float]
    reached: float
    measured: bool
    hardware: str
    available: float
    seconds_a_step: float
    steps: int

    @property
    def seconds(self) -> float:
        """Time of all optimizer steps; validation comes on top."""
        return self.steps * self.seconds_a_step

    @property
    def fits(self) -> bool:
        """Whether it fits into the hardware's memory, as far as that is known."""
        return not sum(self.memory.values()) > self.available

    def to_dict(self) -> dict[str, Any]:
        """Everything by name, with the sums."""
        return {
            **asdict(self),
            "seconds": self.seconds,
            "fits": self.fits,
            "total_parameters": sum(self.parameters.values()),
            "total_flops": sum(self.flops.values()),
            "total_memory": sum(self.memory.values()),
        }


def plan(
    training: Training,
    hardware: str = "here",
    reached: float | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,
) -> Plan:
    """Work out what a training takes.

    Args:
        training: What is planned.
        hardware: ``here`` or a name of `mpp.plan.machine.CARDS`.
        reached: Share of its limits that training reaches there; when left out, measured here and
            `REACHED` elsewhere.
        advance: Called with the number of things worked out and of all.

    Raises:
        InputError: Unknown hardware, or data that the model cannot take.
    """
    machine = here() if hardware == "here" else card(hardware)
    total, works = len(training.shapes) + 2, []
    first = plain_work_of(training, training.shapes[0])
    for shape in training.shapes:
        works.append(work_of(training, shape, None if works else first))
        advance(len(works), total)
    optimizer = optimizer_work(training)
    share, measured = reached, False
    if share is None:
        measured = hardware == "here"
        share = reached_here(training, machine, first) if measured else REACHED
    advance(len(works) + 1, total)
    batches = training.accumulate / len(works)
    seconds = batches * sum(map(machine.seconds, works)) + machine.seconds(optimizer)
    flops: dict[str, float] = {}
    for work in works:
        for part, number in work.flops.items():
            flops[part] = flops.get(part, 0) + batches * number
    flops["optimizer"] = optimizer.total
    memory = _memory(training, works, optimizer)
    if machine.spare:
        memory["holes between them"] = machine.spare * memory[GRADIENTS]
    return Plan(
        model=type(training.empty).__name__,
        parameters=works[0].parameters,
        flops=flops,
        memory=memory,
        reached=share,
        measured=measured,
        hardware=machine.name,
        available=machine.memory,
        seconds_a_step=seconds / share,
        steps=training.steps,
    )


def plain_work_of(training: Training, shape: Shape) -> Work:
    """Forward and backward pass of a batch of a system that is not rolled out."""
    return _count(training, shape, _loss)


def work_of(training: Training, shape: Shape, plain: Work | None = None) -> Work:
    """Forward and backward pass of a batch of a system, rollouts included as often as they come.

    Args:
        training: What is planned.
        shape: Windows of the system.
        plain: What `plain_work_of` gave for it, if it was asked.
    """
    plain, frames = plain or plain_work_of(training, shape), training.frames(shape)
    rolls = training.rolled and isinstance(training.empty, AxialTransformer)
    later = frames - 1 - frames // 2
    if not rolls or later < 1:
        return plain
    # Every step after the first is like the second.
    one, two = (_count(training, shape, _rolled_loss, frames // 2 + k) for k in (2, 3))
    return mixed(plain, extended(one, two, later), training.rolled)


def _count(
    training: Training, shape: Shape, loss: Callable[..., Tensor], rolled: int | None = None
) -> Work:
    frames = training.frames(shape)

    def make() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
        batch = shape.batch(training.batch_size, rolled or frames)
        return training.model(training.names), lambda model: loss(model, batch, frames // 2)

    found = count(make, training.precision)
    if training.checkpointing:
        found = replace(found, peak=count(make, training.precision, by_part=False).peak)
    return found


def _loss(model: Surrogate, batch: Batch, given: int) -> Tensor:
    """The loss of steps from true frames, however many are given."""
    predicted = model(batch.window(0, batch.frames - 1))
    return change_loss(predicted, batch.values, torch.ones(len(batch.fields)), batch.mask).mean()


def _rolled_loss(model: AxialTransformer, batch: Batch, given: int) -> Tensor:
    """The loss of a rollout from the first frames."""
    usual, true = torch.ones(len(batch.fields)), batch.values
    predicted = model.free_run(batch.window(0, batch.frames - 1), given)
    steps = change_loss(predicted[:, :given], true[:, : given + 1], usual, batch.mask)
    start, targets = true[:, given - 1 : given], true[:, given + 1 :]
    later = rollout_loss(predicted[:, given:], targets, start, usual, batch.mask)
    return steps.mean() + later.mean()


def optimizer_work(training: Training) -> Work:
    """An update of all parameters by the default optimizer."""

    def make() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
        def update(model: nn.Module) -> Tensor:
            matrices, others = split_parameters(model)
            for matrix in matrices:
                matrix.grad = torch.zeros_like(matrix)
            MuonAdamW(matrices, others).step()
            return matrices[0]

        return training.model(training.names), update

    return count(make, backward=False)


def _memory(training: Training, works: Sequence[Work], update: Work) -> dict[str, float]:
    matrices, others = (
        sum(parameter.numel() for parameter in part) for part in split_parameters(training.empty)
    )
    # Gradients come with the backward pass and live through the update, which adds its own.
    step = max(work.peak for work in works)
    updating = update.peak - NUMBER * matrices + NUMBER * others
    return {
        "weights": NUMBER * (matrices + others),
        "optimizer": NUMBER * (matrices + 2 * others),
        GRADIENTS: max(step, updating),
    }


def growth(training: Training) -> list[Growth]:
    """What doubling one thing does to a plain step of the first system."""
    first = replace(training, shapes=training.shapes[:1], rolled=0.0)
    shape = first.shapes[0]
    base = work_of(first, shape)
    before = sum(_memory(first, [base], optimizer_work(first)).values())
    cases: dict[str, Training] = {
        "points along each axis": replace(first, shapes=(shape.resized(2),)),
        "fields": replace(first, shapes=(shape.doubled(),)),
        "windows in a batch": replace(first, batch_size=2 * first.batch_size),
    }
    arguments = first.empty.arguments
    for name, what in (("history", "history"), ("width", "width"), ("depth", "blocks")):
        if name in arguments:
            cases[what] = replace(first, make=_changed(first, {name: 2 * arguments[name]}))
    if "history" in cases:
        longer = replace(shape, frames=2 * shape.frames)
        cases["history"] = replace(cases["history"], shapes=(longer,))
    found = []
    for what, case in cases.items():
        work = work_of(case, case.shapes[0])
        found.append(
            Growth(
                what,
                sum(work.parameters.values()) / sum(base.parameters.values()),
                work.total / base.total,
                sum(_memory(case, [work], optimizer_work(case)).values()) / before,
            )
        )
    return found


def _changed(training: Training, arguments: dict[str, Any]) -> Make:
    """Makes the planned model with other arguments."""

    def make(names: Sequence[str]) -> Surrogate:
        model = training.make(names)
        return type(model)(**{**model.arguments, **arguments})

    return make


def reached_here(training: Training, machine: Machine, plain: Work) -> float:
    """Share of the machine's limits that real steps reach, of the planned model on a smaller grid.

    A model that is too large to be tried is measured on a smaller one.

    Args:
        training: What is planned.
        machine: This machine.
        plain: What `plain_work_of` gave for the first system.
    """
    case, work = replace(training, shapes=training.shapes[:1], rolled=0.0), plain
    for _ in range(4):
        if machine.seconds(work) <= LONGEST_PROBE:
            break
        if case.batch_size > 1:
            case = replace(case, batch_size=1)
        else:
            case = replace(case, shapes=(case.shapes[0].resized(0.5),))
        work = plain_work_of(case, case.shapes[0])
    else:
        case = replace(case, make=_changed(case, SMALL))
        work = plain_work_of(case, case.shapes[0])
    device = accelerator()
    batch = case.shapes[0].batch(case.batch_size, case.frames(case.shapes[0])).to(device)
    model = case.model(case.names).to(device)
    times: list[float] = []
    began = time.perf_counter()
    while len(times) < 4 or time.perf_counter() < began + PROBE_SECONDS:
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=case.precision == "bf16-mixed"):
            loss = _loss(model, batch, batch.frames)
        loss.backward()
        finish(device)
        times.append(time.perf_counter() - start)
        model.zero_grad()
    del model, batch
    gc.collect()
    return machine.seconds(work) / statistics.median(times[1:])
