"""Second step: trains only the decoder further, on latents as the transformer really makes them.

    python3 polish.py --weights runs/1 --out runs/2     # about one minute on a single GPU

runs/2 then holds everything that export.py needs.

Each picture is encoded, partly turned to noise, cleaned up by the transformer and then
shown to the decoder, whose task stays the original picture.
"""

import argparse
import math
import os
import shutil
import time

import numpy as np

import export
from train import FRAME, HERE, PROMPTS, SHORT, START, encode_all, say, start_drawing
from words import Vocabulary


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--weights", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--pictures", type=int, default=79872)
    a.add_argument("--workers", type=int, default=15)
    a.add_argument("--until", type=float, default=52, help="seconds after the start at which training ends")
    a.add_argument("--batch", type=int, default=40)
    a.add_argument("--rate", type=float, default=6e-4)
    a.add_argument("--seed", type=int, default=2)
    o = a.parse_args()
    v = Vocabulary(os.path.join(HERE, "words.json"))
    images, rows, done, _ = start_drawing(o.pictures, o.workers, o.seed)
    import torch
    from PIL import Image

    import model as M
    torch.backends.cudnn.benchmark_limit = 3
    dev = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(o.seed)
    say("on", dev.type)
    kind = torch.bfloat16 if dev.type == "cuda" else torch.float32
    weights = export.load(o.weights)
    ae, net = M.Autoencoder(), M.Picture(v.size)
    ae.load_state_dict({k[3:]: torch.from_numpy(w) for k, w in weights.items() if k.startswith("ae.")})
    net.load_state_dict({k: torch.from_numpy(w) for k, w in weights.items() if not k.startswith("ae.")})
    for name, p in net.named_parameters():
        if M.quantised(name, p):
            p.data = M.q4(p.data)
    ae = ae.to(dev).to(memory_format=torch.channels_last)
    net = net.to(dev).to(kind).requires_grad_(False)
    where = M.positions(SHORT, 8, 8, dev)
    while done.sum() < o.pictures:
        time.sleep(0.05)
    say("pictures drawn")
    clean = encode_all(ae, dev, images)
    target = torch.from_numpy(images).to(dev)
    ids = torch.from_numpy(rows[:, :SHORT].astype(np.int32)).to(dev)
    say("encoded")
    redone = torch.empty_like(clean)
    with torch.no_grad():
        for i in range(0, len(clean), 2000):
            x = clean[i:i + 2000].float()
            s = torch.rand(len(x), 1, 1, device=dev) * 0.5
            x = (1 - s) * x + s * torch.randn_like(x)
            for step in (s / 2, s / 2):                 # two steps back to the picture
                x = x + step * net(x.to(kind), 1000 * (1 - s[:, 0, 0]), ids[i:i + 2000], where).float()
                s = s - step
            redone[i:i + 2000] = x.half()
    distance = (redone[:2000].float() - clean[:2000].float()).square().mean().sqrt().item()
    say(f"redone, distance {distance:.3f}")

    def pixels(pick):
        return target[pick].permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)

    def picture(tokens):
        z = M.to_latent(tokens, 16, 16).contiguous(memory_format=torch.channels_last)
        with torch.autocast(dev.type, torch.bfloat16):
            return ae.decode(z).float()

    def report(word):
        with torch.no_grad():
            pick = torch.arange(min(64, len(target)), device=dev)       # shown at the end, too
            x = pixels(pick)
            p = [-10 * math.log10((picture(t[pick].float()).clamp(0, 1) - x).square().mean().item()) for t in (clean, redone)]
        say(word, f"psnr of encoded {p[0]:.2f}, of redone {p[1]:.2f}")

    report("before:")
    part_of = list(ae.decoder.parameters())
    opt = torch.optim.AdamW(part_of, lr=o.rate, betas=(0.9, 0.99), weight_decay=0.0, fused=dev.type == "cuda")
    torch.backends.cudnn.benchmark = True
    began, step = time.time(), 0
    length = max(1.0, o.until - (began - START))
    while True:
        part = (time.time() - began) / length
        if part >= 1:
            break
        for g in opt.param_groups:
            g["lr"] = o.rate * min(1, (step + 1) / 100) * min(1, (1 - part) / 0.8)
        pick = torch.randint(64, len(target), (o.batch,), device=dev)   # the first 64 are kept for the report
        x, half = pixels(pick), o.batch // 2
        z = torch.cat([redone[pick[:half]], clean[pick[half:]]]).float()
        z[half:] += torch.rand(o.batch - half, 1, 1, device=dev) * 0.12 * torch.randn_like(z[half:])
        y = picture(z)
        d = y - x
        loss = d.abs().mean() + 2 * d.square().mean()
        loss = loss + 0.7 * ((d[:, :, 1:] - d[:, :, :-1]).abs().mean() + (d[..., 1:] - d[..., :-1]).abs().mean())
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(part_of, 1.0)
        opt.step()
        step += 1
        if step % 500 == 0 or step == 1:
            say(step, f"loss {loss.item():.4f}")
    torch.backends.cudnn.benchmark = False
    report(f"after {step} steps:")
    os.makedirs(o.out, exist_ok=True)
    np.savez(os.path.join(o.out, "weights.ae.npz"), **{"ae." + k: w.detach().float().cpu().contiguous().numpy().astype(np.float16)
                                                      for k, w in ae.state_dict().items()})
    for name in os.listdir(o.weights):
        if name.startswith("weights.") and name != "weights.ae.npz":
            shutil.copy(os.path.join(o.weights, name), o.out)
    with torch.no_grad():
        prompts = torch.tensor([v.framed(v.prompt(t)[:SHORT - FRAME], SHORT) for t in PROMPTS], device=dev)
        empty = torch.tensor(v.framed([], SHORT), device=dev).expand(len(prompts), -1)
        noise = torch.randn(len(prompts), 64, 64, device=dev)
        img = picture(M.draw(net, prompts, empty, noise, 20, 3.0, where)).clamp(0, 1)
    img = (img.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8)
    Image.fromarray(np.concatenate([np.concatenate(list(img[i:i + 8]), 1) for i in range(0, len(img), 8)], 0)).save(
        os.path.join(o.out, "polished.png"))
    say("saved")


if __name__ == "__main__":
    main()
