"""The matrix of bad input for the commands: status 2, one line, and nothing where a result goes."""

import json
import pickle
import shutil

import numpy as np
import pytest
import torch

from mpp.cli.main import COMMANDS

pytestmark = [pytest.mark.faults, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
"""What jsonargparse plans to change in its own errors is no concern of ours."""

READS = ("convert", "pretrain", "finetune", "rollout", "evaluate", "transfer", "infer", "doctor")
SHOWS = ("figures", "report")
LOADS = ("finetune", "rollout", "evaluate", "transfer", "infer", "inspect", "demo", "plan")
OTHERS = ("generate", "import-weights", "plan", "view")


def text(folder, desk):
    (folder / "a.nc").write_text("hello\n")
    return folder / "a.nc"


def pickled(folder, desk):
    (folder / "a.nc").write_bytes(pickle.dumps({"a": print}))
    return folder / "a.nc"


def empty(folder, desk):
    (folder / "a.nc").write_bytes(b"")
    return folder / "a.nc"


def cut_off(folder, desk):
    whole = desk.runs.read_bytes()
    (folder / "a.nc").write_bytes(whole[: len(whole) // 2])
    return folder / "a.nc"


def nowhere(folder, desk):
    return folder / "no where" / "a.nc"


def bare_folder(folder, desk):
    (folder / "readme.txt").write_text("x")
    return folder


FILES = {
    "text": (text, "got text|cannot be read|no spec.yaml|not a file of weights"),
    "a pickle": (pickled, "a pickle|cannot be read|no spec.yaml|holds code|torch does not know"),
    "an empty file": (empty, "is empty|cannot be read|no spec.yaml|torch does not know"),
    "half a file": (cut_off, "cut off|cannot be read|no spec.yaml|torch does not know"),
    "nothing there": (nowhere, "no such file|no spec.yaml"),
    "a folder without data": (
        bare_folder,
        "no NetCDF, Zarr or HDF5 in this folder|no spec.yaml|Is a directory|cannot be read",
    ),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("command", [*READS, *SHOWS, *OTHERS])
def test_what_is_no_data(command, case, bench, desk, tmp_path):
    make, expected = FILES[case]
    (tmp_path / "in").mkdir()
    data = make(tmp_path / "in", desk)
    told = bench.call(*desk.words(command, tmp_path / "out" / bench.OUT.get(command, ""), data))
    told.refused(expected)
    assert str(data) in told.err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def spiked(ds):
    ds["tracer"][:, :, 2, 3] = np.nan
    return ds


def reversed_time(ds):
    return ds.isel(time=slice(None, None, -1))


def unbounded(ds):
    del ds["x"].attrs["boundary"]
    return ds


VALUES = {
    "NaN": (spiked, "NaN"),
    "infinity": (lambda ds: ds.assign(tracer=ds["tracer"] / 0), "infinit"),
    "too few frames": (lambda ds: ds.isel(time=slice(2)), "frames"),
    "no frames": (lambda ds: ds.isel(time=slice(0)), "empty"),
    "falling times": (reversed_time, "fall|do not increase"),
    "no boundary": (unbounded, "no boundary condition along x; state --boundary x=KIND"),
    "an unknown boundary": (
        lambda ds: ds.assign_coords(x=ds["x"].assign_attrs(boundary="wrap")),
        "boundary",
    ),
    "another field": (lambda ds: ds.rename(tracer="caffeine"), "caffeine"),
}
PASSES = {
    # A command that takes what others refuse, and why.
    ("convert", "NaN"), ("convert", "infinity"), ("convert", "too few frames"),
    ("convert", "another field"), ("doctor", "another field"), ("pretrain", "another field"),
    ("finetune", "another field"), ("transfer", "another field"), ("doctor", "too few frames"),
}  # fmt: skip
"""What is no mistake: missing values are kept, new fields are learned, two frames are frames."""


@pytest.mark.parametrize("case", VALUES)
@pytest.mark.parametrize("command", READS)
def test_runs_that_nothing_can_be_made_of(command, case, bench, desk, tmp_path):
    if (command, case) in PASSES:
        return
    change, expected = VALUES[case]
    with np.errstate(all="ignore"):
        change(bench.runs(5, 8)).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    out = tmp_path / "out" / bench.OUT.get(command, "")
    bench.call(*desk.words(command, out, tmp_path / "a.nc")).refused(expected)
    # A study notes what it is to do before it begins.
    left = {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert left <= ({"study.json"} if command == "transfer" else set())


def test_missing_values_are_converted_as_they_are(bench, desk, tmp_path):
    spiked(bench.runs(2, 8)).to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    assert bench.call("convert", tmp_path / "a.nc", "--out", tmp_path / "out.nc").status == 0
    bench.call("doctor", tmp_path / "out.nc").refused("NaN")
    words = ("convert", tmp_path / "a.nc", "--set", "missing: nearest", "--overwrite")
    assert bench.call(*words, "--out", tmp_path / "out.nc").status == 0
    assert bench.call("doctor", tmp_path / "out.nc").status == 0


def described(**changes):
    def damage(folder):
        file = folder / "model.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return damage


def written(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def arguments(**changes):
    def damage(folder):
        file = folder / "model.json"
        found = json.loads(file.read_text())
        found["arguments"].update(changes)
        file.write_text(json.dumps(found))

    return damage


def flipped(folder):
    file = folder / "weights.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


CHECKPOINTS = {
    "nothing there": (shutil.rmtree, "expected a checkpoint folder with model.json"),
    "no description": (lambda f: (f / "model.json").unlink(), "expected a checkpoint folder"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "missing or damaged"),
    "an empty description": (written("model.json", b""), "not a description of a model"),
    "half a description": (written("model.json", b'{"format": 2,'), "not a description"),
    "a list": (written("model.json", b"[1, 2]"), "not a description of a model"),
    "noise": (written("model.json", b"\xff\xfe\x00"), "not a description of a model"),
    "another format": (described(format=99), "format 99, written by mpp"),
    "an unknown model": (described(model="os.system"), "unknown model 'os.system'; expected"),
    "a model that is a list": (
        described(model=["a"]),
        "unknown model|not a description of a model",
    ),
    "no arguments": (described(arguments=None), "not a description|do not fit"),
    "no card": (described(card=7), "not a description"),
    "an unknown argument": (arguments(colour=1), "do not fit the model: .*colour"),
    "another width": (arguments(width=32), "do not fit the model"),
    "a width in words": (arguments(width="wide"), "do not fit the model"),
    "no width": (arguments(width=0), "do not fit the model|width"),
    "a flipped bit": (flipped, "missing or damaged .its SHA-256 differs"),
    "empty weights": (written("weights.safetensors", b""), "missing or damaged"),
}


@pytest.fixture
def broken(desk, tmp_path):
    """A checkpoint with something done to it."""

    def make(damage):
        folder = shutil.copytree(desk.checkpoint, tmp_path / "checkpoint")
        damage(folder)
        return folder

    return make


@pytest.mark.parametrize("case", CHECKPOINTS)
@pytest.mark.parametrize("command", LOADS)
def test_what_is_no_checkpoint(command, case, broken, bench, desk, tmp_path):
    damage, expected = CHECKPOINTS[case]
    folder, out = broken(damage), tmp_path / "out" / bench.OUT.get(command, "demo")
    told = bench.call(*desk.words(command, out, checkpoint=folder))
    told.refused(expected)
    assert str(folder) in told.err
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_weights_that_are_a_pickle_are_not_opened(broken, bench, desk):
    import hashlib

    def damage(folder):
        torch.save({"a": torch.zeros(1)}, folder / "weights.safetensors")
        digest = hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest()
        described(sha256=digest)(folder)

    bench.call("inspect", broken(damage)).refused("the weights do not fit the model")


OPTIONS = {
    "generate": [
        (["--trajectories", "0"], "trajectories is 0; give at least 1"),
        (["--trajectories", "many"], "invalid int value: 'many'"),
        (["--resolution", "7"], "resolution must be even, got 7"),
        (["--resolution", "-8"], "resolution is -8; give at least 1"),
        (["--frames", "1"], "frames must be at least 2"),
        (["--seed", "-1"], "seed is -1; give a whole number"),
        (["--seed", "9999999"], "seed must be below 1000000"),
        (["--workers", "0"], "workers must be at least 1"),
        (["--split", "holdout"], "invalid choice: 'holdout'"),
        (["--test-trajectories", "2"], "--test-trajectories is for --suite"),
    ],
    "convert": [
        (["--boundary", "wrap"], "boundary 'wrap' is not one or two of"),
        (["--boundary", "q=wall"], "'q', but its axes are x, y"),
        (["--boundary", "wall", "--boundary", "x=wall"], "expected AXIS=KIND"),
        (["--set", "colour: red"], "unknown key colour; a mapping has"),
        (["--set", "select"], "expected a line 'key: value'"),
        (["--set", "select: {q: 0}"], "'q' is none of its dims"),
        (["--set", "names: [a]"], "names must be pairs"),
        (["--set", "parameters: {nu: thick}"], "parameter nu must be a number"),
        (["--set", "{: ["], "expected a line 'key: value'"),
        (["--mapping", "no.yaml"], "no.yaml: cannot read this mapping"),
    ],
    "pretrain": [
        (["--max-steps", "none"], "max.steps"),
        (["--max_steps", "-1"], "max_steps"),
        (["--max_steps", "many"], "max_steps"),
        (["--batch_size", "0"], "batch_size"),
        (["--lr", "fast"], "lr"),
        (["--held_out", "2"], "held_out is 2.0; give a share of the runs"),
        (["--precision", "8-bit"], "precision"),
        (["--no_such_key", "1"], "no_such_key"),
        (["--model", "os.system"], "model"),
        (["--weights", "[1, 2]"], "weights|1 dataset"),
        (["--seed", "-1"], "seed is -1"),
        (["--config", "no.yaml"], "no.yaml"),
    ],
    "finetune": [
        (["--mode", "half"], "invalid choice: 'half'"),
        (["--max-steps", "-1"], "max_steps"),
        (["--max-minutes", "-1"], "max_minutes"),
        (["--batch-size", "0"], "batch_size"),
        (["--rank", "0", "--mode", "lora"], "rank"),
        (["--donor", "tracer"], "expected NEW=OLD"),
        (["--donor", "nope=tracer"], "nope"),
        (["--patience", "-1"], "patience"),
        (["--unroll", "99"], "unroll"),
        (["--seed", "-1"], "seed is -1"),
    ],
    "rollout": [
        (["--steps", "0"], "steps is 0; give at least 1"),
        (["--steps", "2.5"], "invalid int value: '2.5'"),
        (["--history", "0"], "history is 0; give at least 1"),
        (["--history", "99"], "a history of 99 frames was asked for, its runs have 8"),
        (["--time-step", "1"], "leave out --time-step"),
        (["--batch-size", "0"], "batch_size is 0"),
        (["--limit", "0.5"], "limit is 0.5; give a number above 1"),
        (["--limit", "low"], "invalid limit value: 'low'"),
        (["--limit", "nan"], "limit is nan; give a number above 1"),
        (["--members", "0"], "members is 0"),
        (["--members", "3"], "perturb them"),
        (["--perturb", "-1"], "perturb is -1.0"),
        (["--perturb", "inf"], "perturb is inf"),
    ],
    "evaluate": [
        (["--steps", "0"], "steps"),
        (["--steps", "99"], "frames"),
        (["--history", "0"], "history"),
        (["--starts", "0"], "starts"),
        (["--batch-size", "0"], "batch_size|batch"),
        (["--scores", "beauty"], "beauty"),
        (["--quantity", "energy"], "expected NAME=FORMULA"),
        (["--quantity", "e=tracer**"], "e"),
        (["--quantity", "e=__import__('os')"], "e"),
        (["--quantity", "e=caffeine"], "caffeine"),
        (["--compat", "mine"], "invalid choice: 'mine'"),
        (["--climatology", "no.nc"], "no.nc: no such file"),
    ],
    "transfer": [
        (["--arms", "full"], "scratch|arms"),
        (["--sizes", "0"], "sizes|at least"),
        (["--seeds", "0"], "seeds"),
        (["--test-runs", "0"], "test_runs|test"),
        (["--max-steps", "0"], "max_steps"),
        (["--lr", "-1"], "lr|rate"),
        (["--rates", "0.1", "--lr", "0.1"], "--rates stands in place of"),
        (["--workers", "0"], "workers"),
        (["--test", "no.nc"], "no.nc: no such file"),
    ],
    "infer": [
        (["--history", "0"], "history is 0; give at least 1"),
        (["--history", "99"], "99 frames were asked for"),
        (["--parameters", "gravity"], "gravity"),
    ],
    "figures": [
        (["--sample", "99"], "99"),
        (["--format", "bmp"], "invalid choice: 'bmp'"),
        (["--animate", "avi"], "invalid choice: 'avi'"),
        (["--quantity", "energy"], "expected NAME=EXPRESSION"),
    ],
    "report": [(["--sample", "99"], "99"), (["--quantity", "x"], "expected NAME=EXPRESSION")],
    "import-weights": [(["--size", "XL"], "invalid choice: 'XL'"), (["--size", "Ti"], "size Ti")],
    "demo": [
        (["--seed", "x"], "invalid int value: 'x'"),
        (["--datasets", "nowhere"], "nowhere"),
    ],
    "doctor": [
        (["--set", "colour: red"], "unknown key colour"),
        (["--checkpoint", "nowhere"], "nowhere: expected a checkpoint folder"),
        (["--precision", "8"], "invalid choice: '8'"),
        (["--mapping", "no.yaml"], "no.yaml"),
    ],
    "inspect": [(["another"], "unrecognized arguments: another")],
    "plan": [
        (["--on", "abacus"], "no hardware 'abacus'; expected here or one of"),
        (["--reached", "2"], "give a share above 0"),
        (["--batch-size", "0"], "batch_size is 0; give at least 1"),
        (["--max-steps", "0"], "max_steps is 0; give at least 1"),
        (["--grid", "8", "8", "8", "8"], "a grid of 4 axes"),
        (["--precision", "8"], "invalid choice: '8'"),
    ],
    "view": [
        (["--port", "many"], "invalid int value: 'many'"),
        (["--port", "70000"], "70000"),
    ],
}
CASES = [(command, *case) for command, cases in OPTIONS.items() for case in cases]


@pytest.mark.parametrize(("command", "more", "expected"), CASES)
def test_an_option_of_no_use(command, more, expected, bench, desk, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out" / bench.OUT.get(command, "demo")
    words = desk.words(command, out)
    told = bench.call(*words, *more)
    told.refused(expected)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_every_command_is_in_the_matrix():
    assert set(COMMANDS) == set(OPTIONS)


YAML = {
    "a typo": ("max_stepz: 3\n", "max_stepz"),
    "a wrong type": ("max_steps: many\n", "max_steps"),
    "a list": ("- 1\n- 2\n", "config"),
    "no YAML": ("max_steps: [1\n", "config"),
    "a tab": ("\tmax_steps: 1\n", "config"),
    "an unknown model": ("model: {class_path: mpp.model.axial.Nope}\n", "Nope|model"),
    "a class of another kind": ("model: {class_path: os.PathLike}\n", "model"),
    "an unknown argument": (
        "model: {class_path: mpp.model.axial.AxialTransformer, init_args: {widht: 3}}\n",
        "widht",
    ),
    "a wrong argument": (
        "model: {class_path: mpp.model.axial.AxialTransformer, init_args: {width: wide}}\n",
        "width",
    ),
    "code": ("max_steps: !!python/object/apply:os.system ['true']\n", "config"),
    "noise": ("\x00\x01\x02", "config"),
    "an alias": ("batch_size: &n 2\naccumulate: *n\n", r"aliases \(\*name\) are not read"),
    "aliases of aliases": (
        "a: &a0 [1, 1]\n" + "".join(f"b: &a{n + 1} [*a{n}, *a{n}]\n" for n in range(60)),
        r"aliases \(\*name\) are not read",
    ),
}


@pytest.mark.parametrize("case", YAML)
def test_a_configuration_with_a_mistake(case, bench, desk, tmp_path):
    content, expected = YAML[case]
    (tmp_path / "config.yaml").write_text(content)
    words = ["--data", desk.runs, "--out", tmp_path / "out"]
    told = bench.call("pretrain", "--config", tmp_path / "config.yaml", *words)
    told.refused(expected)
    assert not (tmp_path / "out").exists()


MAPPINGS = {
    "a typo": ("boundry: wall\n", "unknown key boundry; a mapping has: sample, time"),
    "a wrong type": ("names: 3\n", "names must be pairs such as"),
    "a list": ("- wall\n", "expected 'key: value' lines"),
    "no YAML": ("boundary: {x: [\n", "not YAML"),
    "code": ("system: !!python/object/apply:os.system ['true']\n", "not YAML"),
    "noise": ("\x00\x01", "not YAML"),
    "nothing": ("", "expected 'key: value' lines"),
    "numbers for names": ("keep: [1, 2]\n", "keep must be a list of names"),
    "a number for a boundary": ("boundary: 3\n", "boundary"),
    "a list of boundaries": ("boundary: [wall, open]\n", "boundary"),
    "a number for a system": ("system: [a]\n", "system"),
    "a number for a dim": ("time: 3\n", "time"),
}


@pytest.mark.parametrize("case", MAPPINGS)
def test_a_mapping_file_with_a_mistake(case, bench, desk, tmp_path):
    content, expected = MAPPINGS[case]
    mapping = tmp_path / "mapping.yaml"
    mapping.write_text(content)
    told = bench.call("convert", desk.runs, "--mapping", mapping, "--out", tmp_path / "out.nc")
    told.refused(expected)
    assert not (tmp_path / "out.nc").exists()


SPECS = {
    "a typo": (lambda s: s + "resolutoin: 8\n", "unknown keys .'resolutoin'"),
    "a wrong type": (lambda s: s.replace("frames: 8", "frames: many"), "spec.yaml"),
    "a missing key": (lambda s: s.replace("interval: 0.5\n", ""), "incomplete.*interval"),
    "a list": (lambda s: "- 1\n", "expected keys and values, got list"),
    "no YAML": (lambda s: "fields: [a\n", "not valid YAML"),
    "noise": (lambda s: "\x00", "not valid YAML"),
    "an unknown boundary": (lambda s: s.replace("periodic", "wrap"), "boundary 'wrap'"),
    "an unknown solver": (lambda s: s.replace("numpy", "nopy"), "solver nopy is not installed"),
    "a parameter in words": (lambda s: s.replace("low: 1", "low: slow"), "spec.yaml|speed"),
    "an unknown key of a parameter": (lambda s: s.replace("low: 1", "least: 1"), "least|low"),
}


@pytest.mark.parametrize("case", SPECS)
def test_a_specification_with_a_mistake(case, bench, desk, tmp_path):
    change, expected = SPECS[case]
    folder = shutil.copytree(desk.system, tmp_path / "waves")
    (folder / "spec.yaml").write_text(change((folder / "spec.yaml").read_text()))
    told = bench.call("generate", folder, "--out", tmp_path / "out", "--workers", 1)
    told.refused(expected)
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_specification_that_is_no_text(bench, desk, tmp_path):
    folder = shutil.copytree(desk.system, tmp_path / "waves")
    (folder / "spec.yaml").write_bytes(b"\xff\xfe\xfa")
    told = bench.call("generate", folder, "--out", tmp_path / "out", "--workers", 1)
    told.refused("spec.yaml: not valid YAML")
