"""Laws of the names of checkpoints: a folder, a shipped one, or one that the Hub holds."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mpp import checkpoints
from mpp.checkpoints import locate, shipped
from mpp.errors import InputError

COMMIT = "a" * 40
FILES = {
    "model.json": b'{"format": 2}',
    "weights.safetensors": b"\x00" * 1000,
    "README.md": b"# A card",
    "evil.py": b"raise SystemExit",
}


def folder(path: Path) -> Path:
    path.mkdir(parents=True)
    for name, content in FILES.items():
        (path / name).write_bytes(content)
    return path


def test_a_folder_goes_before_a_shipped_checkpoint_of_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "package")
    inside = folder(tmp_path / "package" / "mini")
    assert shipped() == ("mini",)
    monkeypatch.chdir(tmp_path)
    assert locate("mini") == inside
    (tmp_path / "mini").mkdir()
    assert locate("mini") == inside  # an empty folder is not a checkpoint
    (tmp_path / "mini").rmdir()
    folder(tmp_path / "mini")
    assert locate("mini") == Path("mini")


@pytest.mark.parametrize("name", ["../mini", "mini/..", "", ".", "mini/model.json"])
def test_no_name_leads_out_of_the_folder_of_shipped_checkpoints(tmp_path, monkeypatch, name):
    monkeypatch.setattr(checkpoints, "SHIPPED", tmp_path / "package")
    folder(tmp_path / "package" / "mini")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"expected a checkpoint folder .* or one of mini"):
        locate(name)


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as is asked for one repository, ``physicist/flow``."""

    asked: list[str]

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        self.asked.append(path)
        start = "/physicist/flow/resolve/"
        if path == "/api/models/physicist/flow/revision/main":
            names = [{"rfilename": name} for name in FILES]
            self.answer(json.dumps({"id": "physicist/flow", "sha": COMMIT, "siblings": names}))
        elif path.startswith("/api/models/physicist/flow/tree/"):
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                for name, content in FILES.items()
            ]
            self.answer(json.dumps(entries))
        elif path.startswith(start):
            self.answer(FILES[path.removeprefix(f"{start}{COMMIT}/")])
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def answer(self, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.send_response(200)
        self.send_header("ETag", f'"{digest(data)}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


def digest(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def ask(tmp_path):
    """Looks for a checkpoint in a process of its own, whose Hub is on this machine."""
    pytest.importorskip("huggingface_hub")
    Hub.asked = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub = {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "cache"),
    }

    def run(name: str) -> subprocess.CompletedProcess[str]:
        code = "import sys; from mpp.checkpoints import locate; print(locate(sys.argv[1]))"
        return subprocess.run(
            [sys.executable, "-c", code, name],
            env={**os.environ, **hub},
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_checkpoint_on_the_hub_is_fetched_once_and_only_what_it_is_made_of(ask):
    first = ask("hf://physicist/flow")
    found = Path(first.stdout.strip())
    assert {file.name for file in found.iterdir()} == FILES.keys() - {"evil.py"}, first.stderr
    for file in found.iterdir():
        assert file.read_bytes() == FILES[file.name]
    Hub.asked.clear()
    assert ask(f"hf://physicist/flow@{COMMIT}").stdout == first.stdout
    assert [path for path in Hub.asked if "resolve" in path] == []


def test_what_the_hub_does_not_have_is_told_in_one_line(ask):
    last = ask("hf://physicist/nothing").stderr.strip().splitlines()[-1]
    assert "InputError: hf://physicist/nothing: the Hub did not give it" in last
    assert "check the name" in last


@pytest.mark.parametrize("name", ["hf://", "hf://flow", "hf://a/b/c", "hf://../x/y", "hf://a/b@"])
def test_a_malformed_name_is_refused(name):
    with pytest.raises(InputError, match="expected hf://owner/name"):
        locate(name)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(checkpoints, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'mpp-physics\[hub\]'"):
        locate("hf://physicist/flow")
