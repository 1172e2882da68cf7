"""Pictures as values, arrays and files."""

from __future__ import annotations

import copy
import dataclasses
import errno
import os
import pickle

import numpy as np
import pytest
from trifold_diffusion import (
    OptionError,
    Parameters,
    Picture,
    PictureError,
    PictureFileError,
    PictureNotFoundError,
    StoredPicture,
    read_png,
)

#: The least that the engine draws.
TINY = {"steps": 1, "guidance": 1, "seed": 1}


def test_they_are_values(sd, picture):
    assert pickle.loads(pickle.dumps(picture)) == picture
    assert copy.deepcopy(picture) == picture
    assert hash(picture) == hash(dataclasses.replace(picture))
    assert picture != dataclasses.replace(picture, seed=2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        picture.width = 3
    long = dataclasses.replace(picture, parameters=Parameters("word " * 1000))
    assert len(repr(long)) < 80


def test_numpy_sees_the_pixels_without_a_copy(picture):
    array = picture.to_numpy()
    assert (array.shape, array.dtype) == ((128, 128, 3), np.uint8)
    assert not array.flags.writeable
    assert np.shares_memory(array, np.asarray(picture))
    assert np.shares_memory(array, np.frombuffer(picture.rgb8, np.uint8))
    assert tuple(array[10, 60]) == picture.pixel(60, 10)


def test_numpy_copies_where_it_is_asked_to(picture):
    array = np.array(picture)
    assert array.flags.writeable
    array[:] = 0
    assert picture.to_numpy().any()
    assert np.asarray(picture, dtype=np.float32).dtype == np.float32
    assert picture.__array__(np.dtype("u1"), copy=True).flags.writeable
    assert np.shares_memory(picture.__array__(np.uint8, copy=False), picture.to_numpy())
    with pytest.raises(ValueError, match="without a copy"):
        picture.__array__(np.float32, copy=False)


def test_the_array_interface(picture):
    class Other:
        __array_interface__ = picture.__array_interface__

    assert np.array_equal(np.asarray(Other()), picture.to_numpy())


@pytest.mark.parametrize("at", [(-1, 0), (0, -1), (128, 0), (0, 128), (10**30, 0)])
def test_no_pixels_outside(picture, at):
    with pytest.raises(IndexError, match="inside 128x128"):
        picture.pixel(*at)


def test_pixels_must_fit_the_size(picture):
    for width, height in [(127, 128), (0, 0), (-128, -128)]:
        with pytest.raises(OptionError, match="three bytes for each pixel"):
            dataclasses.replace(picture, width=width, height=height)


def test_png_and_back(picture, tmp_path):
    path = tmp_path / "circle.PNG"
    picture.save(path)
    assert path.read_bytes() == picture.png() == picture._repr_png_()
    stored = read_png(str(path))
    assert isinstance(stored, StoredPicture)
    assert (stored.width, stored.height, stored.rgb8) == (128, 128, picture.rgb8)
    assert stored.parameters == picture.parameters
    assert repr(stored) == "<StoredPicture 128x128: 'a red circle on a white background'>"
    assert stored.png() == picture.png()
    assert [entry.name for entry in tmp_path.iterdir()] == ["circle.PNG"]


def test_a_picture_without_parameters(picture, tmp_path):
    bare = StoredPicture(picture.width, picture.height, picture.rgb8, None)
    bare.save(tmp_path / "bare.png")
    assert read_png(tmp_path / "bare.png") == bare
    assert repr(bare) == "<StoredPicture 128x128>"


def test_prompts_in_every_script(sd, tmp_path):
    picture = sd.generate("een rode cirkel, красный круг, 赤い丸 🔴\nSteps: 3", **TINY)
    picture.save(tmp_path / "a.png")
    assert str(read_png(tmp_path / "a.png").parameters) == str(picture.parameters)


def test_parameters_as_text():
    text = 'a house\nNegative prompt: rain\nSteps: 20, Model: "a, b", Seed: 7'
    parameters = Parameters.parse(text)
    assert parameters == Parameters("a house", "rain", (("Steps", "20"), ("Model", "a, b"), ("Seed", "7")))
    assert (parameters.seed, parameters.get("Model"), parameters.get("Size")) == (7, "a, b", None)
    assert str(parameters) == text
    assert Parameters.parse("Steps: 1, Seed: ²").seed is None


def test_saving_where_it_cannot_be(picture, tmp_path):
    with pytest.raises(PictureNotFoundError, match=r"(?s)Failed to write picture: .*hint: Create the folder"):
        picture.save(tmp_path / "no" / "such.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(PictureFileError, match=r"folder\.png"):
        picture.save(tmp_path / "folder.png")
    with pytest.raises(OptionError, match="suffix"):
        picture.save(tmp_path / "circle")
    with pytest.raises(TypeError):
        picture.save(3)
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder.png"]


def test_errors_of_files_are_pythons_own(picture, tmp_path):
    for call, path in ((read_png, tmp_path / "none.png"), (picture.save, tmp_path / "no" / "such.png")):
        with pytest.raises(FileNotFoundError) as caught:
            call(path)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(path))
    with pytest.raises(OSError, match="directory") as caught:
        read_png(tmp_path)
    assert caught.value.filename == str(tmp_path)


def test_files_that_are_no_pictures(picture, tmp_path):
    path = tmp_path / "some.png"
    for content in [b"", b"GIF89a" * 9, picture.png()[:-30], picture.png()[:20]]:
        path.write_bytes(content)
        with pytest.raises(PictureError, match=r"Failed to read picture: .*some\.png"):
            read_png(path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no full device here")
def test_a_full_device_is_an_error(picture):
    with pytest.raises(PictureFileError):
        picture.save("/dev/full/circle.png")


def test_pillow(picture, tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    image = picture.to_pil()
    assert (image.mode, image.size) == ("RGB", (128, 128))
    assert image.info["parameters"] == str(picture.parameters)
    assert np.array_equal(np.asarray(image), picture.to_numpy())
    picture.save(tmp_path / "circle.jpg")
    with image_module.open(tmp_path / "circle.jpg") as file:
        assert (file.format, file.size) == ("JPEG", (128, 128))
    with image_module.open(tmp_path / "circle.jpg") as file:
        red, green, _ = file.getpixel((64, 64))
    assert red > 150 > green
    with pytest.raises(OptionError, match=r"Unknown picture format: \.xyz"):
        picture.save(tmp_path / "circle.xyz")
    missing = tmp_path / "no" / "circle.jpg"
    with pytest.raises(PictureNotFoundError, match="Failed to write picture") as caught:
        picture.save(missing)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, str(missing))
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(PictureFileError, match="Failed to write picture"):
        picture.save(tmp_path / "folder.jpg")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["circle.jpg", "folder.jpg"]


def test_without_pillow(child, tmp_path):
    out = child(f"""
        import sys
        sys.modules["PIL"] = None
        from trifold_diffusion import Parameters, Picture
        picture = Picture(1, 1, b"abc", 1, Parameters("a"))
        for call in (picture.to_pil, lambda: picture.save({str(tmp_path / "a.jpg")!r})):
            try:
                call()
            except ImportError as error:
                print(error)
        picture.save({str(tmp_path / "a.png")!r})
    """)
    assert out.splitlines() == [
        "to_pil() needs Pillow, which is not installed",
        "hint: pip install 'trifold-diffusion[pillow]'",
        ".jpg files needs Pillow, which is not installed",
        "hint: pip install 'trifold-diffusion[pillow]'",
    ]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


#: Starts from a picture, and stays near it.
NEAR = {**TINY, "steps": 4, "strength": 0.3}


@pytest.fixture(scope="module")
def expected(sd, picture):
    return sd.generate("a star", init_image=picture, **NEAR)


def test_a_share_of_the_steps_is_run(sd, picture, expected):
    steps = []
    sd.generate("a star", init_image=picture, **NEAR, on_step=steps.append)
    assert [(step.step, step.steps) for step in steps] == [(1, 2), (2, 2)]
    assert expected.parameters.get("Denoising strength") == "0.3"
    assert expected.rgb8 != sd.generate("a star", **{**TINY, "steps": 4}).rgb8


@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p.to_numpy(),
        lambda p: np.asfortranarray(p.to_numpy()),
        lambda p: np.repeat(p.to_numpy(), 2, axis=1)[:, ::2],
        lambda p: np.ascontiguousarray(p.to_numpy()[::-1])[::-1],
        lambda p: StoredPicture(p.width, p.height, p.rgb8, None),
    ],
    ids=["read-only", "fortran", "strided", "negative strides", "stored"],
)
def test_initial_pictures_of_every_kind(sd, picture, expected, convert):
    assert sd.generate("a star", init_image=convert(picture), **NEAR) == expected


def test_initial_pictures_of_pillow(sd, picture, expected):
    pytest.importorskip("PIL.Image")
    for mode in ["RGB", "RGBA"]:
        image = picture.to_pil().convert(mode)
        assert sd.generate("a star", init_image=image, **NEAR) == expected
    grey = picture.to_pil().convert("L")
    assert sd.generate("a star", init_image=grey, **NEAR).rgb8 != expected.rgb8


def test_initial_pictures_of_a_file(sd, picture, expected, tmp_path):
    picture.save(tmp_path / "a.png")
    for path in [tmp_path / "a.png", str(tmp_path / "a.png")]:
        assert sd.generate("a star", init_image=path, **NEAR) == expected
    with pytest.raises(PictureNotFoundError):
        sd.generate("a star", init_image=tmp_path / "b.png")


def test_initial_pictures_of_another_size(sd, picture):
    half = picture.to_numpy()[::2, ::2]
    assert sd.generate("a star", init_image=half, **NEAR).width == 128


@pytest.mark.parametrize("dtype", ["float32", ">u2", "int8", "bool", "object", "S1"])
def test_initial_pictures_of_another_type(sd, dtype):
    with pytest.raises(TypeError, match="array of uint8 for option init_image"):
        sd.generate("a star", init_image=np.zeros((8, 8, 3), dtype))


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (8, 8, 1), (1, 8, 8, 3), (3,), ()])
def test_initial_pictures_of_another_shape(sd, shape):
    with pytest.raises(OptionError, match=r"shape \(height, width, 3\)"):
        sd.generate("a star", init_image=np.zeros(shape, np.uint8))


@pytest.mark.parametrize("shape", [(0, 8, 3), (8, 0, 3), (1, 9000, 3)])
def test_too_small_or_too_large(sd, shape):
    with pytest.raises(OptionError, match="of the initial picture"):
        sd.generate("a star", init_image=np.zeros(shape, np.uint8))


@pytest.mark.parametrize("value", [3, b"a.png", [[[1, 2, 3]]], object()])
def test_initial_pictures_of_no_kind(sd, value):
    with pytest.raises(TypeError, match="for option init_image"):
        sd.generate("a star", init_image=value)


@pytest.mark.parametrize("strength", [0, -1, 1.01, float("nan"), float("inf"), 1e300])
def test_strength_has_a_range(sd, picture, strength):
    with pytest.raises(OptionError, match="Invalid option strength"):
        sd.generate("a star", init_image=picture, strength=strength)


def test_strength_alone(sd):
    with pytest.raises(OptionError, match="needs a picture to start from"):
        sd.generate("a star", strength=0.5)


def test_a_picture_can_be_made(tmp_path):
    picture = Picture(2, 1, b"\0\0\0\xff\xff\xff", 5, Parameters("two pixels"))
    assert picture.to_numpy().tolist() == [[[0, 0, 0], [255, 255, 255]]]
    picture.save(tmp_path / "two.png")
    assert read_png(tmp_path / "two.png").rgb8 == picture.rgb8
