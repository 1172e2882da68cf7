"""Compares the engine with the PyTorch model, picture for picture, from the same noise.

    SD_LIBRARY=path/to/libstable-diffusion.so python3 check.py <folder with weights> trifold-picture.gguf
"""

import os
import sys

import numpy as np
import torch

import engine
import export
import model as M
from words import Vocabulary

v = Vocabulary(os.path.join(export.HERE, "words.json"))
weights = export.load(sys.argv[1])
net, ae = M.Picture(v.size), M.Autoencoder()
net.load_state_dict({k: torch.from_numpy(w) for k, w in weights.items() if not k.startswith("ae.")})
ae.load_state_dict({k[3:]: torch.from_numpy(w) for k, w in weights.items() if k.startswith("ae.")})
for name, p in net.named_parameters():
    if M.quantised(name, p):
        p.data = M.q4(p.data)
e = engine.Engine(sys.argv[2], threads=1, rng=engine.CPU_RNG)        # the engine's copy of PyTorch's generator
where = M.positions(32, 8, 8, "cpu")
empty = torch.tensor([v.framed([], 32)])
for text, steps, cfg in (("a red circle on a blue background", 1, 1.0), ("a red circle on a blue background", 4, 1.0),
                         ("two green triangles", 20, 3.0), ("a boat on the sea at night with the moon", 20, 3.0)):
    ours = torch.Generator().manual_seed(5)
    noise = M.to_tokens(torch.randn(1, M.Z, 16, 16, generator=ours))
    ids = torch.tensor([v.framed(v.prompt(text), 32)])
    with torch.no_grad():
        x = M.draw(net, ids, empty, noise, steps, cfg, where)
        a = ae.decode(M.to_latent(x, 16, 16)).clamp(0, 1)[0].permute(1, 2, 0).numpy() * 255
    b = e.draw(text, seed=5, steps=steps, cfg=cfg, method=engine.EULER).astype(np.float32)
    d = np.abs(a - b)
    print(f"{text:<42} steps {steps:2}  cfg {cfg:.0f}   difference: mean {d.mean():.2f}  largest {d.max():.0f}   (of 255)")
