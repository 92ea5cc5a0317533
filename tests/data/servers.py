"""Web servers and buckets on the loopback, which keep account of what they are asked for."""

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

OBJECT = {"ETag": '"1"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
"""What the headers of an object must say."""


class Server(http.server.ThreadingHTTPServer):
    """Gives the files of a folder; the name of a bucket is that of a folder in it."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.folder = folder
        self.asked: list[str] = []
        """The paths that were asked for, in order, with their queries."""
        self.headers: list[dict[str, str]] = []
        self.answer: dict[str, tuple[int, dict[str, str], bytes]] = {}
        """What to say in place of a file, by the end of the path."""
        self.wanted = ""
        """How the header Authorization must start."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    """GET and HEAD of objects, and the list of a bucket as S3 and GCS give it (version 2)."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.server.headers.append(dict(self.headers))
        self._send(*self._found())

    do_HEAD = do_GET

    def _found(self) -> tuple[int, dict[str, str], bytes]:
        parts = urlsplit(self.path)
        for end, answer in self.server.answer.items():
            if unquote(parts.path).endswith(end):
                return answer
        if not self.headers.get("Authorization", "").startswith(self.server.wanted):
            return 403, {}, b""
        place = self.server.folder / unquote(parts.path).strip("/")
        query = parse_qs(parts.query)
        if "list-type" in query:
            return 200, {"Content-Type": "application/xml"}, self._list(place, query)
        if not place.is_file():
            return 404, {}, b""
        return self._part(place.read_bytes())

    def _part(self, content: bytes) -> tuple[int, dict[str, str], bytes]:
        """All of an object, or the bytes that Range names."""
        kind = dict(OBJECT)
        asked = self.headers.get("Range")
        if asked is None:
            return 200, kind, content
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start = int(first) if first else len(content) - int(last)
        stop = int(last) + 1 if first and last else len(content)
        whole = f"bytes {start}-{stop - 1}/{len(content)}"
        return 206, kind | {"Content-Range": whole}, content[start:stop]

    def _list(self, bucket: Path, query: dict[str, list[str]]) -> bytes:
        prefix, apart = query.get("prefix", [""])[0], "delimiter" in query
        files = [file for file in sorted(bucket.rglob("*")) if file.is_file()]
        keys = [k for k in (str(f.relative_to(bucket)) for f in files) if k.startswith(prefix)]
        below = {prefix + k.removeprefix(prefix).partition("/")[0] + "/"
                 for k in keys if apart and "/" in k.removeprefix(prefix)}  # fmt: skip
        own = [k for k in keys if not apart or "/" not in k.removeprefix(prefix)]
        items = [
            f"<Contents><Key>{escape(key)}</Key><Size>{(bucket / key).stat().st_size}</Size>"
            "<LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>1</ETag></Contents>"
            for key in own
        ]
        items += [f"<CommonPrefixes><Prefix>{escape(k)}</Prefix></CommonPrefixes>" for k in below]
        head = f"<KeyCount>{len(items)}</KeyCount><IsTruncated>false</IsTruncated>"
        return f"<ListBucketResult>{head}{''.join(items)}</ListBucketResult>".encode()

    def _send(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """A server in a thread."""
    server = Server(folder)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
