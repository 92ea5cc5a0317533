"""Laws of the command: one line with an address of this machine, an end without noise."""

import http.client
import importlib.util
import signal
import socket
import urllib.request

import pytest
import xarray as xr

from mpp.cli.main import main
from mpp.explorer.server import free


def upgraded(host, port, origin):
    """The status that a page of some origin gets which asks for the socket behind the page."""
    asked = http.client.HTTPConnection(host, port, timeout=30)
    headers = {
        "Origin": origin,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "bokeh, none",
    }
    asked.request("GET", "/ws", headers=headers)
    status = asked.getresponse().status
    asked.close()
    return status


@pytest.mark.slow
def test_it_serves_this_machine_and_ctrl_c_ends_it_without_noise(viewing, rollout, tmp_path):
    rollout().to_netcdf(tmp_path / "r.nc")
    with viewing(["r.nc", "--no-open"], tmp_path, signal.SIGINT) as address:
        host, port = address.removeprefix("http://").split(":")
        assert host == "127.0.0.1"
        with urllib.request.urlopen(address) as answer:
            page = answer.read().decode()
        assert answer.status == 200
        assert "<title>mpp view</title>" in page
        assert "http://" not in page.replace(address, "")
        assert "https://" not in page
        socket.create_connection((host, int(port))).close()
        # Another address of this machine, of which 127/8 has many on Linux, does not answer.
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.2", int(port)), timeout=5)


@pytest.mark.slow
def test_a_page_of_another_site_gets_nothing(viewing, rollout, tmp_path):
    rollout().to_zarr(tmp_path / "r.zarr", zarr_format=2)
    port = free(0)
    words = ["r.zarr", "--no-open", "--port", port]
    with viewing(words, tmp_path, told="Refusing websocket connection") as address:
        assert address == f"http://127.0.0.1:{port}"
        assert upgraded("127.0.0.1", port, "http://evil.example") == 403


@pytest.mark.parametrize("name", ["panel", "hvplot"])
def test_what_is_not_installed_is_told_in_one_line(monkeypatch, capsys, name):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda word, *more: None if word == name else find(word, *more)
    )
    assert main(["view", "r.nc"]) == 2
    told = f"mpp view: mpp view needs {name}, not installed here; pip install 'mpp-physics[viz]'\n"
    assert capsys.readouterr().err == told


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["no.nc"], "no.nc: no such file"),
        (["a.nc"], "a.nc: neither a rollout, an evaluation nor runs"),
        (["r.nc", "r.nc"], "a file is named twice"),
        (["r.nc", "--port", "70000"], "port is 70000; give a port from 0 to 65535"),
        (["metrics.csv"], "metrics.csv: neither a rollout, an evaluation nor runs"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(rollout, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    rollout().to_netcdf("r.nc")
    xr.Dataset({"a": ("x", [0.0])}).to_netcdf("a.nc")
    (tmp_path / "metrics.csv").write_text("step\n")
    assert main(["view", *words, "--no-open"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mpp view: {message}")
    assert error.count("\n") == 1


def test_a_port_that_is_taken_is_told(rollout, tmp_path, capsys):
    rollout().to_netcdf(tmp_path / "r.nc")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["view", str(tmp_path / "r.nc"), "--port", str(port)]) == 2
        assert f"port {port} of 127.0.0.1 cannot be used" in capsys.readouterr().err
        assert free(0) not in (0, port)
