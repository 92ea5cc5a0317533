"""A store behind a URL is the store on the disk: same values, few requests, no secret told."""

import importlib.util
import json
import pickle
import socket
import sys
import warnings
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
import xarray as xr
import zarr

from mpp.cli.main import main
from mpp.data import clients
from mpp.data import convert as convert_module
from mpp.data.convert import convert, write
from mpp.data.mapping import Mapping
from mpp.data.open import open_dataset, read
from mpp.data.windows import Windows
from mpp.errors import InputError
from mpp.schema import example
from mpp.urls import require_local, shown

_spec = importlib.util.spec_from_file_location("servers", Path(__file__).with_name("servers.py"))
servers = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(servers)


@pytest.fixture
def server(tmp_path: Path, monkeypatch):
    """A server of the folder ``bucket``, which is S3 and GCS, too."""
    (tmp_path / "bucket").mkdir()
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "GOOGLE_SERVICE_ACCOUNT"):
        monkeypatch.delenv(name, raising=False)
    with servers.serving(tmp_path) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        monkeypatch.setenv("GOOGLE_BASE_URL", made.url)
        for name in clients.CREDENTIALS["s3"] + clients.CREDENTIALS["gs"]:
            monkeypatch.delenv(name, raising=False)
        yield made


@pytest.fixture
def store(tmp_path: Path, server, monkeypatch) -> Path:
    """Three runs of five frames, a chunk for each two frames of a run."""
    monkeypatch.setattr(convert_module, "CHUNK_BYTES", 400)
    return write(example((8, 6), samples=3, frames=5), tmp_path / "bucket" / "run.zarr")


def addresses(server) -> list[str]:
    return [f"{server.url}/bucket/run.zarr", "s3://bucket/run.zarr", "gs://bucket/run.zarr"]


def chunks(server) -> list[str]:
    """The chunks that were asked for."""
    return [path for path in map(unquote, server.asked) if "/c/" in path]


@pytest.mark.parametrize("number", range(3), ids=["http", "s3", "gs"])
def test_a_store_is_read_as_from_the_disk(server, store: Path, number: int):
    found, wanted = open_dataset(addresses(server)[number]), open_dataset(store)
    xr.testing.assert_identical(found.load(), wanted.load())
    assert found.attrs["system"] == "example"


def test_a_file_url_is_a_path(store: Path, tmp_path: Path):
    for url in (store.as_uri(), store.as_uri().replace("file:///", "file://localhost/")):
        xr.testing.assert_identical(open_dataset(url).load(), open_dataset(store).load())
    spaced = write(example(), tmp_path / "a b.nc")
    assert "%20" in spaced.as_uri()
    assert open_dataset(spaced.as_uri()).sizes == example().sizes
    with pytest.raises(InputError, match="names a machine, host"):
        open_dataset("file://host/a.zarr")


@pytest.mark.parametrize("number", range(3), ids=["http", "s3", "gs"])
def test_nothing_is_fetched_before_it_is_needed(server, store: Path, number: int):
    ds = open_dataset(addresses(server)[number])
    before = chunks(server)
    assert not [path for path in before if "tracer" in path or "velocity" in path]
    values = ds["tracer"].isel(sample=1, time=slice(2, 4)).values
    np.testing.assert_array_equal(values, open_dataset(store)["tracer"][1, 2:4])
    asked = chunks(server)[len(before) :]
    assert [path.partition("zarr/")[2] for path in asked] == ["tracer/c/1/1/0/0"]


def test_windows_of_a_store_ask_for_their_chunks_alone(server, store: Path, monkeypatch):
    monkeypatch.setattr("mpp.data.windows.IN_MEMORY_BYTES", 0)
    data = Windows(open_dataset(addresses(server)[0]), 2)
    before = len(server.asked)
    batch = data[data.places.index((2, 0))]
    asked = sorted(path.partition("zarr/")[2] for path in server.asked[before:])
    assert asked == ["tracer/c/2/0/0/0", "velocity_x/c/2/0/0/0"]
    kept = Windows(open_dataset(store), 2)
    assert batch.values.equal(kept[kept.places.index((2, 0))].values)


@pytest.mark.parametrize("number", range(2), ids=["http", "s3"])
def test_a_copy_in_another_process_opens_the_store_for_itself(server, store: Path, number: int):
    ds = open_dataset(addresses(server)[number])
    again = pickle.loads(pickle.dumps(ds["tracer"]))
    np.testing.assert_array_equal(again.values, open_dataset(store)["tracer"].values)


def test_several_stores_are_joined(server, store: Path):
    write(example((8, 6), samples=2, frames=5), store.with_name("more.zarr"))
    urls = [f"{server.url}/bucket/run.zarr", f"{server.url}/bucket/more.zarr"]
    reading = read(urls, Mapping())
    assert reading.ds.sizes["sample"] == 5
    assert [file.name for file in reading.files] == ["run.zarr", "more.zarr"]


def consolidate(place: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a part of Zarr that others may not read
        zarr.consolidate_metadata(place)


@pytest.mark.parametrize("version", [2, 3])
def test_groups_and_stores_of_others_are_read(server, store: Path, version: int):
    ds = example((8, 6)).rename(tracer="T")
    place = store.with_name("other.zarr")
    ds.to_zarr(place, group="tasks", zarr_format=version, consolidated=False)
    consolidate(place)
    for url in (f"{server.url}/bucket/other.zarr", "s3://bucket/other.zarr"):
        found = open_dataset(url, group="tasks")
        np.testing.assert_array_equal(found["T"], ds["T"])


def test_a_bucket_lists_what_a_store_does_not_say(server, store: Path):
    place = store.with_name("plain.zarr")
    example((8, 6)).to_zarr(place, zarr_format=2, consolidated=False)
    assert open_dataset("s3://bucket/plain.zarr").sizes["x"] == 8
    with pytest.raises(InputError, match="a web server has no list; have zarr"):
        open_dataset(f"{server.url}/bucket/plain.zarr")


@pytest.mark.parametrize("number", range(3), ids=["http", "s3", "gs"])
def test_a_chunk_that_is_lacking_is_refused(server, store: Path, number: int):
    (store / "tracer" / "c" / "1" / "0" / "0" / "0").unlink()
    ds = open_dataset(addresses(server)[number])
    assert np.isfinite(ds["tracer"][0].values).all()
    with pytest.raises(InputError, match="tracer lacks chunks such as tracer/c/1/0/0/0"):
        ds["tracer"].load()
    filled = open_dataset(addresses(server)[number], missing=0)
    assert (filled["tracer"][1, :2] == 0).all()
    # Once it is there, it counts.
    write(example((8, 6), samples=3, frames=5), store, overwrite=True)
    assert np.isfinite(ds["tracer"].values).all()


def test_shards_are_read_in_part(server, tmp_path: Path):
    ds = example((8, 6), samples=1, frames=8)
    group = zarr.create_group(tmp_path / "bucket" / "s.zarr", attributes=dict(ds.attrs))
    for name, variable in ds.variables.items():
        layout = {"chunks": (1, 1, 8, 6), "shards": (1, 8, 8, 6)} if variable.ndim == 4 else {}
        group.create_array(
            name, data=variable.values, dimension_names=variable.dims,
            attributes=dict(variable.attrs), **layout,
        )  # fmt: skip
    consolidate(tmp_path / "bucket" / "s.zarr")
    for url in (f"{server.url}/bucket/s.zarr", "s3://bucket/s.zarr"):
        found = open_dataset(url)
        np.testing.assert_array_equal(found["tracer"][0, 3], ds["tracer"][0, 3])
        assert any("Range" in h or "range" in h for h in server.headers)


# What goes wrong


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def refusal(url: str, **options) -> str:
    with pytest.raises(InputError) as told:
        open_dataset(url, **options).load()
    assert "\n" not in str(told.value)
    return str(told.value)


def test_nobody_answers(free_port: int, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
    monkeypatch.setattr(clients, "TRIES", 1)
    for url in (f"http://127.0.0.1:{free_port}/b/run.zarr", "s3://nobody/run.zarr"):
        assert "nobody answers within 10 seconds" in refusal(url)


def test_a_server_that_stays_silent_is_left(server, store: Path, monkeypatch):
    monkeypatch.setattr(clients, "READ_SECONDS", 0.3)
    monkeypatch.setattr(clients, "TRIES", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        for url in (f"http://127.0.0.1:{port}/run.zarr", "s3://silent/run.zarr"):
            assert "nobody answers" in refusal(url)


def test_nothing_is_there(server, store: Path):
    for url in addresses(server):
        assert "no Zarr store is found there" in refusal(url.replace("run", "absent"))


def test_what_is_there_is_no_store(server, store: Path):
    page = (200, servers.OBJECT, b"<html><a href='http://evil/x'>all is well</a>")
    server.answer["zarr.json"] = page
    for url in addresses(server):
        assert "not a Zarr store" in refusal(url)
    server.answer["zarr.json"] = (200, {}, b"{}")
    assert "does not do so as an object store does" in refusal("gs://bucket/run.zarr")
    server.answer.clear()
    zarr.create_array(store.with_name("one.zarr"), data=np.zeros(3))
    for url in addresses(server):
        assert "a single array" in refusal(url.replace("run", "one"))


def test_files_behind_a_url_are_not_read(server, tmp_path: Path):
    for ending in ("nc", "h5", "hdf5"):
        told = refusal(f"{server.url}/bucket/a.{ending}")
        assert "download it, or have it converted with mpp convert" in told
    assert server.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_access_is_refused(server, store: Path, status: int):
    server.answer[""] = (status, {}, b"")
    assert f"access is refused ({status}); check the user" in refusal(addresses(server)[0])
    for url in addresses(server)[1:]:
        assert f"access is refused ({403})" in refusal(url)


def test_a_fault_of_the_server_is_no_gap(server, store: Path, monkeypatch):
    monkeypatch.setattr(clients, "TRIES", 1)
    for number, url in enumerate(addresses(server)):
        copy = store.with_name(f"{number}.zarr")
        write(open_dataset(store), copy)
        ds = open_dataset(url.replace("run", str(number)))
        server.answer["tracer/c/1/0/0/0"] = (500, {}, b"")
        with pytest.raises(InputError, match=r"the server answers with an error \(500\)"):
            ds["tracer"].load()
        server.answer.clear()


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/run.zarr",
        "reference://run.json",
        "zip::https://host/run.zarr.zip",
        "https://host/a.zarr::simplecache",
        "simplecache::s3://bucket/run.zarr",
        "reference::https://host/run.json",
        "memory://run.zarr",
        "http:///run.zarr",
        "http://host:port/run.zarr",
        "s3://key:secret@bucket/run.zarr",
        "git://host/run.zarr",
        "javascript://x",
    ],
)
def test_other_urls_are_refused_before_anybody_is_asked(url: str, monkeypatch):
    monkeypatch.setattr("mpp.data.remote.store_at", lambda *args: pytest.fail("a store was opened"))
    told = refusal(url)
    assert "secret" not in told
    assert any(f"{word}" in told for word in ("expected a URL", "names no host", "not a URL",
                                              "holds credentials"))  # fmt: skip


def test_what_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    for url in ("s3://none/run.zarr", "gs://none/run.zarr", "http://none/run.zarr"):
        assert "pip install 'mpp-physics[remote]'" in refusal(url)


def test_a_process_that_was_forked_does_not_hang(monkeypatch):
    monkeypatch.setattr(clients, "_READERS", {1})
    assert "start processes by 'spawn'" in refusal("s3://forked/run.zarr")


# Secrets


def test_a_user_and_a_signature_are_sent_and_not_told(
    server, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    server.wanted = "Basic bWU6c2VjcmV0"  # me:secret
    url = f"{addresses(server)[0]}?sig=hidden%2B".replace("http://", "http://me:secret@")
    out = convert(url, tmp_path / "a.nc")
    assert all(path.endswith("?sig=hidden%2B") for path in server.asked)
    ds = open_dataset(out)
    assert ds.attrs["source_files"] == "run.zarr"
    assert main(["doctor", url, "--json"]) == 0
    server.wanted = "Basic other"
    assert main(["doctor", url.replace("run", "none")]) == 2
    shown_all = capsys.readouterr()
    for text in (str(ds.attrs), shown_all.out, shown_all.err, repr(read(store, Mapping()).files)):
        assert "secret" not in text
        assert "hidden" not in text
    assert "127.0.0.1" in shown_all.err


def test_text_is_shown_without_secrets():
    for text, safe in (
        ("https://me:pw@host:8080/a b.zarr", "https://host:8080/a b.zarr"),
        ("doctor 'https://h/run.zarr?sig=a&b=c' --json", "doctor 'https://h/run.zarr' --json"),
        ("s3://bucket/run.zarr#x", "s3://bucket/run.zarr"),
        ("tcp://login1:8786 hf://owner/name m@host a?b",) * 2,
        ("https://a@b@host/x", "https://host/x"),
    ):  # fmt: skip
        assert shown(text) == safe


def test_signatures_use_the_keys_of_the_environment(server, store: Path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "mykey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "mysecret")
    server.wanted = "AWS4-HMAC-SHA256 Credential=mykey/"
    write(open_dataset(store), store.with_name("signed.zarr"))
    assert open_dataset("s3://bucket/signed.zarr").load().sizes["x"] == 8
    assert "mysecret" not in str(server.headers)


def test_results_are_not_written_to_a_url(store: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for url in ("s3://bucket/out.zarr", "https://host/out.zarr", "file:///tmp/out.zarr"):
        assert main(["convert", str(store), "--out", url]) == 2
        assert "results are written to this machine's disks alone" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bucket"]
    require_local(Path("a:b/c.zarr"))


# A server, or a store, that wants one to go elsewhere


@pytest.mark.parametrize("what", ["zarr.json", "tracer/c/0/0/0/0"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server, store: Path, tmp_path: Path, what: str, status: int):
    with servers.serving(tmp_path) as other:
        target = f"{other.url}/bucket/run.zarr/{what}?sig=hidden"
        server.answer[what] = (status, {"Location": target}, b"")
        told = refusal(addresses(server)[0])
        assert "points elsewhere" in told
        assert "hidden" not in told
        assert other.asked == []


def test_a_store_asks_for_nothing_outside_of_itself(server, store: Path, tmp_path: Path):
    (tmp_path / "private").mkdir()
    hidden = zarr.create_array(tmp_path / "private" / "c", data=np.ones((3, 5, 8, 6)))
    described = json.loads((store / "zarr.json").read_text())
    inside = described["consolidated_metadata"]["metadata"]
    for name in ("../../private/c", f"{server.url}/private/c", "x?y", "%2e%2e/%2e%2e/private/c"):
        inside[name] = inside["tracer"] | {"shape": list(hidden.shape)}
    (store / "zarr.json").write_text(json.dumps(described))
    for url in addresses(server):
        server.asked.clear()
        with pytest.raises(InputError):
            open_dataset(url, keep=["tracer", "../../private/c"]).load()
        assert all("/bucket" in path and ".." not in path for path in server.asked), server.asked
        assert not [path for path in server.asked if "private" in path]
