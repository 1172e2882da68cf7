"""What is refused, and how it is said."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import trifold_diffusion
from trifold_diffusion import (
    ClosedError,
    Diffusion,
    DiffusionError,
    ModelError,
    ModelNotFoundError,
    OptionError,
    OutOfMemoryError,
    TimedOutError,
)

#: The least that the engine draws.
TINY = {"steps": 1, "guidance": 1, "seed": 1}

NAN, INF = float("nan"), float("inf")

VALUES = [
    ("width", 0),
    ("width", 63),
    ("width", 100_000),
    ("width", -1),
    ("width", 10**30),
    ("height", 130),
    ("height", 8200),
    ("steps", 0),
    ("steps", 1001),
    ("steps", -5),
    ("guidance", -0.1),
    ("guidance", 100.1),
    ("guidance", NAN),
    ("guidance", INF),
    ("guidance", 1e300),
    ("clip_skip", 0),
    ("clip_skip", 12),
    ("seed", -1),
    ("seed", 2**63),
    ("seed", 2**64),
    ("sampler", "best"),
    ("sampler", "Euler"),
    ("sampler", ""),
    ("scheduler", "euler"),
    ("scheduler", "ays"),
    ("timeout", -1),
    ("timeout", NAN),
    ("timeout", INF),
    ("negative_prompt", "a\0b"),
    ("negative_prompt", "a" * 4097),
]


@pytest.mark.parametrize(("name", "value"), VALUES, ids=[f"{name}={value!r:.20}" for name, value in VALUES])
def test_values(sd, name, value):
    with pytest.raises(ValueError, match=rf"(?i){name.replace('_', '.')}|multiple of 8"):
        sd.generate("a star", **{**TINY, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", "128"),
        ("width", 128.0),
        ("steps", [1]),
        ("guidance", "7"),
        ("sampler", 3),
        ("scheduler", b"karras"),
        ("seed", "random"),
        ("seed", 1.5),
        ("clip_skip", "2"),
        ("negative_prompt", 3),
        ("cancel", object()),
        ("timeout", "soon"),
    ],
)
def test_types(sd, name, value):
    with pytest.raises(TypeError, match=f"Wrong type for option {name}"):
        sd.generate("a star", **{**TINY, name: value})


def test_numbers_of_numpy_are_numbers(sd):
    options = {"steps": np.int64(1), "guidance": np.float32(1), "seed": np.uint32(1)}
    assert sd.generate("a star", **options) == sd.generate("a star", **TINY)


@pytest.mark.parametrize("prompt", [None, 3, b"a star", ["a star"]])
def test_prompts_of_another_type(sd, prompt):
    with pytest.raises(TypeError):
        sd.generate(prompt, **TINY)


@pytest.mark.parametrize("prompt", ["a\0b", "a" * 4097, "\udc80"])
def test_prompts_that_cannot_be(sd, prompt):
    with pytest.raises(ValueError, match=r"prompt|surrogates"):
        sd.generate(prompt, **TINY)


def test_unknown_options_are_named(sd):
    with pytest.raises(TypeError, match=r"Unknown option: step\nhint: The options are timeout, cancel, neg"):
        sd.generate("a star", step=3)
    with pytest.raises(TypeError, match="batch"):
        sd.generate("a star", batch=3)
    with pytest.raises(TypeError):
        Diffusion("demo:picture", mmmap=True)


@pytest.mark.parametrize("batch", [0, 65, -1, 2**40])
def test_batches_have_a_range(sd, batch):
    with pytest.raises((OptionError, OverflowError)):
        sd.generate_batch("a star", batch, **TINY)


def test_too_large_for_memory(sd):
    with open("/proc/meminfo") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("MemAvailable:"))
    if kib > 100 << 20:
        # A machine that is large enough begins to draw.
        with pytest.raises(TimedOutError):
            sd.generate("a star", **TINY, width=8192, height=8192, timeout=1)
        return
    with pytest.raises(MemoryError) as caught:
        sd.generate("a star", **TINY, width=8192, height=8192)
    assert isinstance(caught.value, OutOfMemoryError)
    assert "8192x8192" in caught.value.message
    assert "smaller" in caught.value.hint


def test_hints_are_apart(sd):
    with pytest.raises(OptionError) as caught:
        sd.generate("a star", sampler="best")
    error = caught.value
    assert error.message.startswith("Unknown sampler: best (known: euler, ")
    assert str(error) == f"{error.message}\nhint: {error.hint}"
    assert isinstance(error, DiffusionError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_models_that_are_none(tmp_path):
    with pytest.raises(ModelNotFoundError, match="no-such") as caught:
        Diffusion(tmp_path / "no-such.gguf")
    assert isinstance(caught.value, FileNotFoundError)
    path = tmp_path / "model.gguf"
    for content in [b"", b"GGUF", b"RIFF" * 100]:
        path.write_bytes(content)
        with pytest.raises(ModelError, match=r"model\.gguf"):
            Diffusion(path)
    with pytest.raises((ModelError, OptionError)):
        Diffusion(tmp_path)
    with pytest.raises(OptionError, match="painting"):
        Diffusion("demo:painting")
    with pytest.raises(ModelError, match="picture model"):
        Diffusion("demo:story")
    with pytest.raises(TypeError):
        Diffusion(3)


def test_a_cut_model(sd, tmp_path):
    path = tmp_path / "cut.gguf"
    with open(sd.path, "rb") as whole:
        path.write_bytes(whole.read(1 << 20))
    with pytest.raises(ModelError, match=r"cut\.gguf"):
        Diffusion(path)


def test_parts_that_are_none(sd, tmp_path):
    with pytest.raises(OptionError, match=r"Unknown part of a model: clip \(known: clip_g, "):
        Diffusion(parts={"clip": sd.path})
    missing = tmp_path / "no-such.gguf"
    with pytest.raises(ModelNotFoundError, match="no-such") as caught:
        Diffusion(parts={"diffusion": missing})
    assert caught.value.filename == str(missing)
    with pytest.raises(OptionError, match=r"Expected a model file \(found: none\)"):
        Diffusion(parts={"tiny_vae": sd.path})
    with pytest.raises(TypeError, match="parts"):
        Diffusion("demo:picture", parts=[sd.path])


def test_load_options():
    with pytest.raises(OptionError, match=r"option threads: 513 \(expected 1 to 512\)"):
        Diffusion("demo:picture", threads=513)
    with pytest.raises(OptionError, match="option threads"):
        Diffusion("demo:picture", threads=0)
    with pytest.raises(ValueError, match="option threads"):
        Diffusion("demo:picture", threads=-1)
    with pytest.raises(TypeError, match="option mmap"):
        Diffusion("demo:picture", mmap="yes")


def test_schedulers_of_unknown_samplers(sd):
    with pytest.raises(OptionError, match="Unknown sampler: best"):
        sd.default_scheduler("best")


def test_closed(sd):
    model = Diffusion(sd.path)
    assert not model.closed
    model.close()
    model.close()
    assert model.closed
    for call in [
        lambda: model.generate("a star"),
        lambda: model.generate_batch("a star", 2),
        lambda: model.size_step,
        lambda: model.default_sampler,
        lambda: model.default_scheduler("euler"),
        lambda: model.path,
    ]:
        with pytest.raises(ClosedError, match="closed\nhint: Load it again"):
            call()


def test_no_copies_of_models(sd):
    for call in [pickle.dumps, copy.copy, copy.deepcopy]:
        with pytest.raises(TypeError, match="Cannot pickle or copy a Diffusion"):
            call(sd)


def test_the_native_classes_are_closed():
    with pytest.raises(TypeError):

        class Sub(trifold_diffusion._native.Model):
            pass
