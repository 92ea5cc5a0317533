"""Released checkpoints give the numbers of the code that they were made with."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mpp.batch import Axis, Batch
from mpp.errors import InputError
from mpp.fields import known_field
from mpp.model.released import (
    RELEASED_COUNT,
    RELEASED_SLOTS,
    from_released,
    read_released,
    released_name,
)
from mpp.model.slots import find_slots

REFERENCE = Path(__file__).parent / "data" / "avit_reference.npz"
"""Made with the authors' published code at commit e751fc25 (torch 2.13, CPU, float32): their AViT
with width 32, 2 heads, 2 blocks and 12 states in evaluation mode. Its weights are `weight` of the
alphabetical list of their names, kept here with their shapes; its inputs are `history`; every third
column of its outputs is kept. Slots are those of the released table; their two boundary flags, for
the last and the last but one axis, are 1 where CASES says periodic and 0 elsewhere."""

CASES = {
    "compressible": ("velocity_x velocity_y density pressure", 1, 16, (32, 48), (True, True)),
    "odd ring": ("velocity_x velocity_y tracer", 2, 3, (80, 48), (True, False)),
    "odd ring along y": ("activator inhibitor", 1, 2, (32, 112), (False, True)),
    "one frame, subset": ("pressure velocity_x", 2, 1, (48, 64), (False, False)),
    "long": ("height", 1, 2, (560, 16), (False, False)),
}


def weight(number: int, name: str, shape: Sequence[int]) -> Tensor:
    wave = np.sin(0.37 * np.arange(np.prod(shape)) ** 2 + number)
    if "gamma" in name:
        wave = 0.5 + 0.3 * wave
    elif "relative_attention_bias" not in name:
        matrix = len(shape) > 1
        scale = (2 * shape[0] / wave.size) ** 0.5 if matrix else 0.3
        wave = scale * wave + (not matrix and name.endswith("weight"))
    return torch.from_numpy(wave.reshape(shape)).float()


def history(fields: int, samples: int, frames: int, shape: Sequence[int]) -> Tensor:
    sizes = (samples, frames, fields, *shape)
    sample, time, field, x, y = np.meshgrid(*map(np.arange, sizes), indexing="ij")
    broad = np.sin(2 * np.pi * 2 * x / shape[0] + 0.3 * time + field) + np.cos(0.11 * y - sample)
    fine = np.sin(0.3 * x * y + time + 2 * sample + 3 * field)
    return torch.from_numpy((1 + field) * (broad + 0.3 * fine) + field).float()


def batch_of(
    names: str, values: Tensor, periodic: Sequence[bool] = (False, False), system: str = "trial"
) -> Batch:
    axes = tuple(
        Axis(name, np.arange(size), "1", ("periodic",) * 2 if ring else ("wall", "open"))
        for name, size, ring in zip("xy", values.shape[3:], periodic, strict=True)
    )
    time = torch.arange(values.shape[1], dtype=torch.float64).expand(values.shape[0], -1)
    fields = tuple(known_field(name) for name in names.split())
    return Batch(values, fields, axes, time, system=system)


@pytest.fixture(scope="module")
def released() -> dict[str, Tensor]:
    """Weights under the authors' names."""
    with np.load(REFERENCE) as kept:
        shapes = [[int(size) for size in row if size] for row in kept["shapes"]]
        return {
            str(name): weight(number, name, shape)
            for number, (name, shape) in enumerate(zip(kept["names"], shapes, strict=True))
        }


@pytest.mark.parametrize("case", CASES)
def test_output_is_that_of_the_authors_code(case: str, released):
    names, samples, frames, shape, periodic = CASES[case]
    values = history(len(names.split()), samples, frames, shape)
    with torch.inference_mode():
        found = from_released(released)(batch_of(names, values, periodic))[:, 0]
    with np.load(REFERENCE) as kept:
        expected = torch.from_numpy(kept[case])
    assert (found[..., ::3] - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_every_released_weight_has_its_place_and_only_the_biases_of_norms_are_unused(released):
    model = from_released(released)
    places = {released_name(name): name for name in model.state_dict()}
    assert places.keys() == released.keys()
    assert len(places) == len(model.state_dict())
    # Uncentred norms: three in the stem, two in the head, three in each of the two blocks.
    unused = [name for name in places.values() if name.endswith("unused_bias")]
    assert len(unused) == 3 + 2 + 2 * 3
    for theirs, own in places.items():
        assert torch.equal(model.state_dict()[own], released[theirs])


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("wrapped", [True, False])
def test_reads_files_with_and_without_wrapping(prefix: str, wrapped: bool, released, tmp_path):
    state = {f"{prefix}{name}": value for name, value in released.items()}
    torch.save({"model_state": state, "epoch": 1} if wrapped else state, tmp_path / "ckpt.tar")
    model = read_released(tmp_path / "ckpt.tar")
    assert (model.width, model.heads, model.depth, model.slots) == (32, 2, 2, RELEASED_COUNT)
    assert not model.training
    batch = batch_of("height", history(1, 1, 1, (32, 32)))
    assert torch.equal(model(batch), from_released(released)(batch))


def test_the_arguments_make_the_model_again(released):
    model = from_released(released)
    again = type(model)(**model.arguments)
    again.load_state_dict(model.state_dict())
    batch = batch_of("activator inhibitor", history(2, 1, 2, (32, 32)))
    assert torch.equal(model(batch), again.eval()(batch))


def test_the_weights_given_are_copied(released):
    model = from_released(released)
    with torch.no_grad():
        model.stem.fields.weight.zero_()
    assert released["space_bag.weight"].abs().max() > 0


@pytest.mark.parametrize(
    ("names", "slots"),
    [
        ("height", [0]),
        ("velocity_x velocity_y particles", [1, 2, 3]),
        ("tracer velocity_y", [3, 2]),
        ("inhibitor activator", [5, 4]),
        ("velocity_x velocity_y density pressure", [6, 7, 8, 9]),
        ("velocity_x velocity_y", [1, 2]),  # one field short of one set, two of the other
        ("pressure velocity_x", [9, 6]),
    ],
)
def test_names_find_their_slots_by_set(names: str, slots: list[int]):
    batch = batch_of(names, torch.zeros(1, 1, len(slots), 16, 32))
    assert find_slots(batch, RELEASED_SLOTS) == slots


def test_the_system_decides_where_the_table_knows_it():
    values = torch.zeros(1, 1, 2, 16, 32)
    batch = batch_of("velocity_x velocity_y", values, system="compressible_flow")
    assert find_slots(batch, RELEASED_SLOTS) == [6, 7]


@pytest.mark.parametrize(
    ("names", "system"),
    [
        ("height vorticity", "trial"),  # one name unknown
        ("height pressure", "trial"),  # known, but of two sets
        ("tracer particles", "trial"),  # two words for one slot
        ("velocity_x", "shallow_water"),  # not in the set of this system
    ],
)
def test_fields_without_slots_of_their_own_are_refused(names: str, system: str):
    batch = batch_of(names, torch.zeros(1, 1, len(names.split()), 16, 32), system=system)
    with pytest.raises(InputError, match="no set of fields with"):
        find_slots(batch, RELEASED_SLOTS)


@pytest.mark.parametrize(
    "name",
    ["space_bag.weight", "blocks.1.spatial.mlp.fc1.bias", "debed.out_proj.1.bias"],
)
def test_a_missing_weight_is_refused(name: str, released):
    rest = {key: value for key, value in released.items() if key != name}
    with pytest.raises(InputError, match=f"{name} missing"):
        from_released(rest)


def test_a_weight_of_another_model_is_refused(released):
    other = {**released, "blocks.0.spatial.rel_pos_bias.cpb_mlp.0.weight": torch.zeros(512, 1)}
    with pytest.raises(InputError, match=r"unknown weights .*cpb_mlp"):
        from_released(other)


def test_a_weight_of_another_shape_is_refused(released):
    wrong = {**released, "debed.out_bias": torch.zeros(11)}
    with pytest.raises(InputError, match=r"expected \(12,\) for debed.out_bias, got \(11,\)"):
        from_released(wrong)


def test_files_without_weights_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_released(tmp_path / "absent.tar")
    (tmp_path / "text.tar").write_text("not a checkpoint")
    with pytest.raises(InputError, match="not a file of weights"):
        read_released(tmp_path / "text.tar")
    torch.save({"model_state": {"epoch": 3}}, tmp_path / "numbers.tar")
    with pytest.raises(InputError, match="expected weights by name"):
        read_released(tmp_path / "numbers.tar")


def test_no_code_in_a_file_is_run(tmp_path):
    torch.save({"model_state": Path("a class that weights do not need")}, tmp_path / "code.tar")
    with pytest.raises(InputError, match="not a file of weights"):
        read_released(tmp_path / "code.tar")
