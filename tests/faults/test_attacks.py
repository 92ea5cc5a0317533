"""What comes from somebody else cannot run, leave its folder, command a terminal or eat the memory.

Checkpoints, adapters, data files, mappings and configurations are made as an attacker would make
them. Where code could run, it would create a file whose absence is asserted.
"""

import ast
import hashlib
import json
import os
import pickle
import shlex
import shutil
import socket
import time
from contextlib import suppress
from html.parser import HTMLParser
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
import yaml

import mpp
from mpp.cli.main import main
from mpp.cli.outputs import Console
from mpp.data.mapping import Mapping
from mpp.doctor.checks.runs import convert_command
from mpp.doctor.examine import examine
from mpp.errors import InputError, RunError, printable
from mpp.files import file_name, written_beside
from mpp.metrics.expression import Expression
from mpp.model.avit import PublishedAViT
from mpp.model.axial import AxialTransformer
from mpp.schema import example
from mpp.viz.figures import figures
from mpp.viz.report import report
from mpp.weights import load, save

pytestmark = pytest.mark.faults
PACKAGE = Path(mpp.__file__).parent
ESCAPE = "\x1b]0;owned\x07\x1b[2J"
TINY = {"history": 3, "width": 16, "heads": 2, "depth": 1, "hidden": 8, "fine": 2, "coarse": 2}


class Evil:
    """Creates a file when it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.fixture
def mark(tmp_path):
    """A file that exists only if an attack succeeded."""
    path = tmp_path / "owned"
    yield path
    assert not path.exists()


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    return save(AxialTransformer(("tracer", "velocity_x"), **TINY), tmp_path / "checkpoint")


@pytest.fixture
def refused(capsys):
    """Runs a command that must end with status 2, and gives its one line."""

    def run(*words):
        capsys.readouterr()
        with suppress(SystemExit):
            assert main(list(map(str, words))) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1, error
        assert error.startswith(f"mpp {words[0]}: ")
        assert "Traceback" not in error
        return error

    return run


def altered(checkpoint, **changes):
    file = checkpoint / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))
    return checkpoint


# Checkpoints


@pytest.mark.parametrize("name", ["os.system", "subprocess.Popen", "mpp.model.avit.PublishedAViT"])
def test_a_checkpoint_names_a_model_of_this_package_and_nothing_else(checkpoint, refused, name):
    assert "unknown model" in refused("inspect", altered(checkpoint, model=name))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": ["AxialTransformer"]}, "model is a list"),
        ({"arguments": [1, 2]}, "arguments is a list"),
        ({"card": "text"}, "card is a str"),
        ({"card": {"fields": {"tracer": "kg"}}}, "tracer is a str"),
        ({"sha256": 5}, "sha256 is a int"),
        ({"arguments": {"names": [1, 2]}}, "names"),
        ({"arguments": {"names": ["a"], "os": "system"}}, "'os'"),
        ({"arguments": {"names": ["a"], "width": "wide"}}, "do not fit"),
    ],
)
def test_a_description_of_another_kind_is_refused(checkpoint, refused, changes, named):
    assert named in refused("inspect", altered(checkpoint, **changes))


def test_a_description_that_is_nested_without_end_is_refused(checkpoint, refused):
    (checkpoint / "model.json").write_text("[" * 100_000)
    assert "not a description" in refused("inspect", checkpoint)


@pytest.mark.parametrize(
    "change",
    [
        {"width": 10**9, "heads": 1},
        {"width": 20_000},  # 9 GB, which a machine may have
        {"history": 10**12},
        {"depth": 10**9},
        {"levels": 10**9},
        {"fine": 10**9},
        {"hidden": 10**7},
    ],
    ids=lambda change: "-".join(f"{key}={value}" for key, value in change.items()),
)
def test_a_model_larger_than_its_file_is_not_made(checkpoint, change):
    found = json.loads((checkpoint / "model.json").read_text())
    altered(checkpoint, arguments={**found["arguments"], **change})
    start = time.process_time()
    with pytest.raises(InputError, match=r"the file holds|in its file"):
        load(checkpoint)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("change", [{"depth": 10**9}, {"width": 2**20}, {"slots": 10**9}])
def test_a_published_model_larger_than_its_file_is_not_made(tmp_path, change):
    made = save(PublishedAViT(["height"], 4, 16, 2, 1), tmp_path / "published")
    found = json.loads((made / "model.json").read_text())
    altered(made, arguments={**found["arguments"], **change})
    with pytest.raises(InputError, match=r"the file holds|in its file"):
        load(made)


def test_a_pickle_in_place_of_the_weights_does_not_run(checkpoint, refused, mark):
    weights = checkpoint / "weights.safetensors"
    for content in (pickle.dumps(Evil(mark)), b"\x08" + bytes(7) + pickle.dumps(Evil(mark))):
        weights.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        assert "do not fit" in refused("inspect", altered(checkpoint, sha256=digest))


@pytest.mark.parametrize(
    ("told", "named"),
    [
        ({"rank": str(10**9)}, "more than the"),
        ({"rank": "two"}, "does not fit"),
        ({"names": json.dumps([1, 2])}, "another kind"),
        ({"names": json.dumps(["tracer", "velocity_x", *map(str, range(10**5))])}, "more than the"),
        ({"card": "[1]"}, "another kind"),
        ({"card": "[" * 10**5}, "does not fit"),
        ({"base_sha256": "../../other"}, "../../other"),
        ({"base_sha256": None}, "not told"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_adapter_that_is_not_what_it_says_is_refused(checkpoint, tmp_path, told, named):
    from safetensors import safe_open
    from safetensors.torch import save_file

    from mpp.adapters import save_adapter
    from mpp.model.lora import adapt

    base = load(checkpoint)
    tuned = load(checkpoint)
    adapt(tuned, 2, 2, 1)
    path = tmp_path / "adapter.safetensors"
    save_adapter(tuned, base, 2, {"systems": []}, path)
    assert load(checkpoint, path).card == {"systems": []}
    with safe_open(path, framework="pt") as file:
        # Earlier files carry no hash, so that whoever changes one leaves it out.
        whole = {**file.metadata(), "sha256": None, **told}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, path, {key: value for key, value in whole.items() if value is not None})
    with pytest.raises(InputError, match=named.replace(".", r"\.")):
        load(checkpoint, path)


# Pickles, and other ways to run code


@pytest.mark.parametrize("kind", ["zip", "legacy", "bare"])
def test_a_released_checkpoint_that_holds_code_is_refused(tmp_path, refused, mark, kind):
    file = tmp_path / "MPP_AViT_Ti"
    state = {"model_state": {"weight": torch.zeros(2), "evil": Evil(mark)}}
    if kind == "bare":
        file.write_bytes(pickle.dumps(state["model_state"]["evil"]))
    else:
        torch.save(state, file, _use_new_zipfile_serialization=kind == "zip")
    reason = "does not know its format" if kind == "bare" else "it holds code, io.open"
    assert reason in refused("import-weights", file, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.fixture
def training(tmp_path):
    """The words of a pretraining of two steps, and a function that writes its configuration."""
    example((8, 8), samples=3, frames=8).to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    model = {"class_path": "AxialTransformer", "init_args": TINY}
    content = {"data": [str(tmp_path / "runs.nc")], "max_steps": 1, "model": model}
    file = tmp_path / "config.yaml"

    def write(**changes):
        file.write_text(yaml.safe_dump({**content, **changes}))
        return ["pretrain", "--config", str(file), "--out", str(tmp_path / "run")]

    return write


@pytest.mark.slow
@pytest.mark.parametrize("log", [True, False], ids=["with metrics", "without metrics"])
def test_resuming_from_a_state_that_holds_code_does_not_run_it(
    training, refused, tmp_path, mark, log
):
    assert main(training()) == 0
    states = list((tmp_path / "run").rglob("*.ckpt"))
    assert states
    for path in states:
        state = torch.load(path, weights_only=True)
        torch.save({**state, "evil": Evil(mark)}, path)
    if not log:
        (tmp_path / "run" / "metrics.csv").unlink()
    assert ".ckpt" in refused(*training(), "--resume", "true", "--max_steps", "2")


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "os.system"},
        {"loss": "torch.os.system"},
        {"loss": "stranger.loss"},
        {"loss": '{"class_path": "stranger.loss"}'},
        {"model": {"class_path": "subprocess.Popen", "init_args": {"args": ["true"]}}},
        {"optimizer": {"class_path": "functools.partial", "init_args": {"func": "os.system"}}},
        {"schedule": "builtins.exec"},
        {"loss": "stranger.loss", "allow_imports": "stranger"},
    ],
    ids=lambda change: str(next(iter(change.values())))[:40],
)
def test_a_configuration_imports_nothing_unasked(
    training, tmp_path, monkeypatch, refused, mark, change
):
    (tmp_path / "stranger.py").write_text(f"open({str(mark)!r}, 'w')\ndef loss(*_): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "--allow-imports" in refused(*training(**change))
    assert not (tmp_path / "run").exists()


def test_a_package_of_the_users_own_is_imported_when_asked_for(training, tmp_path, monkeypatch):
    text = "from mpp.train.loss import nmse_loss\ndef own(*a):\n    return nmse_loss(*a)\n"
    (tmp_path / "my_losses.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert main([*training(loss="my_losses.own"), "--allow-imports", "my_losses"]) == 0
    card = json.loads((tmp_path / "run" / "model.json").read_text())["card"]
    assert card["recipe"]["loss"] == "own"


def test_no_source_of_the_package_loads_or_runs_what_it_reads():
    """No pickle, eval, exec, unsafe YAML, shell, or torch.load without weights_only=True."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            found += [f"{path.name}:{node.lineno}: {what}" for what in _dangers(node)]
    assert found == []
    # The walk sees what it is for.
    for text in ("torch.load(p)", "eval(x)", "import pickle", "yaml.load(t, yaml.Loader)",
                 "run(c, shell=True)", "os.system(c)", "yaml.unsafe_load(t)"):  # fmt: skip
        assert any(True for node in ast.walk(ast.parse(text)) for _ in _dangers(node)), text
    assert not any(
        _dangers(node) for node in ast.walk(ast.parse("torch.load(p, weights_only=True)"))
    )


def _dangers(node):
    if isinstance(node, ast.ImportFrom) and [a.name for a in node.names] == ["UnpicklingError"]:
        return []  # what a reader says that refuses one
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
        return [name for name in names if name.split(".")[0] in ("pickle", "marshal", "dill")]
    if not isinstance(node, ast.Call):
        return []
    called, options = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
    bad = called in ("eval", "exec", "__import__", "os.system", "os.popen", "yaml.unsafe_load",
                     "yaml.full_load")  # fmt: skip
    bad |= called.endswith("torch.load") and options.get("weights_only") != "True"
    bad |= called == "yaml.load" and ast.unparse(node.args[1]) != "_Plain"
    bad |= options.get("shell", "False") != "False"
    return [called] if bad else []


# YAML


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("system: !!python/object/apply:os.system ['touch {mark}']", "not YAML"),
        ("system: !!python/name:os.system", "not YAML"),
        ("names: {a: &x [1, 1]}\nunits: {b: *x}", "aliases"),
        ("names: &a {x: *a}", "aliases"),
        ("select: " + "[" * 20_000, "not YAML"),
        ("system: !!timestamp x", "not YAML"),
        ("system: 2001-99-99", "not YAML"),
        ("system: " + "1" * 5000, "not YAML"),
        ("nmaes: {a: b}", "unknown key nmaes"),
    ],
    ids=lambda value: value[:30],
)
def test_a_mapping_is_plain_values(tmp_path, mark, text, named):
    file = tmp_path / "mapping.yaml"
    file.write_text(text.replace("{mark}", str(mark)))
    with pytest.raises(InputError, match=named) as told:
        Mapping.from_yaml(file)
    assert "\n" not in str(told.value)


def test_a_specification_is_plain_values(tmp_path, refused, mark):
    folder = tmp_path / "system"
    folder.mkdir()
    (folder / "spec.yaml").write_text(f"title: !!python/object/apply:os.system ['touch {mark}']")
    assert "not valid YAML" in refused("generate", folder, "--out", tmp_path / "out")
    (folder / "spec.yaml").write_text("title: &a [x]\nsolver: *a")
    assert "aliases" in refused("generate", folder, "--out", tmp_path / "out")


# Names and links that leave their folder

NAMES = [
    "../../evil",
    "/etc/evil",
    "a/b",
    "..",
    ".",
    "",
    "nul\0name",
    "new\nline",
    ".hidden",
    "-rf",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_name_as_a_file_stays_in_its_folder(tmp_path, name):
    path = tmp_path / f"{file_name(name)}.nc"
    assert path.resolve().parent == tmp_path.resolve()
    assert not path.name.startswith((".", "-"))
    path.touch()


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "$(touch x)", "a b;c", "-rf"])
def test_the_command_that_the_doctor_prints_is_harmless(tmp_path, name):

    path = tmp_path / "it's $(touch x).nc"
    example((8, 8), frames=8).assign_attrs(system=name).to_netcdf(path, engine="h5netcdf")
    words = shlex.split(convert_command(examine(str(path), Mapping())))
    assert words[:3] == ["mpp", "convert", str(path)]
    out = Path(words[words.index("--out") + 1])
    assert out.parent == Path(".")
    assert not out.name.startswith("-")


@pytest.fixture
def strange(tmp_path):
    """A Zarr store, which takes any name, whose field and system have this one."""

    def make(name):
        ds = example((6, 6), samples=1, frames=4).rename(tracer=name)
        path = tmp_path / "strange.zarr"
        ds.assign_attrs(system=name).to_zarr(path, zarr_format=2)
        return path

    return make


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "x" * 300, "nul\0name"], ids=repr)
def test_pictures_of_strange_names_stay_in_their_folder(tmp_path, name):
    ds = example((6, 4), samples=1, frames=1).rename(tracer=name).assign_attrs(system=name)
    out = tmp_path / "deep" / "figures"
    assert len(figures(ds.drop_vars("velocity_x"), out)) == 1
    assert [item.suffix for item in out.iterdir()] == [".png"]
    assert [item.name for item in tmp_path.rglob("*") if item.is_dir()] == ["deep", "figures"]


@pytest.mark.parametrize("command", ["convert", "rollout"])
def test_a_name_that_a_format_does_not_take_is_told_in_one_line(
    strange, tmp_path, refused, command
):
    name = f"height{ESCAPE}"
    path, out = strange(name), tmp_path / "out.nc"
    words = [command, path, "--out", out]
    if command == "rollout":
        torch.manual_seed(0)
        save(AxialTransformer((name, "velocity_x"), **TINY), tmp_path / "model")
        more = ["--steps", 1, "--checkpoint", tmp_path / "model"]
        words = [command, "--data", path, "--out", out, *more]
    assert "illegal characters" in refused(*words)
    assert sorted(item.name for item in tmp_path.iterdir() if item.name != "model") == [path.name]


@pytest.fixture
def secret(tmp_path):
    """A data file, and a copy of it in a folder of its own where one field is to be replaced."""
    ds = example((8, 8), samples=2, frames=6)
    for folder in ("private", "shared"):
        (tmp_path / folder).mkdir()
        ds.to_netcdf(tmp_path / folder / "runs.nc", engine="h5netcdf")
    return tmp_path / "private" / "runs.nc", tmp_path / "shared" / "runs.nc"


def link_out(file, target, kind):
    """Put a link to the tracer of another file in the place of a file's own."""
    old = file["tracer"]
    shape, dtype, scales = old.shape, old.dtype, [old.dims[n][0].name for n in range(old.ndim)]
    del file["tracer"]
    if kind == "external link":
        file["tracer"] = h5py.ExternalLink(target, "tracer")
        return
    if kind == "external storage":
        made = file.create_dataset(
            "tracer", shape, dtype, external=[(target, 0, h5py.h5f.UNLIMITED)]
        )
    else:
        layout = h5py.VirtualLayout(shape, dtype)
        layout[...] = h5py.VirtualSource(target, "tracer", shape)
        made = file.create_virtual_dataset("tracer", layout)
    for axis, scale in enumerate(scales):
        made.dims[axis].attach_scale(file[scale])


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("kind", ["external link", "virtual dataset", "external storage"])
def test_a_link_to_a_file_elsewhere_is_not_followed(secret, refused, tmp_path, kind, relative):
    private, shared = secret
    target = os.path.relpath(private, shared.parent) if relative else str(private)
    with h5py.File(shared, "a") as file:
        link_out(file, target, kind)
    for command in ("convert", "figures"):
        error = refused(command, shared, "--out", tmp_path / "out.nc")
        assert "tracer" in error
        assert "is not followed" in error
        assert not (tmp_path / "out.nc").exists()


@pytest.mark.parametrize("kind", ["external link", "virtual dataset"])
def test_a_link_within_the_folder_of_the_data_is_followed(secret, tmp_path, kind):
    private, shared = secret
    shutil.copy(private, shared.parent / "part.nc")
    with h5py.File(shared, "a") as file:
        link_out(file, "part.nc", kind)
    ds = mpp.open_dataset(shared)
    np.testing.assert_array_equal(ds["tracer"], xr.load_dataset(private)["tracer"])


def test_a_pickle_in_a_zarr_store_does_not_run(tmp_path, refused, mark):
    path = tmp_path / "runs.zarr"
    example((6, 6), frames=4).to_zarr(path, zarr_format=2, consolidated=False)
    shutil.copytree(path / "tracer", path / "note")
    described = json.loads((path / "note" / ".zarray").read_text())
    for filters in ([{"id": "pickle"}], [{"id": "vlen-utf8"}, {"id": "pickle"}]):
        described |= {"dtype": "|O", "filters": filters, "compressor": None, "fill_value": ""}
        (path / "note" / ".zarray").write_text(json.dumps(described))
        for chunk in (path / "note").glob("[0-9]*"):
            chunk.write_bytes(pickle.dumps(Evil(mark)))
        assert "ickle" in refused("convert", path, "--out", tmp_path / "out.nc")


@pytest.mark.parametrize("folder", [False, True], ids=["file", "folder"])
def test_a_result_replaces_a_link_and_leaves_its_target(tmp_path, folder):
    victim, path = tmp_path / "victim", tmp_path / "result"
    victim.mkdir() if folder else victim.write_text("precious")
    path.symlink_to(victim)
    with written_beside(path) as unfinished:
        if folder:
            unfinished.mkdir()
        else:
            unfinished.write_text("new")
    assert not path.is_symlink()
    assert list(victim.iterdir()) == [] if folder else victim.read_text() == "precious"
    assert sorted(item.name for item in tmp_path.iterdir()) == ["result", "victim"]


def test_nobody_can_wait_at_the_place_where_a_result_is_written(tmp_path):
    places = []
    for _ in range(2):
        with written_beside(tmp_path / "scores.csv") as unfinished:
            unfinished.write_text("new")
            places.append(unfinished)
            folder = unfinished.parent
            assert folder.parent == tmp_path
            assert folder.stat().st_mode & 0o077 == 0
    assert places[0] != places[1]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path):
    path = tmp_path / "runs.zarr"
    path.mkdir()
    (path / "chunk").write_text("old")
    with pytest.raises(OSError, match=r"runs\.zarr"), written_beside(path):
        pass  # nothing is written
    assert (path / "chunk").read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["runs.zarr"]


# Pages and terminals


class Reader(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_a_report_runs_nothing_that_comes_from_data(tmp_path):
    name = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>javascript:alert(3)"
    pages = []
    for label in ("plain", name):
        ds = example((6, 4), samples=1, frames=3).drop_vars("velocity_x")
        truth = ds["tracer"].assign_attrs(role="truth")
        ds = ds.assign(truth_tracer=truth).isel(time=slice(1, None))
        ds["tracer"].attrs["units"] = label
        ds["x"].attrs["units"] = label
        told = {"system": label, "history_end": 0.0, "checkpoint": label, "command": label}
        renamed = ds.rename(tracer=label, truth_tracer=f"truth_{label}").assign_attrs(told)
        path = report(renamed, tmp_path / f"{len(pages)}.html")
        pages.append(Reader(path.read_text(encoding="utf-8")))
    assert pages[0].tags == pages[1].tags
    assert [key for key, _ in pages[0].attributes] == [key for key, _ in pages[1].attributes]
    loud = [(k, v) for k, v in pages[1].attributes if k.startswith("on") or k in ("href", "srcdoc")]
    assert loud == []
    policies = [value for key, value in pages[1].attributes if key == "content" and "src" in value]
    assert policies[0].startswith("default-src 'none'")
    assert "unsafe-inline" not in policies[0].partition("script-src")[2]


def harmless(text):
    return not any((ord(c) < 32 and c not in "\t\n") or 127 <= ord(c) < 160 for c in text)


def test_every_control_character_is_shown_and_none_obeyed():
    every = "".join(map(chr, range(0x2070)))
    shown = printable(every)
    assert harmless(shown)
    assert len(shown) == len(every)
    assert not set(shown) & set("\u202e\u2066")
    assert printable("température, 速度, \tα\n") == "température, 速度, \tα\n"
    assert printable(ESCAPE) == "␛]0;owned␇␛[2J"


def test_errors_and_consoles_pass_no_control_character(capsys):
    assert harmless(str(InputError(f"{ESCAPE}.nc: no such file")))
    console = Console()
    console.print(f"[red]{ESCAPE}[/]", "[/]")
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert shown == "[red]␛]0;owned␛[2J[/] [/]\n"  # rich itself drops the bell


@pytest.mark.parametrize("words", [["inspect"], ["inspect", "--json"]])
def test_a_card_commands_no_terminal(checkpoint, capsys, words):
    card = {"systems": [f"{ESCAPE}[red]x[/]"], "note": "\x9b2J", "fields": {}}
    altered(checkpoint, card=card)
    assert main([*words, str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert "owned" in shown


@pytest.mark.parametrize("words", [["doctor"], ["doctor", "--json"]])
def test_data_command_no_terminal(strange, capsys, words):
    path = strange(f"{ESCAPE}\x9b[red]x[")
    assert main([*words, str(path)]) == 0
    shown = capsys.readouterr()
    assert harmless(shown.out + shown.err)
    assert "owned" in shown.out
    if "--json" in words:
        assert json.loads(shown.out)["system"] == f"{ESCAPE}\x9b[red]x["


def test_a_plan_for_data_commands_no_terminal(strange, checkpoint, capsys):
    path = strange(f"{ESCAPE}\x9b[red]x[")
    assert main(["plan", "--checkpoint", str(checkpoint), "--data", str(path), "--on", "h100"]) == 0
    shown = capsys.readouterr().out
    assert harmless(shown)
    assert "owned" in shown
    assert "[red]x[" in shown


def test_a_run_that_fails_commands_no_terminal(monkeypatch, capsys):
    def fail(arguments):
        raise RunError(f"the loss of {ESCAPE} is nan")

    monkeypatch.setattr("mpp.cli.inspect.run", fail)
    assert main(["inspect", "mpp-mini"]) == 1
    assert harmless(capsys.readouterr().err)


def test_a_file_name_commands_no_terminal(tmp_path, capsys):
    assert main(["doctor", str(tmp_path / f"{ESCAPE}.nc")]) == 2
    assert harmless(capsys.readouterr().err)


# The network


@pytest.fixture
def offline(monkeypatch):
    """Every attempt to connect or to look up a name, which fails."""
    tried = []

    def refuse(*args, **_):
        tried.append(args)
        raise OSError("no network in this test")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    return tried


def test_nothing_connects_unless_asked_to(offline, tmp_path, capsys):
    ds = example((8, 8), samples=1, frames=6).rename(tracer="height")
    ds.drop_vars("velocity_x").to_netcdf(tmp_path / "runs.nc", engine="h5netcdf")
    model = mpp.load("mpp-mini")
    opened = mpp.open_dataset(tmp_path / "runs.nc")
    predicted = mpp.rollout(model, opened.isel(time=slice(0, 4)), 1)
    report(predicted, tmp_path / "report.html")
    assert main(["inspect", "mpp-mini"]) == 0
    for path in ("http://localhost/a.nc", "ftp://localhost/a.zarr", "reference::https://h/a.json",
                 "zip::https://localhost/a.zarr", "file:///etc/passwd", "file://localhost.me/a.zarr",
                 "//localhost/a.nc", Path("https://localhost/a.zarr")):  # fmt: skip
        with suppress(InputError):
            mpp.open_dataset(path)
        with suppress(InputError):
            mpp.load(path)
    assert offline == []


def test_the_hub_is_asked_when_it_is_named(offline, tmp_path, monkeypatch):
    pytest.importorskip("huggingface_hub")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with suppress(InputError, OSError):
        mpp.load("hf://nobody/nothing")
    assert offline  # so that the test above would have seen a connection


@pytest.mark.parametrize("names", [[], ["https://localhost/other.zarr", "s3://bucket/a"]])
def test_a_store_on_the_disk_reaches_for_nothing(offline, tmp_path, names):
    """Whatever addresses stand in its names and attributes."""
    ds = example((8, 8), samples=1, frames=6).assign_attrs(zarr="https://localhost/a.zarr")
    ds["tracer"].attrs |= {"source": "s3://bucket/a.zarr", "reference": "https://localhost/a"}
    store = tmp_path / "runs.zarr"
    ds.to_zarr(store, zarr_format=3, consolidated=False)
    described = json.loads((store / "zarr.json").read_text())
    array = json.loads((store / "tracer" / "zarr.json").read_text())
    inside = {"metadata": dict.fromkeys(names, array), "kind": "inline", "must_understand": False}
    (store / "zarr.json").write_text(json.dumps({**described, "consolidated_metadata": inside}))
    with suppress(InputError):
        mpp.open_dataset(store).load()
    assert offline == []


def test_a_store_behind_a_url_is_asked_when_it_is_named(offline):
    with pytest.raises(InputError, match="nobody answers"):
        mpp.open_dataset("http://localhost/a.zarr")
    assert offline  # so that the tests above would have seen a connection


# Expressions


@pytest.mark.parametrize(
    "text",
    [
        "u.__class__",
        "__import__('os').system('touch x')",
        "u.real",
        "(lambda: u)()",
        "[u for u in (1,)]",
        "u if u else u",
        "f'{u}'",
        "u[0]",
        "abs(u, u)",
        "abs(*u)",
        "(u := 1)",
        "u @ u",
        "u << 10**9",
        "'a' * u",
        "1" * 400 + "*u",
        "abs(" * 200 + "u" + ")" * 200,
        "-" * 900 + "u",
        "u" * 1001,
    ],
    ids=lambda text: text[:30],
)
def test_an_expression_is_arithmetic_or_refused(text):
    with pytest.raises(InputError):
        Expression.parse(text)


def test_a_huge_power_is_a_number_and_ends_at_once():
    start = time.process_time()
    value = Expression.parse("u + 9**9**9**9")({"u": torch.tensor(1.0)})
    assert not torch.isfinite(value)
    assert time.process_time() - start < 1
