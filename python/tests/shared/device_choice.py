"""What to compute on.

Mounted once per package: a test module there describes its engine as ``ENGINE`` and imports all names of this
one.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

import pytest

__all__ = [
    "Engine",
    "engine",
    "test_a_device_that_is_not_there",
    "test_a_plugin_that_cannot_be_used",
    "test_devices_of_the_wrong_type",
    "test_the_cpu_is_always_there",
    "test_the_device_is_described",
    "test_what_names_no_device",
]


@dataclass(frozen=True)
class Engine:
    """An engine's package."""

    package: str
    """Its import name."""
    name: str
    """The class of its models."""
    demo: str
    """The name of its demo model."""

    @property
    def module(self):
        return import_module(self.package)

    def load(self, **options):
        return getattr(self.module, self.name)(self.demo, **options)


@pytest.fixture
def engine(request):
    return request.module.ENGINE


def test_the_cpu_is_always_there(engine):
    cpu = engine.module.devices()[0]
    assert (cpu.id, cpu.kind, cpu.plugin) == ("cpu", "cpu", None)
    assert cpu.memory_total >= cpu.memory_free > 0
    for device in ("cpu", "auto"):
        with engine.load(device=device) as model:
            assert not model.closed


def test_a_device_that_is_not_there(engine):
    with pytest.raises(
        engine.module.DeviceError, match=r"Device not found: cuda:7 \(there are: cpu"
    ) as caught:
        engine.load(device="cuda:7")
    assert caught.value.hint


@pytest.mark.parametrize("device", ["", "cuda:x", "gpu:", "cpu,auto", "/tmp/plugin.so"])
def test_what_names_no_device(engine, device):
    with pytest.raises(engine.module.OptionError, match="Expected a device"):
        engine.load(device=device)


def test_devices_of_the_wrong_type(engine):
    with pytest.raises(TypeError, match="device"):
        engine.load(device=7)


def test_a_plugin_that_cannot_be_used(engine, child, tmp_path):
    """One that is no plugin: it is told in the log, and in the error if it is asked for."""
    plugin = tmp_path / "libtrifold-backend-none.so"
    plugin.write_bytes(b"no plugin")
    script = f"""
    import logging, os
    os.environ["TRIFOLD_BACKEND_PATH"] = {str(tmp_path)!r}
    import {engine.package} as tf
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logging.getLogger({engine.package!r}).addHandler(handler)
    assert [device.id for device in tf.devices()] == ["cpu"]
    assert any("found: no ELF file" in line for line in lines), lines
    try:
        tf.{engine.name}({engine.demo!r}, device="none")
    except tf.DeviceError as error:
        assert "tried: Expected a backend plugin at: {plugin} (found: no ELF file)" in error.message, error
    else:
        raise AssertionError("it was taken")
    """
    child(script)


def test_the_device_is_described(engine):
    assert engine.module.Device.__doc__
    assert engine.module.devices.__doc__
