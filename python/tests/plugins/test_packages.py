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


#: Where a text model's layers lie, as the engine's log says, and what the model tells.
LAYERS = """
import json, logging, os, re
os.environ["TRIFOLD_CPU_LEVEL"] = "x86-64-v3"
from trifold_llama import Llama

lines = []
handler = logging.Handler()
handler.emit = lambda record: lines.append(record.getMessage())
logging.basicConfig(level=1, handlers=[handler])

def layers(**options):
    lines.clear()
    with Llama("demo:story", threads=1, **options) as llm:
        told = llm.generate("Once upon a time", max_tokens=16, temperature=0).text
    placed = re.compile(r"layer +(\\d+) assigned to device (TWIN\\d)")
    on = dict.fromkeys(["TWIN0", "TWIN1"], 0)
    for line in lines:
        if found := placed.search(line):
            on[found[2]] += 1
    return told, on["TWIN0"], on["TWIN1"]
"""


def test_a_text_model_lies_where_it_is_told_to(wheels, child):
    script = f"""{LAYERS}
found = [
    layers(device="cpu"),
    layers(device="twin:1"),
    layers(device=["twin:0", "twin:1"], tensor_split=[1, 0]),
    layers(device=("twin:1", "twin:0"), tensor_split=(1, 0)),
    layers(device=["twin:0", "twin:1"], tensor_split=[2, 1]),
    layers(device="twin:0,twin:1", tensor_split=[0.25, 0.5]),
    layers(device="twin", gpu_layers=3),
    layers(device="twin", gpu_layers=0),
    layers(device="twin", gpu_layers=1000),
]
print(json.dumps(found))
"""
    with installed(wheels, "trifold-twin"):
        found = json.loads(child(script, timeout=300))
    told = {text for text, *_ in found}
    assert len(told) == 1 and len(told.pop()) > 20
    # Nine of them: the last is the output.
    whole = [(0, 0), (0, 9), (9, 0), (0, 9), (6, 3), (3, 6), (3, 0), (0, 0), (9, 0)]
    assert [(first, second) for _, first, second in found] == whole


def test_what_a_text_model_cannot_do_with_devices(wheels, child):
    script = """
    import json
    import trifold_llama

    def error(**options):
        try:
            trifold_llama.Llama("demo:story", **{"device": "twin", **options})
        except (TypeError, trifold_llama.OptionError, trifold_llama.DeviceError) as error:
            return f"{type(error).__name__}: {error}"
        return "it was taken"

    two = {"device": ["twin:0", "twin:1"]}
    print(json.dumps([
        error(gpu_layers=-1),
        error(gpu_layers=2**40),
        error(gpu_layers=1.5),
        error(tensor_split=[1, 2]),
        error(tensor_split=[0, 0], **two),
        error(tensor_split=[1, float("nan")], **two),
        error(tensor_split=[1, -1], **two),
        error(tensor_split=3),
        error(device="cpu", tensor_split=[1]),
        error(device=[]),
        error(device=["twin", "cpu"]),
        error(device=["twin", 1]),
        error(device=["twin:0", "twin:5"]),
    ]))
    """
    with installed(wheels, "trifold-twin"):
        found = json.loads(child(script, timeout=300))
    shares = (
        "OptionError: Expected a share of each of the {} devices, 0 or more, and not all 0 "
        "for option tensor_split"
    )
    device = (
        "OptionError: Expected a device such as auto, cpu, cuda or cuda:1, or several with commas, each once"
    )
    expected = [
        "OptionError: Value out of range for option gpu_layers (found: -1)",
        f"OptionError: Value out of range for option gpu_layers (found: {2**40})",
        "TypeError: Wrong type for option gpu_layers (found: float)",
        f"{shares.format(1)} (found: [1.0, 2.0])",
        f"{shares.format(2)} (found: [0.0, 0.0])",
        f"{shares.format(2)} (found: [1.0, NaN])",
        f"{shares.format(2)} (found: [1.0, -1.0])",
        "TypeError: Wrong type for option tensor_split (found: int)",
        f"{shares.format(0)} (found: [1.0])",
        f'{device} (found: "")',
        f'{device} (found: "twin,cpu")',
        "TypeError: Wrong type for option device (found: list)",
        "DeviceError: Device not found: twin:0,twin:5 (there are: cpu, twin:0, twin:1)",
    ]
    assert len(found) == len(expected)
    for message, start in zip(found, expected):
        assert message.startswith(start)


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
