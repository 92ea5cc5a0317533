r"""Optimizers: Muon for linear maps with AdamW for everything else, or any other package's.

Muon (Jordan et al. 2024) replaces the momentum :math:`M` of a matrix by the nearest orthogonal one,
:math:`(M M^T)^{-1/2} M`, found by Newton-Schulz iterations. The result is scaled by
:math:`0.2 \sqrt{\max(m, n)}`, which gives it the RMS of an AdamW step (Liu et al. 2025), so that
both parts share one learning rate and weight decay. The kernel of a convolution is the matrix that
it is for one patch: as many columns as there are channels and points in it.

`torch.optim.Muon` iterates in bfloat16, which is slow on processors without bfloat16 arithmetic
(measured: 1 GFLOP/s against 78 in float32), and handles one matrix at a time; here matrices of one
shape go together, in the precision that they are stored in.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.optim import Optimizer

from mpp.errors import InputError

MakeOptimizer = Callable[..., Any]
"""Takes the model, the level of the learning rate and the weight decay; gives an optimizer."""
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
"""Layers whose weight is a linear map."""


def orthogonalize(
    matrices: Float[Tensor, "batch row column"], iterations: int = 5
) -> Float[Tensor, "batch row column"]:
    r"""Move the singular values of each matrix to near one, by a quintic Newton-Schulz iteration.

    An iteration is :math:`X \leftarrow P X` with :math:`P = a I + b G + c G^2` and
    :math:`G = X X^T`. All these commute, so that the products of :math:`P` can be gathered from the
    small :math:`G` alone, :math:`G \leftarrow P^2 G`, and meet the long :math:`X` once.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)
    gram, one = x @ x.mT, torch.eye(x.shape[-2]).to(x)
    gathered = one
    for _ in range(iterations):
        factor = a * one + b * gram + c * gram @ gram
        gathered = factor @ gathered
        gram = factor @ gram @ factor
    x = gathered @ x
    return x.mT if tall else x


class MuonAdamW(Optimizer):
    """Muon on two-dimensional weights of layers, AdamW on the rest.

    Args:
        matrices: Parameters that act as linear maps: the first dim is what comes out, all others
            together are what goes in.
        others: All other parameters.
        lr: Learning rate of both parts.
        weight_decay: Decoupled weight decay of the matrices; the others have none.
        momentum: Nesterov momentum of the matrices.
        betas: Running averages of gradient and square for the others.
    """

    def __init__(
        self,
        matrices: Iterable[nn.Parameter],
        others: Iterable[nn.Parameter],
        lr: float = 5e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
    ) -> None:
        groups: list[dict[str, Any]] = [
            {"params": list(matrices), "matrix": True, "weight_decay": weight_decay},
            {"params": list(others), "matrix": False, "weight_decay": 0.0},
        ]
        super().__init__(
            [group for group in groups if group["params"]],
            {"lr": lr, "momentum": momentum, "betas": betas},
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Apply one update to every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            ready = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["matrix"]:
                self._step_matrices(ready, group)
            else:
                self._step_others(ready, group)
        return loss

    def _step_matrices(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        for _, same in groupby(sorted(parameters, key=_shape), key=_shape):
            alike = list(same)
            updates = []
            for parameter in alike:
                state, gradient = self.state[parameter], _gradient(parameter)
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(gradient, 1 - group["momentum"])
                update = gradient.lerp(state["momentum"], group["momentum"])
                updates.append(update.flatten(1))
            steps = orthogonalize(torch.stack(updates))
            size = 0.2 * max(steps.shape[1:]) ** 0.5
            for parameter, step in zip(alike, steps, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(step.view_as(parameter), alpha=-group["lr"] * size)

    def _step_others(self, parameters: list[nn.Parameter], group: dict[str, Any]) -> None:
        first, second = group["betas"]
        for parameter in parameters:
            state, gradient = self.state[parameter], _gradient(parameter)
            if not state:
                state["step"] = torch.zeros((), dtype=torch.float64)
                state["mean"] = torch.zeros_like(parameter)
                state["square"] = torch.zeros_like(parameter)
            state["step"] += 1
            count = state["step"].item()
            state["mean"].lerp_(gradient, 1 - first)
            state["square"].lerp_(gradient.square(), 1 - second)
            mean = state["mean"] / (1 - first**count)
            root = (state["square"] / (1 - second**count)).sqrt()
            parameter.mul_(1 - group["lr"] * group["weight_decay"])
            parameter.addcdiv_(mean, root + 1e-8, value=-group["lr"])


def _gradient(parameter: nn.Parameter) -> Tensor:
    assert parameter.grad is not None  # the callers chose those that have one
    return parameter.grad


def _shape(parameter: nn.Parameter) -> tuple[int, ...]:
    return tuple(parameter.shape)


def split_parameters(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Weights of linear and convolutional layers, which Muon is for, and all other parameters."""
    linear = [module for module in model.modules() if isinstance(module, LINEAR)]
    weights = {id(module.weight) for module in linear}
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trained if id(parameter) in weights]
    others = [parameter for parameter in trained if id(parameter) not in weights]
    return matrices, others


def muon_adamw(model: nn.Module, lr: float, weight_decay: float) -> MuonAdamW:
    """The default optimizer of a model."""
    return MuonAdamW(*split_parameters(model), lr=lr, weight_decay=weight_decay)


@dataclass(frozen=True, repr=False)
class DecayArrays:
    """Any other optimizer, with weight decay on arrays and none on biases and gains.

    Args:
        kind: Its class, such as ``torch.optim.AdamW`` or ``dadaptation.DAdaptAdan``.
        options: Its further arguments by name; learning rate and weight decay come from the run.
    """

    kind: type[Optimizer]
    options: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.kind.__name__}({options})"

    def __call__(self, model: nn.Module, lr: float, weight_decay: float) -> Optimizer:
        """The optimizer of a model.

        Raises:
            InputError: The class does not take these options.
        """
        arrays, vectors = split_by_shape(model)
        groups: list[dict[str, Any]] = [
            {"params": arrays},
            {"params": vectors, "weight_decay": 0.0},
        ]
        groups = [group for group in groups if group["params"]]
        make: Callable[..., Optimizer] = self.kind
        try:
            return make(groups, **{"lr": lr, "weight_decay": weight_decay, **self.options})
        except (TypeError, ValueError) as error:
            raise InputError(f"{self.kind.__name__}: {error}; correct its options") from None


def split_by_shape(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """Trained parameters with more than one dim of more than one entry, and the others."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    arrays = [parameter for parameter in trained if parameter.squeeze().ndim > 1]
    vectors = [parameter for parameter in trained if parameter.squeeze().ndim <= 1]
    return arrays, vectors
