"""A server that answers as Hugging Face does, as far as downloads of models go."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import subprocess
import sys
import textwrap
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import trifold_demo_models

MODELS = Path(trifold_demo_models.__file__).parent
#: The commit that the branch `main` is at.
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """Hugging Face with the repositories that a test has put there, and a cache of its own to download to."""

    def __init__(self, server: ThreadingHTTPServer, home: Path) -> None:
        self.address = f"http://127.0.0.1:{server.server_port}"
        self.home = home
        self.repositories: dict[str, dict[str, bytes]] = {}
        #: What was asked for: method and path.
        self.requests: list[str] = []
        #: The token of each request.
        self.tokens: set[str | None] = set()
        #: Status, code and message of answers that refuse a path which begins so.
        self.refused: dict[str, tuple[int, str, str]] = {}
        #: How many bytes of each file are sent before the connection breaks.
        self.breaks: int | None = None
        #: Set while the second half of each file waits.
        self.slow = threading.Event()
        #: The second half of a file is waited for.
        self.halfway = threading.Event()

    @property
    def cache(self) -> Path:
        """Where the files are downloaded to."""
        return self.home / "hub"

    def run(self, script: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Runs Python with this hub as its Hugging Face."""
        return subprocess.run(
            [sys.executable, "-c", textwrap.dedent(script)],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
            env=self.environment(**settings),
        )

    def environment(self, **settings: str) -> dict[str, str]:
        """The variables that say where Hugging Face is, and no others about it."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
        ours = {
            "HF_ENDPOINT": self.address,
            "HF_HOME": str(self.home),
            # That has servers of its own.
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }
        return {**kept, **ours, **settings}


@pytest.fixture
def hub(tmp_path: Path):
    """A hub without repositories."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            # The other side may go at any time.
            with contextlib.suppress(ConnectionError):
                self.answer()

        do_GET = do_HEAD

        def answer(self) -> None:
            path = unquote(urlsplit(self.path).path)
            hub.requests.append(f"{self.command} {path}")
            hub.tokens.add(self.headers.get("Authorization"))
            for begin, refusal in hub.refused.items():
                if path.startswith(begin):
                    return self.refuse(*refusal)
            if path.startswith("/api/models/"):
                return self.model(path[len("/api/models/") :])
            repository, _, file = path[1:].partition("/resolve/")
            version, _, file = file.partition("/")
            content = hub.repositories.get(repository, {}).get(file)
            if repository not in hub.repositories:
                return self.refuse(404, "RepoNotFound", "Repository not found")
            if version not in ("main", COMMIT):
                return self.refuse(404, "RevisionNotFound", "Invalid rev id")
            if content is None:
                return self.refuse(404, "EntryNotFound", "Entry not found")
            self.file(content)

        def refuse(self, status: int, code: str, message: str) -> None:
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", message)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def model(self, repository: str) -> None:
            files = hub.repositories.get(repository)
            if files is None:
                # As for those who have not said who they are.
                return self.refuse(401, "RepoNotFound", "Repository not found")
            siblings = [{"rfilename": name} for name in files]
            body = json.dumps({"id": repository, "sha": COMMIT, "siblings": siblings}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def file(self, content: bytes) -> None:
            start = 0
            if wanted := self.headers.get("Range"):
                start = int(wanted.partition("=")[2].partition("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if self.command == "HEAD":
                return
            if hub.breaks is not None:
                self.wfile.write(content[start : hub.breaks])
                self.close_connection = True
                return
            middle = max(start, len(content) // 2)
            self.wfile.write(content[start:middle])
            if hub.slow.is_set():
                self.wfile.flush()
                hub.halfway.set()
                # Until the other side has gone.
                self.rfile.read(1)
                return
            self.wfile.write(content[middle:])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hub = Hub(server, tmp_path / "huggingface")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="session")
def story() -> bytes:
    """The demo text model."""
    return (MODELS / "trifold-story.gguf").read_bytes()


@pytest.fixture(scope="session")
def split_story(story: bytes) -> tuple[bytes, bytes]:
    """The demo text model in two files."""
    return split(story)


# How a GGUF file tells the types of its values.
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
U16, I32, STRING, ARRAY = 2, 5, 8, 9


def split(file: bytes) -> tuple[bytes, bytes]:
    """A GGUF file as two: one with the metadata and the first half of the tensors, and one with the rest."""
    at = 0

    def read(form: str) -> int:
        nonlocal at
        (value,) = struct.unpack_from(f"<{form}", file, at)
        at += struct.calcsize(f"<{form}")
        return value

    def skip(kind: int) -> None:
        nonlocal at
        if kind == STRING:
            length = read("Q")
            at += length
        elif kind == ARRAY:
            kind, count = read("I"), read("Q")
            for _ in range(count):
                skip(kind)
        else:
            at += SIZES[kind]

    magic, version, tensors, values = read("4s"), read("I"), read("Q"), read("Q")
    assert (magic, version) == (b"GGUF", 3)
    begin = at
    for _ in range(values):
        skip(STRING)
        skip(read("I"))
    metadata = file[begin:at]
    infos = []
    for _ in range(tensors):
        begin = at
        skip(STRING)
        dimensions = read("I")
        at += 8 * dimensions + 4
        infos.append((file[begin:at], read("Q")))
    data = file[aligned(at) :]
    ends = [offset for _, offset in infos[1:]] + [len(data)]
    whole = [(info, data[offset:end]) for (info, offset), end in zip(infos, ends)]
    half = tensors // 2

    def part(number: int, metadata: bytes, values: int, tensors: list[tuple[bytes, bytes]]) -> bytes:
        # Tensors keep their alignment: each one's data has its padding behind it.
        ours = {"split.no": (U16, "H", number), "split.count": (U16, "H", 2)}
        ours["split.tensors.count"] = (I32, "i", len(whole))
        for name, (kind, form, value) in ours.items():
            metadata += struct.pack("<Q", len(name)) + name.encode() + struct.pack(f"<I{form}", kind, value)
        out = struct.pack("<4sIQQ", magic, version, len(tensors), values + len(ours)) + metadata
        offset = 0
        for info, content in tensors:
            out += info + struct.pack("<Q", offset)
            offset += len(content)
        out += bytes(aligned(len(out)) - len(out))
        return out + b"".join(content for _, content in tensors)

    return part(0, metadata, values, whole[:half]), part(1, b"", 0, whole[half:])


def aligned(size: int) -> int:
    """The next multiple of 32, GGUF's usual alignment."""
    return -size % 32 + size
