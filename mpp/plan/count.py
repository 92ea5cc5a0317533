"""Operations, memory traffic and living tensors of a training step, counted without computing it.

The step runs on tensors that have a shape and no values (PyTorch's device ``meta``), so that any
model can be counted on any machine. Multiply-adds are two operations each and come from
PyTorch's own table (`torch.utils.flop_counter`); whatever is not in it moves memory only.
"""

import weakref
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from torch.utils.module_tracker import ModuleTracker

FREE = {"prim.device", "aten.detach", "aten._unsafe_view", "aten.lift_fresh"}
"""Operations that look at a tensor and move nothing."""
OTHER = "loss and scales"
"""Part of the work that is in no module below the model."""


class Call(NamedTuple):
    """One kernel: what it computes and moves."""

    flops: int
    nbytes: int
    half: bool


@dataclass(frozen=True)
class Work:
    """What one pass over a batch takes.

    Args:
        calls: How often each kernel is called, by what it computes and moves.
        flops: Floating point operations, by part of the model.
        peak: Bytes of the tensors that live at once, at most, beyond weights and batch.
        parameters: Trained numbers, by part of the model.
    """

    calls: dict[Call, float]
    flops: dict[str, float]
    peak: float
    parameters: dict[str, int]

    @property
    def total(self) -> float:
        """Floating point operations of all parts."""
        return sum(self.flops.values())

    @property
    def nbytes(self) -> float:
        """Bytes moved."""
        return sum(call.nbytes * number for call, number in self.calls.items())


class _Step(nn.Module):
    """A loss as a module, so that whatever part of the model it calls has its full name."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self) -> Tensor:
        return self.loss(self.model)


class _Counter(TorchDispatchMode):
    """Adds up what is called while it is on, by the module that called it."""

    def __init__(self, tracker: ModuleTracker | None) -> None:
        super().__init__()
        self.tracker = tracker
        self.calls: dict[Call, float] = defaultdict(float)
        self.flops: dict[str, float] = defaultdict(float)
        self.living: dict[int, int] = {}
        self.now = self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        self._follow((args, kwargs), new=False)
        result = func(*args, **kwargs)
        kind = func._overloadpacket
        self._follow(result)
        if func.is_view or str(kind) in FREE:
            return result
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        nbytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        flops = 0
        if kind in flop_registry:
            flops = int(flop_registry[kind](*args, **kwargs, out_val=result))
            self.flops[part_of(self.tracker.parents if self.tracker else set())] += flops
        half = bool(tensors) and tensors[0].element_size() == 2
        self.calls[Call(flops, nbytes, half)] += 1
        return result

    def _follow(self, tensors: Any, new: bool = True) -> None:
        """Count what is new for as long as something refers to it."""
        for leaf in tree_leaves(tensors):
            storage = leaf.untyped_storage() if isinstance(leaf, Tensor) else None
            if storage is not None and storage._cdata not in self.living:
                self.living[storage._cdata] = storage.nbytes() if new else 0
                self.now += self.living[storage._cdata]
                weakref.finalize(storage, self._forget, storage._cdata)
        self.peak = max(self.peak, self.now)

    def _forget(self, storage: int) -> None:
        self.now -= self.living.pop(storage)


def part_of(modules: set[str]) -> str:
    """The part of a model that the innermost of these modules belongs to.

    Places in a list of like modules are left out: ``Step.model.blocks.3.time.qkv`` is
    ``blocks.time``.
    """
    inner = max(modules, key=lambda name: name.count("."), default="")
    return _short(inner.split(".")[2:])


def _short(names: list[str]) -> str:
    if not names:
        return OTHER
    inside = len(names) > 2 and names[1].isdigit()
    return f"{names[0]}.{names[2]}" if inside else names[0]


def parameters_of(model: nn.Module) -> dict[str, int]:
    """Trained numbers by the parts that operations are counted by."""
    found: dict[str, int] = defaultdict(int)
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found[_short(name.split("."))] += parameter.numel()
    return dict(found)


def count(
    make: Callable[[], tuple[nn.Module, Callable[[nn.Module], Tensor]]],
    precision: str = "32-true",
    backward: bool = True,
    by_part: bool = True,
) -> Work:
    """Count the work of a loss and its gradient.

    Args:
        make: Makes the model, and the function that gives its loss; called where tensors have no
            values, so that whatever is made takes no memory.
        precision: As the trainer names it; in ``bf16-mixed`` layers work in half precision.
        backward: Whether the gradient is taken too.
        by_part: Whether to find out which part of the model calls what. Looking keeps alive what
            is computed anew for a gradient, so that the peak is then too high.
    """
    with _without_values(precision):
        model, loss = make()
        with (
            ModuleTracker() if by_part else nullcontext() as tracker,
            _Counter(tracker) as counter,
            _autocast(precision),
            torch.set_grad_enabled(backward),
        ):
            value = _Step(model, loss)()
            if backward:
                value.backward()
    return Work(
        calls=dict(counter.calls),
        flops=dict(counter.flops),
        peak=counter.peak,
        parameters=parameters_of(model),
    )


def mixed(first: Work, second: Work, share: float) -> Work:
    """Work of which that share is of the second kind; the peak is the higher of the two."""
    return replace(_sum((1 - share, first), (share, second)), peak=max(first.peak, second.peak))


def extended(one: Work, two: Work, steps: int) -> Work:
    """Work of so many like steps, from that of one and of two of them."""
    found = _sum((2 - steps, one), (steps - 1, two))
    return replace(found, peak=one.peak + (steps - 1) * (two.peak - one.peak))


def _sum(*parts: tuple[float, Work]) -> Work:
    """Work weighted by these factors."""
    calls: dict[Call, float] = defaultdict(float)
    flops: dict[str, float] = defaultdict(float)
    for factor, work in parts:
        for call, number in work.calls.items():
            calls[call] += factor * number
        for part, number in work.flops.items():
            flops[part] += factor * number
    return replace(parts[0][1], calls=dict(calls), flops=dict(flops))


def _without_values(precision: str) -> AbstractContextManager[Any]:
    """Where tensors have no values; the device for that knows nothing of half precision."""
    return FakeTensorMode() if precision == "bf16-mixed" else torch.device("meta")


def _autocast(precision: str) -> AbstractContextManager[Any]:
    return torch.autocast("cpu", torch.bfloat16) if precision == "bf16-mixed" else nullcontext()
