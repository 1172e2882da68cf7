"""Draws the pictures, trains the autoencoder, then the transformer with its text table.

    python3 train.py --out runs/1                       # one run on a single GPU, about 9 minutes
    python3 train.py --out runs/try --pictures 600 --ae-seconds 20 --seconds 30 --batch 16 --workers 1 --compile 0

Everything is limited by the clock, not by step counts.
"""

import argparse
import math
import mmap
import multiprocessing
import os
import random
import time

import numpy as np

import scenes
from words import Vocabulary

HERE = os.path.dirname(os.path.abspath(__file__))
SHORT, LONG = 32, 64                # text tokens: padded to a multiple of 32
FRAME = 8                           # of them always around the prompt
START = time.time()


def say(*a):
    print("%6.1f s" % (time.time() - START), *a, flush=True)


# --- pictures --------------------------------------------------------------------------

def shared(shape, kind):
    n = int(np.prod(shape)) * np.dtype(kind).itemsize
    return np.frombuffer(mmap.mmap(-1, n), kind).reshape(shape)


def caption_rows(v, rng, text):
    """The caption as table rows, short and stretched with words that mean nothing."""
    if rng.random() < 0.05:
        text += "."
    rows = v.prompt(text)
    room = SHORT - FRAME
    rows = rows[:room]
    noise = [0, 0, 0] + [v.row[t] for w in scenes.FILLER for t in v.table[" " + w]]
    if rng.random() < 0.10:
        for _ in range(rng.randint(1, 3)):
            if len(rows) < room:
                rows.insert(rng.randint(0, len(rows)), rng.choice(noise))
    long = list(rows)
    want = rng.randint(room + 1, LONG - FRAME)
    together = rng.random() < 0.5            # often a tail of words, otherwise words in between
    while len(long) < want:
        long.insert(len(long) if together else rng.randint(0, len(long)), rng.choice(noise))
    return v.framed(rows, SHORT) + v.framed(long, LONG)


def fill(worker, first, last, images, rows, done, seed):
    v, rng = Vocabulary(os.path.join(HERE, "words.json")), random.Random(seed * 1000 + worker)
    for i in range(first, last):
        text, img = scenes.sample(rng)
        images[i] = np.asarray(img)
        rows[i] = caption_rows(v, rng, text)
        done[worker] = i + 1 - first


def start_drawing(count, workers, seed):
    images = shared((count, scenes.SIZE, scenes.SIZE, 3), np.uint8)
    rows = shared((count, SHORT + LONG), np.int16)
    done = shared((workers,), np.int64)
    edges = [count * i // workers for i in range(workers + 1)]
    for w in range(workers):
        multiprocessing.Process(target=fill, args=(w, edges[w], edges[w + 1], images, rows, done, seed), daemon=True).start()
    return images, rows, done, edges


# --- autoencoder -------------------------------------------------------------------------

def train_autoencoder(o, dev, images, done, edges):
    import torch

    import model as M
    torch.manual_seed(o.seed)
    ae = M.Autoencoder().to(dev).to(memory_format=torch.channels_last)
    opt = torch.optim.AdamW(ae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.0, fused=dev.type == "cuda")
    rng = np.random.default_rng(o.seed)
    scale, step = 1.0, 0

    def batch():
        w = rng.integers(0, len(done), o.ae_batch)
        pick = np.array(edges)[w] + (rng.random(o.ae_batch) * np.maximum(1, done[w])).astype(np.int64)
        x = torch.from_numpy(images[pick]).to(dev, non_blocking=True)
        return x.permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=torch.channels_last)

    def slopes(x):
        return x[:, :, 1:] - x[:, :, :-1], x[:, :, :, 1:] - x[:, :, :, :-1]

    while min(done) < 4:
        time.sleep(0.2)
    began = time.time()
    while True:
        part = (time.time() - began) / o.ae_seconds
        if part >= 1:
            break
        rate = 1e-3 * min(1, (step + 1) / 100) * min(1, (1 - part) / 0.6)
        for g in opt.param_groups:
            g["lr"] = rate
        x = batch()
        with torch.autocast(dev.type, torch.bfloat16):
            raw = ae.encode(x)
            size = raw.float().square().mean().add(1e-8).sqrt()
            z = raw.float() / size                      # the whole latent has size 1
            z = z + torch.rand(len(z), 1, 1, 1, device=dev) * o.ae_noise * torch.randn_like(z)
            y = ae.decode(z).float()
        d = y - x
        loss = d.abs().mean() + 2 * d.square().mean()
        loss = loss + 0.5 * sum((a - b).abs().mean() for a, b in zip(slopes(y), slopes(x)))
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(ae.parameters(), 1.0)
        opt.step()
        step += 1
        if step % 200 == 0 or step == 1:
            say("autoencoder", step, f"loss {loss.item():.4f}", f"psnr {-10 * math.log10(d.square().mean().item()):.2f}",
                "drawn", int(done.sum()))
    with torch.no_grad():
        sizes = []
        for _ in range(8):
            with torch.autocast(dev.type, torch.bfloat16):
                sizes.append(ae.encode(batch()).float().square().mean())
        scale = torch.stack(sizes).mean().sqrt()
        ae.encoder["layers"][-1].weight.div_(scale)     # from now on the encoder itself gives size 1
        ae.encoder["layers"][-1].bias.div_(scale)
        x = batch()
        with torch.autocast(dev.type, torch.bfloat16):
            z = ae.encode(x).float()
            y = ae.decode(z).float().clamp(0, 1)
        say("autoencoder done,", step, "steps, psnr %.2f" % (-10 * math.log10((y - x).square().mean().item())),
            "size of each channel", [round(v, 2) for v in z.std((0, 2, 3)).tolist()], "largest", round(z.abs().max().item(), 2))
    return ae, x, y


def encode_all(ae, dev, images, chunk=512):
    import torch

    import model as M
    out = torch.empty(len(images), 64, M.PATCH * M.PATCH * M.Z, dtype=torch.float16, device=dev)
    with torch.no_grad():
        for i in range(0, len(images), chunk):
            x = torch.from_numpy(images[i:i + chunk]).to(dev, non_blocking=True).permute(0, 3, 1, 2).float().div_(255)
            with torch.autocast(dev.type, torch.bfloat16):
                z = ae.encode(x.contiguous(memory_format=torch.channels_last))
            out[i:i + chunk] = M.to_tokens(z.float().contiguous()).half()
    return out


# --- transformer -------------------------------------------------------------------------

class Flat:
    """All weights in one vector: exact copy, working copy (perhaps 4-bit rounded), average."""

    def __init__(self, net, kind):
        import torch

        import model as M
        named = sorted(net.named_parameters(), key=lambda np_: not M.quantised(*np_))
        self.torch, self.M, self.named = torch, M, named
        assert all(p.numel() % 32 == 0 for _, p in named)
        self.exact = torch.cat([p.detach().flatten().float() for _, p in named])
        self.cut = sum(p.numel() for n, p in named if M.quantised(n, p))
        self.work = self.exact.to(kind)
        self.grad = torch.zeros_like(self.work)
        self.mean, self.m, self.v = self.exact.clone(), torch.zeros_like(self.exact), torch.zeros_like(self.exact)
        self.decay = torch.cat([torch.full((p.numel(),), float(p.dim() > 1), device=p.device) for _, p in named])
        at = 0
        for _, p in named:
            n = p.numel()
            p.data = self.work[at:at + n].view(p.shape)
            p.grad = self.grad[at:at + n].view(p.shape)
            at += n
        self.steps = 0

    def step(self, rate, four_bits, keep, beta1=0.9, beta2=0.98, decay=0.02):
        self.steps += 1
        g = self.grad.float()
        g.mul_((1.0 / (g.norm() + 1e-6)).clamp(max=1.0))
        self.m.lerp_(g, 1 - beta1)
        self.v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
        a, b = 1 - beta1 ** self.steps, 1 - beta2 ** self.steps
        move = (self.m / a) / ((self.v / b).sqrt() + 1e-8)
        self.exact.add_(move + decay * self.decay * self.exact, alpha=-rate)
        self.mean.lerp_(self.exact, 1 - keep)
        self.load(self.exact, four_bits)
        self.grad.zero_()

    def load(self, source, four_bits):
        self.work.copy_(source)
        if four_bits:
            self.work[:self.cut].copy_(self.M.q4(source[:self.cut]))

    def weights(self):
        out, at = {}, 0
        for n, p in self.named:
            out[n] = self.mean[at:at + p.numel()].view(p.shape).cpu().numpy()
            at += p.numel()
        return out


def train_transformer(o, dev, v, latents, rows):
    import torch

    import model as M
    torch.manual_seed(o.seed + 1)
    kind = torch.bfloat16 if dev.type == "cuda" else torch.float32
    net = M.Picture(v.size).to(dev)
    flat = Flat(net, kind)
    if o.compile:
        d = net.diffusion
        for layer in list(d.layers) + list(d.noise_refiner) + list(d.context_refiner):
            layer.compile(dynamic=True)
    where = {n: M.positions(n, 8, 8, dev) for n in (SHORT, LONG)}
    rows = torch.from_numpy(rows.astype(np.int32)).to(dev)
    empty = torch.tensor(v.framed([], SHORT), device=dev, dtype=torch.int32)
    n, recent, seen = len(latents), None, 0
    began, saved = time.time(), False
    while True:
        part = (time.time() - began) / o.seconds
        if part >= 1:
            break
        four_bits = part > 0.72
        rate = o.rate * min(1, (flat.steps + 1) / 300) * min(1, (1 - part) / 0.45)
        pick = torch.randint(0, n, (o.batch,), device=dev)
        x0 = latents[pick].float()
        if flat.steps % 8 == 7:
            size, ids = LONG, rows[pick, SHORT:]
        else:
            size, ids = SHORT, rows[pick, :SHORT]
            ids = torch.where(torch.rand(o.batch, 1, device=dev) < 0.1, empty, ids)
        u = torch.sigmoid(torch.randn(o.batch, device=dev))
        u = torch.where(torch.rand(o.batch, device=dev) < 0.1, torch.rand(o.batch, device=dev), u)
        s = 2.5 * u / (1 + 1.5 * u)
        noise = torch.randn_like(x0)
        mixed = (1 - s)[:, None, None] * x0 + s[:, None, None] * noise
        guess = net(mixed.to(kind), 1000 * (1 - s), ids, where[size])
        loss = (guess.float() - (x0 - noise)).square().mean()
        loss.backward()
        flat.step(rate, four_bits, 0.99 if flat.steps < 500 else 0.998)
        seen += o.batch
        recent = loss.detach() if recent is None else recent.lerp_(loss.detach(), 0.02)
        if flat.steps in (1, 20, 50) or flat.steps % 500 == 0:
            say("transformer", flat.steps, f"loss {recent.item():.4f}", f"rate {rate:.2e}", f"seen {seen / 1e6:.2f} M",
                "4 bits" if four_bits else "")
        if not saved and part > 0.6:
            save(o.out, flat, None)
            saved = True
    say("transformer done,", flat.steps, f"steps, loss {recent.item():.4f}", f"seen {seen / 1e6:.2f} M")
    return net, flat, where, empty


PROMPTS = """a red circle on a blue background
two green triangles
a big yellow star on a black background
a blue house on a green hill with the sun
a boat on the sea at sunset
a snowman and a pine tree in the snow
a cat and a dog on the grass under a blue sky
the moon and stars over mountains at night
a purple heart above an orange square
a red car on the road on a sunny day
three pink flowers on a white background
a rocket and a planet in space
an orange fish underwater
a palm tree on the beach
a green square to the left of a red triangle
red and white stripes
a city at night
a happy face
a yellow duck with a hat
a lighthouse by the sea under clouds
a small black cat in the bottom right corner
a pink castle with a rainbow
a cactus in the desert with the sun
a blue and yellow checkerboard
a hot air balloon in the sky
five blue diamonds
a white rabbit in a forest
an umbrella in the rain
a brown bear next to a tent in the woods
a gift and a cake
a green apple on the left and a red apple on the right
sun, house, tree""".splitlines()


def save(out, flat, ae):
    """Parts of at most 12 MB each."""
    os.makedirs(out, exist_ok=True)
    parts, size = [{}], 0
    for k, w in flat.weights().items():
        if size + w.nbytes > 12e6:
            parts.append({})
            size = 0
        parts[-1][k] = w
        size += w.nbytes
    for i, p in enumerate(parts):
        np.savez(os.path.join(out, f"weights.{i}.npz"), **p)
    if ae is not None:
        np.savez(os.path.join(out, "weights.ae.npz"), **{"ae." + k: w.detach().float().cpu().contiguous().numpy().astype(np.float16)
                                                          for k, w in ae.state_dict().items()})


def show(o, dev, v, net, flat, ae, where, empty):
    import torch
    from PIL import Image

    import model as M
    flat.load(flat.mean, True)
    ids = torch.tensor([v.framed(v.prompt(t)[:SHORT - FRAME], SHORT) for t in PROMPTS], device=dev)
    cells = []
    for cfg in (1.0, 3.0):
        torch.manual_seed(7)
        noise = torch.randn(len(ids), 64, 64, device=dev)
        x = M.draw(net, ids, empty.expand(len(ids), -1), noise, 20, cfg, where[SHORT])
        with torch.no_grad(), torch.autocast(dev.type, torch.bfloat16):
            img = ae.decode(M.to_latent(x, 16, 16)).float().clamp(0, 1)
        cells.append((img.permute(0, 2, 3, 1).cpu().numpy() * 255).round().astype(np.uint8))
    for name, img in zip(("cfg1", "cfg3"), cells):
        rows = [np.concatenate(list(img[i:i + 8]), 1) for i in range(0, len(img), 8)]
        Image.fromarray(np.concatenate(rows, 0)).save(os.path.join(o.out, name + ".png"))


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--out", required=True)
    a.add_argument("--pictures", type=int, default=400000)
    a.add_argument("--workers", type=int, default=14)
    a.add_argument("--ae-seconds", type=float, default=110)
    a.add_argument("--ae-batch", type=int, default=64)
    a.add_argument("--ae-noise", type=float, default=0.3)
    a.add_argument("--seconds", type=float, default=380)
    a.add_argument("--batch", type=int, default=1024)
    a.add_argument("--rate", type=float, default=1.5e-3)
    a.add_argument("--compile", type=int, default=1)
    a.add_argument("--seed", type=int, default=1)
    o = a.parse_args()
    v = Vocabulary(os.path.join(HERE, "words.json"))
    images, rows, done, edges = start_drawing(o.pictures, o.workers, o.seed)    # before the GPU is touched
    import torch
    from PIL import Image
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    dev = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    say("on", torch.cuda.get_device_name() if dev.type == "cuda" else "CPU", "torch", torch.__version__)
    os.makedirs(o.out, exist_ok=True)
    ae, x, y = train_autoencoder(o, dev, images, done, edges)
    sheet = np.concatenate([np.concatenate(list(t[:8].permute(0, 2, 3, 1).cpu().numpy()), 1) for t in (x, y)], 0)
    Image.fromarray((sheet * 255).round().astype(np.uint8)).save(os.path.join(o.out, "ae.png"))
    while done.sum() < o.pictures:
        time.sleep(0.2)
    say("all", o.pictures, "pictures drawn")
    latents = encode_all(ae, dev, images)
    say("encoded")
    net, flat, where, empty = train_transformer(o, dev, v, latents, rows)
    save(o.out, flat, ae)
    show(o, dev, v, net, flat, ae, where, empty)
    say("saved")


if __name__ == "__main__":
    main()
