"""What to compute on."""

from __future__ import annotations

import pytest
import trifold_whisper
from trifold_whisper import DeviceError, OptionError, Whisper, devices


def test_the_cpu_is_always_there():
    cpu = devices()[0]
    assert (cpu.id, cpu.kind, cpu.plugin) == ("cpu", "cpu", None)
    assert cpu.memory_total >= cpu.memory_free > 0
    for device in ("cpu", "auto"):
        with Whisper("demo:speech", device=device) as model:
            assert not model.closed


def test_a_device_that_is_not_there():
    with pytest.raises(DeviceError, match=r"Device not found: cuda:7 \(there are: cpu") as caught:
        Whisper("demo:speech", device="cuda:7")
    assert caught.value.hint


@pytest.mark.parametrize("device", ["", "cuda:x", "gpu:", "cpu,auto", "/tmp/plugin.so"])
def test_what_names_no_device(device):
    with pytest.raises(OptionError, match="Expected a device"):
        Whisper("demo:speech", device=device)


def test_devices_of_the_wrong_type():
    with pytest.raises(TypeError, match="device"):
        Whisper("demo:speech", device=7)


def test_a_plugin_that_cannot_be_used(child, tmp_path):
    """One that is no plugin: it is told in the log, and in the error if it is asked for."""
    plugin = tmp_path / "libtrifold-backend-none.so"
    plugin.write_bytes(b"no plugin")
    script = f"""
    import logging, os
    os.environ["TRIFOLD_BACKEND_PATH"] = {str(tmp_path)!r}
    import trifold_whisper
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger("trifold_whisper").addHandler(handler)
    assert [device.id for device in trifold_whisper.devices()] == ["cpu"]
    assert any("found: no ELF file" in line for line in lines), lines
    try:
        trifold_whisper.Whisper("demo:speech", device="none")
    except trifold_whisper.DeviceError as error:
        assert "tried: Expected a backend plugin at: {plugin} (found: no ELF file)" in error.message, error
    else:
        raise AssertionError("it was taken")
    """
    child(script)


def test_the_device_is_described():
    assert trifold_whisper.Device.__doc__
    assert trifold_whisper.devices.__doc__
