r"""Low-rank adapters: small changes of large frozen matrices, merged into them after training.

.. math:: W = W_0 + B A, \qquad B \in \mathbb{R}^{m \times r},\; A \in \mathbb{R}^{r \times n}

for the linear maps of attention and of the two-layer network in every block (LoRA, Hu et al. 2021,
section 4.1), and at both ends of the model for those that all fields share: the operators of near
neighbours, whose kernels count as matrices of a row for each channel that comes out, and the maps
between fine patches and tokens. :math:`B` starts at zero, so that nothing changes before training;
the gradient of :math:`A` is therefore zero in the first step and moves from the second on. Rows of
fields and numbers that are new to the model train as well; all others are frozen.

Both are parametrizations of torch: the model's code sees the whole matrix, and its names are its
own again once `merge` has been called.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mpp.model.axial import AxialTransformer

FIELD_ROWS = ("rows", "bias")
"""What an end of the model holds by field; the bias of an embedding is not by field."""
NUMBER_ROWS = ("direction", "offset", "head", "head_bias")
"""What the model holds by number."""


class LowRank(nn.Module):
    """A matrix, or the kernel of a convolution, with a product of two thin matrices added.

    Args:
        rows: Rows of the matrix.
        columns: Its columns.
        rank: Columns of the first factor and rows of the second.
    """

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.up = nn.Parameter(torch.zeros(rows, rank))
        self.down = nn.Parameter(torch.randn(rank, columns) / columns**0.5)

    def forward(self, matrix: Float[Tensor, "row *column"]) -> Float[Tensor, "row *column"]:
        return matrix + (self.up @ self.down).view_as(matrix)


class NewRows(nn.Module):
    """A table of which only the rows behind the old ones are parameters.

    Args:
        table: The whole table.
        old: How many of its rows, from the first on, stay as they are.
    """

    def __init__(self, table: Float[Tensor, "row *rest"], old: int) -> None:
        super().__init__()
        self.old = nn.Buffer(table[:old].detach().clone())

    def forward(self, new: Float[Tensor, "new *rest"]) -> Float[Tensor, "row *rest"]:
        return torch.cat([self.old, new])

    def right_inverse(self, table: Float[Tensor, "row *rest"]) -> Float[Tensor, "new *rest"]:
        return table[len(self.old) :].clone()


Mapped = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d


def matrices(model: AxialTransformer) -> Iterator[tuple[str, Mapped]]:
    """The maps that adapters are for, by name: all of the blocks and of both ends."""
    for part in ("blocks", "embed", "readout"):
        for name, module in getattr(model, part).named_modules(prefix=part):
            if isinstance(module, Mapped):
                yield name, module


def tables(model: AxialTransformer) -> Iterator[tuple[str, nn.Module, str]]:
    """What has a row for each field or number: its full name, its owner and its name there."""
    for end in ("embed", "readout"):
        for rank, module in getattr(model, end).items():
            kept = FIELD_ROWS if end == "readout" else FIELD_ROWS[:1]
            yield from ((f"{end}.{rank}.{name}", module, name) for name in kept)
    yield "speed", model, "speed"
    yield from ((f"numbers.{name}", model.numbers, name) for name in NUMBER_ROWS)


def adapt(model: AxialTransformer, rank: int, fields: int, numbers: int) -> None:
    """Freeze a model but for adapters, which it gets here, and for its newest rows.

    Args:
        model: The model, already grown; it is changed.
        rank: Rank of the adapters.
        fields: How many of its fields, from the first on, are old.
        numbers: The same of its numbers.
    """
    model.requires_grad_(False)
    for name, owner, table in list(tables(model)):
        old = numbers if name.startswith("numbers") else fields
        rows = getattr(owner, table)
        if len(rows) > old:
            rows.requires_grad_(True)
            parametrize.register_parametrization(owner, table, NewRows(rows, old))
    for _, module in list(matrices(model)):
        rows, columns = module.weight.flatten(1).shape
        low = LowRank(rows, columns, rank).to(module.weight)
        parametrize.register_parametrization(module, "weight", low)


def merge(model: nn.Module) -> None:
    """Make adapters and new rows part of the matrices and tables they belong to."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)


def adapters(model: AxialTransformer) -> dict[str, Tensor]:
    """What was trained of an adapted model: both factors by matrix, and new rows by table."""
    found = {}
    for name, module in matrices(model):
        low: LowRank = module.parametrizations.weight[0]  # type: ignore[union-attr, assignment]
        found |= {f"{name}.up": low.up.detach(), f"{name}.down": low.down.detach()}
    for name, owner, table in tables(model):
        if parametrize.is_parametrized(owner, table):
            found[name] = owner.parametrizations[table].original.detach()  # type: ignore[index]
    return found


@torch.no_grad()
def attach(model: AxialTransformer, found: dict[str, Tensor]) -> None:
    """Put what `adapters` gave into a model that is grown and adapted alike."""
    for name, value in adapters(model).items():
        value.copy_(found[name])
