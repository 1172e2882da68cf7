"""The picture model in PyTorch, operation for operation what stable-diffusion.cpp computes.

Three parts, named as in the exported file:

* text_encoders.llm    a token table and one normalisation ("Qwen3" with no layers at all);
* model.diffusion_model  a small Z-Image transformer: 64 picture tokens + 32 text tokens;
* tae                  a tiny autoencoder, 128x128 pixels <-> 16 channels of 16x16.
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import nn

WIDTH, LAYERS, HEAD, FFN = 256, 5, 128, 768     # FFN is fixed by WIDTH in the engine
TEXT = 32                                       # width of the token table
Z = 16                                          # channels of a latent picture
PATCH = 2
CHUNK = 32                                      # text is padded to a multiple of this
AXES, THETA = (32, 48, 48), 256.0


# --- autoencoder ---------------------------------------------------------------------

def conv(i, o, **kw):
    return nn.Conv2d(i, o, 3, padding=1, **kw)


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Sequential(conv(n, n), nn.ReLU(), conv(n, n), nn.ReLU(), conv(n, n))

    def forward(self, x):
        return F.relu(self.conv(x) + x)


class Autoencoder(nn.Module):
    def __init__(self, n=64):
        super().__init__()
        down, up = [conv(3, n), Block(n)], [conv(Z, n), nn.ReLU()]
        for _ in range(3):
            down += [conv(n, n, stride=2, bias=False)] + [Block(n) for _ in range(3)]
            up += [Block(n) for _ in range(3)] + [nn.Upsample(scale_factor=2), conv(n, n, bias=False)]
        self.encoder = nn.ModuleDict({"layers": nn.Sequential(*down, conv(n, Z))})
        self.decoder = nn.ModuleDict({"layers": nn.Sequential(*up, Block(n), conv(n, 3))})
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        for m in self.modules():                # blocks start as "change nothing"
            if isinstance(m, Block):
                nn.init.zeros_(m.conv[4].weight)

    def encode(self, x):                        # x in 0..1
        return self.encoder["layers"](x)

    def decode(self, z):
        return self.decoder["layers"](torch.tanh(z / 3) * 3)


def to_tokens(z):
    """[B, Z, h, w] -> [B, h/2*w/2, 4*Z], channels fastest, then x, then y inside a patch."""
    b, c, h, w = z.shape
    z = z.view(b, c, h // PATCH, PATCH, w // PATCH, PATCH)
    return z.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // PATCH) * (w // PATCH), PATCH * PATCH * c)


def to_latent(t, h, w):
    b = t.shape[0]
    t = t.view(b, h // PATCH, w // PATCH, PATCH, PATCH, Z)
    return t.permute(0, 5, 1, 3, 2, 4).reshape(b, Z, h, w)


# --- transformer ---------------------------------------------------------------------

def positions(text, rows, cols, device):
    """cos and sin of every token's angles: text tokens count up, picture tokens form a grid."""
    ids = [(i + 1, 0, 0) for i in range(text)]
    ids += [(text + 1, y, x) for y in range(rows) for x in range(cols)]
    ids = torch.tensor(ids, dtype=torch.float64)
    parts = []
    for axis, dim in enumerate(AXES):
        freq = THETA ** -(torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        parts.append(ids[:, axis:axis + 1] * freq)
    angle = torch.cat(parts, 1)[:, None, :].to(device)          # [tokens, 1, HEAD/2]
    return angle.cos().float(), angle.sin().float()


def rotate(x, cos, sin):
    """x: [B, L, heads, HEAD]; neighbouring numbers form the rotated pairs."""
    a, b = x.float().unflatten(-1, (HEAD // 2, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2).to(x.dtype)


class Norm(nn.Module):
    def __init__(self, n, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(n)), eps

    def forward(self, x):
        y = x.float()
        y = y * torch.rsqrt(y.square().mean(-1, keepdim=True) + self.eps)
        return (y * self.weight.float()).to(x.dtype)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.q_norm, self.k_norm = Norm(HEAD, 1e-6), Norm(HEAD, 1e-6)

    def forward(self, x, cos, sin):
        q, k, v = self.qkv(x).unflatten(-1, (3, WIDTH // HEAD, HEAD)).unbind(2)
        q, k = rotate(self.q_norm(q), cos, sin), rotate(self.k_norm(k), cos, sin)
        y = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        return self.out(y.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    def __init__(self):
        super().__init__()
        self.w1 = nn.Linear(WIDTH, FFN, bias=False)
        self.w3 = nn.Linear(WIDTH, FFN, bias=False)
        self.w2 = nn.Linear(FFN, WIDTH, bias=False)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class Layer(nn.Module):
    def __init__(self, timed=True):
        super().__init__()
        self.attention, self.feed_forward = Attention(), FeedForward()
        for name in ("attention_norm1", "ffn_norm1", "attention_norm2", "ffn_norm2"):
            setattr(self, name, Norm(WIDTH, 1e-5))
        if timed:
            self.adaLN_modulation = nn.Sequential(nn.Linear(min(WIDTH, 256), 4 * WIDTH))

    def forward(self, x, cos, sin, t=None):
        if t is None:
            x = x + self.attention_norm2(self.attention(self.attention_norm1(x), cos, sin))
            return x + self.ffn_norm2(self.feed_forward(self.ffn_norm1(x)))
        s1, g1, s2, g2 = self.adaLN_modulation(t)[:, None, :].chunk(4, -1)
        y = self.attention(self.attention_norm1(x) * (1 + s1), cos, sin)
        x = x + self.attention_norm2(y) * g1.tanh()
        y = self.feed_forward(self.ffn_norm1(x) * (1 + s2))
        return x + self.ffn_norm2(y) * g2.tanh()


class Final(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(WIDTH, PATCH * PATCH * Z)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(min(WIDTH, 256), WIDTH))

    def forward(self, x, t):
        y = F.layer_norm(x.float(), (WIDTH,), eps=1e-6).to(x.dtype)
        return self.linear(y * (1 + self.adaLN_modulation(t)[:, None, :]))


def time_wave(t):
    """t counts from 0 (noise) to 1000 (picture)."""
    freq = torch.exp(-math.log(10000.0) * torch.arange(128, device=t.device, dtype=torch.float32) / 128)
    a = t.float()[:, None] * freq
    return torch.cat([a.cos(), a.sin()], 1)


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.x_embedder = nn.Linear(PATCH * PATCH * Z, WIDTH)
        self.t_embedder = nn.ModuleDict({"mlp": nn.Sequential(nn.Linear(256, min(WIDTH, 1024)), nn.SiLU(), nn.Linear(min(WIDTH, 1024), 256))})
        self.cap_embedder = nn.Sequential(Norm(TEXT, 1e-5), nn.Linear(TEXT, WIDTH))
        self.cap_pad_token = nn.Parameter(torch.zeros(WIDTH))
        self.x_pad_token = nn.Parameter(torch.zeros(WIDTH))
        self.noise_refiner = nn.ModuleList([Layer()])
        self.context_refiner = nn.ModuleList([Layer(timed=False)])
        self.layers = nn.ModuleList([Layer() for _ in range(LAYERS)])
        self.final_layer = Final()

    def forward(self, x, t, context, blank, where):
        """x: noisy tokens, context: token vectors, blank: True where text is padding.
        Returns the direction towards the picture (the engine flips the sign)."""
        kind = self.x_embedder.weight.dtype
        n = context.shape[1]
        cos, sin = where
        t = self.t_embedder["mlp"](time_wave(t).to(kind))
        txt = self.cap_embedder(context)
        txt = torch.where(blank[..., None], self.cap_pad_token.to(txt.dtype), txt)
        img = self.x_embedder(x.to(kind))
        for layer in self.context_refiner:
            txt = layer(txt, cos[:n], sin[:n])
        for layer in self.noise_refiner:
            img = layer(img, cos[n:], sin[n:], t)
        both = torch.cat([txt, img], 1)
        for layer in self.layers:
            both = layer(both, cos, sin, t)
        return self.final_layer(both[:, n:], t)


class TextTable(nn.Module):
    """Rows only for the tokens of our words; row 0 stands for every other token."""

    def __init__(self, rows):
        super().__init__()
        self.embed_tokens = nn.Embedding(rows, TEXT)
        self.norm = Norm(TEXT, 1e-6)

    def forward(self, ids):
        return self.norm(self.embed_tokens(ids.clamp(min=0)))


class Picture(nn.Module):
    def __init__(self, rows):
        super().__init__()
        self.text, self.diffusion = TextTable(rows), Transformer()
        for m in self.modules():
            if isinstance(m, nn.Linear):
                nn.init.xavier_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.zeros_(m.bias)
        for m in self.modules():                # every layer starts as "change nothing"
            if isinstance(m, Layer) and hasattr(m, "adaLN_modulation"):
                nn.init.zeros_(m.adaLN_modulation[0].weight)
        nn.init.zeros_(self.diffusion.final_layer.linear.weight)
        nn.init.normal_(self.diffusion.cap_pad_token, std=0.02)

    def forward(self, x, t, ids, where):
        return self.diffusion(x, t, self.text(ids), ids < 0, where)


# --- block quantisation ----------------------------------------------------------------

def q4(w):
    """What ggml's q4_0 makes of w: blocks of 32 numbers, one half-precision scale, 16 steps."""
    b = w.reshape(-1, 32)
    top = b.gather(1, b.abs().argmax(1, keepdim=True))
    scale = top / -8
    inverse = torch.where(scale == 0, torch.zeros_like(scale), 1 / scale)
    steps = (b * inverse + 8.5).clamp(0, 15).floor()
    return ((steps - 8) * scale.half().to(w.dtype)).reshape(w.shape)


def quantised(name, p):
    """Which weights of `Picture` are stored in 4 bits."""
    return p.dim() == 2 and (name.startswith("text.embed") or
                             any(k in name for k in ("attention.", "feed_forward.", "layers.", "refiner.")))


# --- drawing a picture -------------------------------------------------------------------

def schedule(steps, shift=3.0):
    t = [(999 - 999 / max(1, steps - 1) * i + 1) / 1000 for i in range(steps)]
    return [shift * u / (1 + (shift - 1) * u) for u in t] + [0.0]


@torch.no_grad()
def draw(model, ids, empty, noise, steps=20, cfg=3.0, where=None):
    """Euler steps from noise (tokens) to picture tokens; ids and empty: [B, n]."""
    x = noise.clone()
    sigmas = schedule(steps)
    kind = model.diffusion.x_embedder.weight.dtype
    for s, nxt in itertools.pairwise(sigmas):
        t = torch.full((x.shape[0],), 1000 * (1 - s), device=x.device)
        v = model(x.to(kind), t, ids, where).float()
        if cfg != 1:
            u = model(x.to(kind), t, empty, where).float()
            v = u + cfg * (v - u)
        x = x + (s - nxt) * v                   # v points from noise to picture
    return x
