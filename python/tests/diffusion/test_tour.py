"""What the package does when all goes well."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
import trifold_diffusion
from trifold_diffusion import SAMPLERS, SCHEDULERS, Diffusion, Picture, Step, Weights, versions

#: The least that the engine draws.
TINY = {"steps": 1, "guidance": 1, "seed": 1}


def test_a_red_circle(picture):
    assert isinstance(picture, Picture)
    assert (picture.width, picture.height, picture.seed) == (128, 128, 1)
    red, green, blue = picture.pixel(64, 64)
    assert red > 150
    assert max(green, blue) < 100
    assert min(picture.pixel(2, 2)) > 200
    assert repr(picture) == "<Picture 128x128, seed 1: 'a red circle on a white background'>"


def test_the_default_model_and_its_defaults():
    with Diffusion() as sd:
        assert sd.path.endswith("trifold-picture.gguf")
        assert sd.defaults == {"width": 128, "height": 128, "steps": 12, "guidance": 2.5, "sampler": "lcm"}
        assert sd.default_sampler == "lcm"
        assert sd.default_scheduler() == "lcm"
        assert sd.default_scheduler("euler") == "discrete"
        assert sd.size_step == 8
        assert repr(sd) == f"<Diffusion {sd.path!r}>"
    assert repr(sd) == "<Diffusion, closed>"


def test_the_parameters_tell_what_was_used(sd):
    parameters = sd.generate("a star", negative_prompt="red", **TINY).parameters
    assert (parameters.prompt, parameters.negative_prompt, parameters.seed) == ("a star", "red", 1)
    assert dict(parameters.settings) == {
        "Steps": "1",
        "Sampler": "lcm",
        "Schedule type": "lcm",
        "CFG scale": "1",
        "Seed": "1",
        "Size": "128x128",
        "Model": "trifold-picture",
        "Version": f"trifold {trifold_diffusion.__version__}",
    }


def test_a_batch_is_what_its_seeds_give_alone(sd):
    pictures = sd.generate_batch("a star", batch=2, **TINY)
    assert [picture.seed for picture in pictures] == [1, 2]
    assert pictures[0] == sd.generate("a star", **TINY)
    assert pictures[1] == sd.generate("a star", **{**TINY, "seed": 2})
    assert pictures[0].rgb8 != pictures[1].rgb8


def test_seeds_are_random_unless_given(sd):
    options = {**TINY, "seed": None}
    assert sd.generate("a star", **options).seed != sd.generate("a star", **options).seed


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler(sd, sampler):
    picture = sd.generate("a star", **TINY, sampler=sampler)
    assert picture.parameters.get("Sampler") == sampler
    assert picture.parameters.get("Schedule type") == sd.default_scheduler(sampler)


@pytest.mark.parametrize("scheduler", [name for name in SCHEDULERS if name != "ays"])
def test_every_scheduler(sd, scheduler):
    picture = sd.generate("a star", **{**TINY, "steps": 2}, scheduler=scheduler)
    assert picture.parameters.get("Schedule type") == scheduler


def test_other_options(sd):
    plain = sd.generate("a star", **TINY)
    wide = sd.generate("a star", **TINY, width=192, height=64, clip_skip=2)
    assert (wide.width, wide.height, len(wide.rgb8)) == (192, 64, 192 * 64 * 3)
    assert wide.parameters.get("Clip skip") == "2"
    assert sd.generate("", **TINY).rgb8 != plain.rgb8
    guided = sd.generate("a star", steps=1, guidance=3, seed=1, negative_prompt="a red circle")
    assert guided.rgb8 != plain.rgb8


@pytest.mark.parametrize("options", [{"mmap": True}, {"flash_attention": True}, {"threads": 2}])
def test_load_options(options, picture):
    with Diffusion("demo:picture", **options) as sd:
        other = sd.generate("a red circle on a white background", steps=8, seed=1)
    pairs = zip(other.rgb8, picture.rgb8)
    assert sum(abs(a - b) for a, b in pairs) / len(picture.rgb8) < 3


def write_part(source, target, prefix):
    """Writes a GGUF file with the tensors of this prefix only, their names without it."""
    data = source.read_bytes()
    version, count, keys = struct.unpack_from("<IQQ", data, 4)
    at = 24

    def text():
        nonlocal at
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        return data[at - length : at]

    for _ in range(keys):
        text()
        assert struct.unpack_from("<I", data, at) == (8,)
        at += 4
        text()
    tensors = []
    about = data[24:at]
    for _ in range(count):
        name = text().decode()
        (dims,) = struct.unpack_from("<I", data, at)
        shape = data[at : at + 8 + 8 * dims]
        at += 16 + 8 * dims
        tensors.append((name, shape, *struct.unpack_from("<Q", data, at - 8)))
    at += -at % 32
    ends = [offset for _, _, offset in tensors[1:]] + [len(data) - at]
    infos, blobs = b"", b""
    kept = 0
    for (name, shape, offset), end in zip(tensors, ends):
        if name.startswith(prefix):
            short = name[len(prefix) :].encode()
            infos += struct.pack("<Q", len(short)) + short + shape + struct.pack("<Q", len(blobs))
            blobs += data[at + offset : at + end]
            kept += 1
    head = b"GGUF" + struct.pack("<IQQ", version, kept, keys) + about + infos
    target.write_bytes(head + bytes(-len(head) % 32) + blobs)


def test_a_model_in_parts(sd, tmp_path):
    source = Path(sd.path)
    write_part(source, tmp_path / "diffusion.gguf", "model.diffusion_model.")
    write_part(source, tmp_path / "llm.gguf", "text_encoders.llm.")
    parts = {"diffusion": tmp_path / "diffusion.gguf", "llm": tmp_path / "llm.gguf", "tiny_vae": source}
    with Diffusion(parts=parts, threads=1) as other:
        assert other.path == str(tmp_path / "diffusion.gguf")
        assert other.defaults == {"width": 512, "height": 512, "steps": 20, "guidance": 7, "sampler": "euler"}
        picture = other.generate("a star", **TINY, width=128, height=128, sampler="lcm")
    assert picture.rgb8 == sd.generate("a star", **TINY).rgb8


def test_a_whole_model_is_no_part(sd):
    # The engine looks for the names that parts have.
    with pytest.raises(trifold_diffusion.ModelError, match="picture model"):
        Diffusion(parts={"diffusion": sd.path, "llm": sd.path, "tiny_vae": sd.path})


def test_progress(sd):
    steps, weights, fractions = [], [], []
    with Diffusion(sd.path) as fresh:
        fresh.generate_batch(
            "a star",
            2,
            steps=2,
            guidance=1,
            on_step=steps.append,
            on_weights=weights.append,
            progress=fractions.append,
        )
    assert [(step.picture, step.pictures, step.step, step.steps) for step in steps] == [
        (1, 2, 1, 2),
        (1, 2, 2, 2),
        (2, 2, 1, 2),
        (2, 2, 2, 2),
    ]
    assert all(isinstance(step, Step) and step.seconds > 0 for step in steps)
    assert fractions == [step.fraction for step in steps] == [0.25, 0.5, 0.75, 1.0]
    assert all(isinstance(event, Weights) and event.done <= event.total for event in weights)
    assert weights[-1].done == weights[-1].total


def test_a_bar(sd, capsys):
    pytest.importorskip("tqdm")
    sd.generate("a star", **TINY, progress=True)
    assert "Drawing" in capsys.readouterr().err


def test_versions():
    found = dict(versions())
    assert set(found) == {"stable-diffusion.cpp", "ggml", "cpu_level", "system_info"}
    assert all(found.values())


def test_every_name_is_there():
    assert sorted(dir(trifold_diffusion)) == sorted(trifold_diffusion.__all__)
    assert all(getattr(trifold_diffusion, name) is not None for name in trifold_diffusion.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        trifold_diffusion.nonsense  # noqa: B018
