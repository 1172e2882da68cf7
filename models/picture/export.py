"""Writes one GGUF file that stable-diffusion.cpp loads: text table, transformer, autoencoder.

    python3 export.py <folder with weights.*.npz> trifold-picture.gguf
    python3 export.py --random random-picture.gguf      # untrained weights, for tests
    python3 export.py ... --plain                       # f16 instead of 4 and 8 bits
"""

import os
import struct
import sys

import numpy as np

from words import Vocabulary

HERE = os.path.dirname(os.path.abspath(__file__))
F32, F16, Q4_0, Q8_0 = 0, 1, 2, 8


def pack_q4(w):
    b = w.astype(np.float32).reshape(-1, 32)
    top = np.take_along_axis(b, np.abs(b).argmax(1)[:, None], 1)
    scale = (top / np.float32(-8)).astype(np.float32)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    steps = np.clip(b * inverse + np.float32(8.5), 0, 15).astype(np.uint8)
    out = np.empty((len(b), 18), np.uint8)
    out[:, :2] = scale.astype(np.float16).view(np.uint8).reshape(-1, 2)
    out[:, 2:] = steps[:, :16] | (steps[:, 16:] << 4)
    return out.tobytes()


def pack_q8(w):
    b = w.astype(np.float32).reshape(-1, 32)
    scale = (np.abs(b).max(1, keepdims=True) / np.float32(127)).astype(np.float32)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    x = b * inverse
    steps = np.copysign(np.floor(np.abs(x) + 0.5), x).astype(np.int8)
    out = np.empty((len(b), 34), np.uint8)
    out[:, :2] = scale.astype(np.float16).view(np.uint8).reshape(-1, 2)
    out[:, 2:] = steps.view(np.uint8)
    return out.tobytes()


def pack(w, kind):
    if kind == Q4_0:
        return pack_q4(w)
    if kind == Q8_0:
        return pack_q8(w)
    return np.ascontiguousarray(w, np.float32 if kind == F32 else np.float16).tobytes()


def text(s):
    s = s.encode()
    return struct.pack("<Q", len(s)) + s


def write(path, tensors, about):
    """tensors: [(name, array, kind)]"""
    blobs = [pack(w, kind) for _, w, kind in tensors]
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(about))
    for key, value in about.items():
        head += text(key) + struct.pack("<I", 8) + text(value)
    at = 0
    for (name, w, kind), blob in zip(tensors, blobs):
        head += text(name) + struct.pack("<I", w.ndim)
        head += b"".join(struct.pack("<Q", n) for n in reversed(w.shape))
        head += struct.pack("<IQ", kind, at)
        at += -(-len(blob) // 32) * 32
    with open(path, "wb") as f:
        f.write(head + bytes(-len(head) % 32))
        for blob in blobs:
            f.write(blob + bytes(-len(blob) % 32))


def full_table(rows):
    """Our few rows spread over the engine's whole vocabulary; all other tokens get row 0."""
    v = Vocabulary(os.path.join(HERE, "words.json"))
    table = np.repeat(rows[:1], v.rows, 0)
    for token, i in v.row.items():
        table[token] = rows[i]
    for other, token in v.alias.items():
        if other not in v.row:
            table[other] = rows[v.row[token]]
    return table


def kind_of(name, w, plain):
    if w.ndim == 1:
        return F32
    if name.startswith("tae.") or plain:
        return F16
    if "embed_tokens" in name or any(k in name for k in ("attention.", "feed_forward.", "adaLN_modulation.0")):
        return Q4_0
    return Q8_0


ABOUT = {"general.architecture": "z_image", "general.name": "trifold-picture",
         "general.description": "Tiny text-to-picture demo model, trained only on procedurally drawn pictures. "
                                "128x128. Give this file as both the model and the taesd file."}


def export(weights, path, plain=False):
    """weights: names of the PyTorch modules -> arrays"""
    tensors = []
    for name, w in weights.items():
        if name.startswith("text."):
            if "embed_tokens" in name:
                w = full_table(w)
            name = "text_encoders.llm.model." + name[5:]
        elif name.startswith("diffusion."):
            name = "model.diffusion_model." + name[10:]
        else:
            name = "tae." + name[3:]
        tensors.append((name, w, kind_of(name, w, plain)))
    write(path, tensors, ABOUT)
    size = os.path.getsize(path)
    print(path, size, "bytes,", len(tensors), "tensors,", sum(w.size for _, w, _ in tensors), "numbers")


def load(folder):
    weights = {}
    for name in sorted(os.listdir(folder)):
        if name.startswith("weights.") and name.endswith(".npz"):
            with np.load(os.path.join(folder, name)) as z:
                weights.update({k: z[k].astype(np.float32) for k in z.files})
    return weights


def untrained():
    import torch

    import model
    torch.manual_seed(1)
    m, ae = model.Picture(Vocabulary(os.path.join(HERE, "words.json")).size), model.Autoencoder()
    for p in m.parameters():                    # nothing may stay zero: tests should see every weight work
        if p.dim() == 2:
            torch.nn.init.normal_(p, std=0.6 / p.shape[1] ** 0.5)
        else:
            p.data += torch.randn_like(p) * 0.1
    out = {k: v.detach().numpy() for k, v in m.state_dict().items()}
    out.update({"ae." + k: v.detach().numpy() for k, v in ae.state_dict().items()})
    return out


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if not a.startswith("--")]
    plain = "--plain" in sys.argv
    if "--random" in sys.argv:
        export(untrained(), args[0], plain)
    else:
        export(load(args[0]), args[1], plain)
