"""Packages of backend plugins: installing one is all that a user does, and so is removing it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import sysconfig
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(sysconfig.get_path("scripts")) / "trifold"

#: What the engines answer on whatever they choose, and what they say of it.
ANSWERS = f"""
import json, logging, os, sys
# The level that the twin is compiled for: so that it rounds alike.
os.environ["TRIFOLD_CPU_LEVEL"] = "x86-64-v3"
sys.path.insert(0, {str(Path(__file__).parents[1] / "together")!r})
import trifold_diffusion, trifold_llama, trifold_whisper

lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append(record.getMessage())
logging.basicConfig(level=logging.INFO, handlers=[handler])

from answers import answers

modules = (trifold_llama, trifold_whisper, trifold_diffusion)
devices = [[device.id for device in module.devices()] for module in modules]
print(json.dumps(dict(devices=devices, answers=answers(["ours"]), lines=lines)))
"""


def pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments]
    subprocess.run(command, check=True, timeout=120)


@contextmanager
def installed(wheels: Path, package: str) -> Iterator[None]:
    """The package is there until the end of the block."""
    pip("install", "--no-index", "--no-deps", "--force-reinstall", "--find-links", str(wheels), package)
    try:
        yield
    finally:
        pip("uninstall", "--yes", package)


def test_a_package_comes_and_goes(wheels, child):
    before = json.loads(child(ANSWERS, timeout=300))
    assert before["devices"] == [["cpu"]] * 3
    assert not any("twin" in line for line in before["lines"])

    with installed(wheels, "trifold-twin"):
        on_it = json.loads(child(ANSWERS, timeout=300))
    assert on_it["devices"] == [["cpu", "twin:0", "twin:1"]] * 3
    assert len([line for line in on_it["lines"] if "twin:0" in line]) >= 3, on_it["lines"]
    assert on_it["answers"] == before["answers"]

    after = json.loads(child(ANSWERS, timeout=300))
    assert (after["devices"], after["answers"]) == (before["devices"], before["answers"])


def test_a_changed_file_is_refused(wheels, child):
    """It is not the one whose SHA-256 the package states."""
    with installed(wheels, "trifold-twin"):
        find = "from trifold_twin import plugin; print(*plugin())"
        path, sha256 = child(find).split()
        assert len(sha256) == 64
        with Path(path).open("ab") as file:
            file.write(b"!")
        out = child(
            """
            import trifold_llama
            try:
                trifold_llama.Llama("demo:story", device="twin")
            except trifold_llama.DeviceError as error:
                print(error)
            """
        )
    assert "SHA-256" in out and sha256 in out


def test_two_servers_of_an_installed_package(wheels):
    """The program finds the plugin where packages are installed."""
    alone = generate("cpu")
    with installed(wheels, "trifold-rpc"), ExitStack() as servers:
        addresses = [servers.enter_context(server()) for _ in range(2)]
        assert generate(",".join(f"rpc:{address}" for address in addresses)) == alone


def generate(device: str) -> str:
    command = [PROGRAM, "generate", "Once upon a time", "--max-tokens", "8", "--temperature", "0"]
    options = ["--threads", "1", "--device", device]
    done = subprocess.run(
        [*command, *options],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def server() -> Iterator[str]:
    """A server on this computer, by its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with subprocess.Popen(
        [PROGRAM, "rpc-server", "--threads", "1", "--listen", address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            wait_for(process, address)
            yield address
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[bytes], address: str) -> None:
    host, port = address.split(":")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError(f"no answer at {address} (the server's exit code: {process.poll()})")
