r"""Laws of the optimizer.

The quintic :math:`f(x) = 3.4445 x - 4.7750 x^3 + 2.0315 x^5` acts on each singular value. Its
extrema, at :math:`x^2 = (14.325 \pm \sqrt{14.325^2 - 4 \cdot 10.1575 \cdot 3.4445}) / 20.315`, are
:math:`f(0.555) = 1.202` and :math:`f(1.050) = 0.682`, and it maps [0.682, 1.203] into itself. Below
that a value grows by up to 3.4445 each time, so that five iterations bring every value from about
0.005 of the norm upwards into [0.68, 1.21].
"""

import pytest
import torch
from torch import nn

from mpp.errors import InputError
from mpp.train.optimizer import (
    DecayArrays,
    MuonAdamW,
    muon_adamw,
    orthogonalize,
    split_by_shape,
    split_parameters,
)


def matrix(values, rows=8, columns=8, seed=0):
    """A matrix with the given singular values."""
    generator = torch.Generator().manual_seed(seed)
    left, _ = torch.linalg.qr(torch.randn(rows, len(values), generator=generator).double())
    right, _ = torch.linalg.qr(torch.randn(columns, len(values), generator=generator).double())
    return left, torch.tensor(values, dtype=torch.float64), right


@pytest.mark.parametrize(("rows", "columns"), [(8, 8), (8, 12), (12, 8)])
def test_singular_values_move_to_near_one(rows, columns):
    left, values, right = matrix([1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01], rows, columns)
    result = orthogonalize((left * values) @ right.mT[None])[0]
    moved = left.mT @ result @ right
    found = torch.diagonal(moved)
    assert found.min() > 0.68
    assert found.max() < 1.21
    # Singular vectors stay as they are.
    torch.testing.assert_close(moved, torch.diag(found), atol=1e-9, rtol=0)


def test_every_value_in_reach_lands_in_the_band():
    a, b, c = 3.4445, -4.7750, 2.0315
    x = torch.linspace(0.005, 1, 100_000, dtype=torch.float64)
    for _ in range(5):
        x = a * x + b * x**3 + c * x**5
    assert 0.68 < x.min() < x.max() < 1.21


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_the_size_of_a_gradient_does_not_matter(scale):
    gradient = torch.randn(1, 6, 9, generator=torch.Generator().manual_seed(1)).double()
    torch.testing.assert_close(orthogonalize(gradient * scale), orthogonalize(gradient))


def test_a_matrix_is_treated_as_if_it_were_alone():
    gradients = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(1))
    alone = torch.cat([orthogonalize(gradient[None]) for gradient in gradients])
    torch.testing.assert_close(orthogonalize(gradients), alone)


def test_no_gradient_gives_no_direction():
    assert torch.equal(orthogonalize(torch.zeros(1, 3, 3)), torch.zeros(1, 3, 3))


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 10), nn.LayerNorm(10), nn.Embedding(3, 4), nn.Linear(10, 2))


def quadratic(parameters):
    return sum(((parameter - 1) ** 2).sum() for parameter in parameters)


@pytest.mark.parametrize("part", ["matrices", "others"])
def test_one_step_decreases_a_quadratic(part):
    split = dict(zip(("matrices", "others"), split_parameters(network()), strict=True))
    optimizer = MuonAdamW(split["matrices"], split["others"], lr=1e-2, weight_decay=0)
    before = quadratic(split[part])
    quadratic(split[part]).backward()
    optimizer.step()
    assert quadratic(split[part]) < before


def test_a_quadratic_is_solved():
    weight = nn.Parameter(torch.zeros(4, 6))
    optimizer = MuonAdamW([weight], [], lr=0.1, weight_decay=0)
    for step in range(300):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 300)
        optimizer.zero_grad()
        quadratic([weight]).backward()
        optimizer.step()
    assert (weight - 1).abs().max() < 1e-2


def test_the_first_step_has_the_size_that_the_rate_says():
    # AdamW: mean / sqrt(square) = sign of the gradient at the first step. Muon: the RMS of an
    # orthogonal m x n matrix is 1 / sqrt(max(m, n)), times 0.2 sqrt(max(m, n)), times the band
    # [0.68, 1.21].
    vector, weight = nn.Parameter(torch.zeros(5)), nn.Parameter(torch.zeros(4, 4))
    optimizer = MuonAdamW([weight], [vector], lr=0.01)
    vector.grad = torch.tensor([1.0, -2, 3, -4, 5])
    weight.grad = torch.eye(4)
    optimizer.step()
    torch.testing.assert_close(vector.detach(), -0.01 * vector.grad.sign())
    size = weight.detach().square().mean().sqrt()
    assert 0.68 * 0.2 * 0.01 < size < 1.21 * 0.2 * 0.01


def test_decay_shrinks_matrices_and_nothing_else():
    vector, weight = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2, 2))
    optimizer = MuonAdamW([weight], [vector], lr=0.1, weight_decay=0.5)
    vector.grad, weight.grad = torch.zeros(3), torch.zeros(2, 2)
    optimizer.step()
    torch.testing.assert_close(weight.detach(), torch.full((2, 2), 1 - 0.1 * 0.5))
    assert torch.equal(vector.detach(), torch.ones(3))


@pytest.mark.parametrize("frozen", [False, True])
def test_every_trainable_parameter_is_in_exactly_one_part(make_model, frozen):
    model = make_model(("tracer", "velocity_x"))
    if frozen:
        model.blocks.requires_grad_(False)
    matrices, others = split_parameters(model)
    wanted = [id(parameter) for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(id(parameter) for parameter in (*matrices, *others)) == sorted(wanted)
    assert all(parameter.ndim >= 2 for parameter in matrices)
    assert matrices


def test_a_kernel_steps_as_the_matrix_that_it_is():
    torch.manual_seed(0)
    kernel = nn.Conv2d(3, 5, 2)
    linear = nn.Linear(12, 5)
    with torch.no_grad():
        linear.weight.copy_(kernel.weight.flatten(1))
        linear.bias.copy_(kernel.bias)
    patches = torch.randn(16, 3, 2, 2)
    for model, given in ((kernel, patches), (linear, patches.flatten(1))):
        optimizer = muon_adamw(model, lr=0.01, weight_decay=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(given).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(kernel.weight.flatten(1), linear.weight)


def test_parameters_without_gradient_stay():
    weight = nn.Parameter(torch.ones(2, 2))
    MuonAdamW([weight], [], lr=1.0).step()
    assert torch.equal(weight.detach(), torch.ones(2, 2))


def test_the_state_goes_on_where_it_was():
    def train(model, optimizer, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            quadratic(model.parameters()).backward()
            optimizer.step()

    whole, first, rest = network(), network(), network()
    train(whole, MuonAdamW(*split_parameters(whole)), 6)
    optimizer = MuonAdamW(*split_parameters(first))
    train(first, optimizer, 3)
    rest.load_state_dict(first.state_dict())
    resumed = MuonAdamW(*split_parameters(rest), lr=1.0)
    resumed.load_state_dict(optimizer.state_dict())
    train(rest, resumed, 3)
    for one, other in zip(whole.parameters(), rest.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_closure_is_evaluated_with_gradients():
    weight = nn.Parameter(torch.zeros(2))
    optimizer = MuonAdamW([], [weight], lr=0.1)

    def closure():
        loss = quadratic([weight])
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2
    assert (weight > 0).all()


def test_arrays_decay_and_biases_gains_and_single_rows_do_not():
    model = nn.ModuleDict(
        {"layer": nn.Linear(3, 2), "norm": nn.LayerNorm(3), "one": nn.Linear(4, 1, bias=False)}
    )
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    make = DecayArrays(torch.optim.AdamW, {"betas": (0.5, 0.5)})
    optimizer = make(model, lr=0.1, weight_decay=0.5)
    for value in model.parameters():
        value.grad = torch.zeros_like(value)
    optimizer.step()
    # Without a gradient, decay alone acts: a factor 1 - 0.1 * 0.5.
    factor = {"layer.weight": 0.95}
    for name, value in model.named_parameters():
        torch.testing.assert_close(value.detach(), factor.get(name, 1.0) * before[name])
    assert all(group["betas"] == (0.5, 0.5) for group in optimizer.param_groups)
    assert repr(make) == "AdamW(betas=(0.5, 0.5))"


def test_every_trained_parameter_is_in_one_group():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    model[1].bias.requires_grad_(False)
    arrays, vectors = split_by_shape(model)
    assert [id(value) for value in arrays] == [id(model[0].weight)]
    assert {id(value) for value in vectors} == {id(model[0].bias), id(model[1].weight)}


def test_the_default_takes_rate_and_decay_from_the_run():
    optimizer = muon_adamw(nn.Linear(3, 2), lr=0.3, weight_decay=0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.3, 0.3]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2, 0]


@pytest.mark.parametrize("options", [{"growth": 1.0}, {"eps": -1.0}])
def test_options_that_an_optimizer_does_not_take_are_refused(options):
    with pytest.raises(InputError, match=f"AdamW: .*{next(iter(options))}.*correct its options"):
        DecayArrays(torch.optim.AdamW, options)(nn.Linear(3, 2), 0.1, 0.0)
