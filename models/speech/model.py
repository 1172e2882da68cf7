"""The Whisper architecture, small, as whisper.cpp computes it (tanh GELU, no bias on keys, tied output)."""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Config:
    dim: int = 128
    heads: int = 2
    audio_layers: int = 4
    text_layers: int = 4
    mels: int = 80
    audio_ctx: int = 1500
    text_ctx: int = 448

    asdict = asdict


def sinusoids(length, dim):
    scale = torch.exp(-math.log(10000) / (dim // 2 - 1) * torch.arange(dim // 2))
    angle = torch.arange(length)[:, None] * scale
    return torch.cat([angle.sin(), angle.cos()], 1)


# --- quantisation-aware training --------------------------------------------


class FakeQ5(torch.autograd.Function):
    """Round weights as ggml's Q5_0 does (blocks of 32, one scale); the gradient passes unchanged."""

    @staticmethod
    def forward(ctx, w):
        blocks = w.float().reshape(-1, 32)
        top = blocks.gather(1, blocks.abs().argmax(1, keepdim=True))
        d = top / -16
        inv = torch.where(d == 0, 0, 1 / d)
        q = (blocks * inv + 16.5).floor().clamp(0, 31) - 16
        return (q * d.half().float()).reshape(w.shape).to(w.dtype)

    @staticmethod
    def backward(ctx, grad):
        return grad


class Linear(nn.Linear):
    quantise = False

    def forward(self, x):
        w = FakeQ5.apply(self.weight) if Linear.quantise else self.weight
        return F.linear(x, w, self.bias)


# --- layers -----------------------------------------------------------------


class LayerNorm(nn.LayerNorm):
    """Stays in the type of its input, so that mixed precision keeps the residual stream in 16 bits."""

    def forward(self, x):
        with torch.autocast(x.device.type, enabled=False):
            return F.layer_norm(x, self.normalized_shape, self.weight.type_as(x), self.bias.type_as(x), self.eps)


def convolve(x, conv):
    """A convolution of width 3 over (batch, time, channels), as one matrix product."""
    x, step = F.pad(x, (0, 0, 1, 1)), conv.stride[0]
    size = x.shape[1] - 2
    x = torch.cat([x[:, i : i + size : step] for i in range(3)], -1)
    return F.gelu(F.linear(x, conv.weight.permute(0, 2, 1).flatten(1), conv.bias), approximate="tanh")


class Attention(nn.Module):
    # whisper.cpp's flash attention adds zero keys until their number is a multiple of 256, and does not mask them.
    pad = False

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.query = Linear(dim, dim)
        self.key = Linear(dim, dim, bias=False)
        self.value = Linear(dim, dim)
        self.out = Linear(dim, dim)

    def split(self, x):
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x, source=None, causal=False):
        source = x if source is None else source
        k, v = self.split(self.key(source)), self.split(self.value(source))
        if Attention.pad and not causal:
            extra = -k.shape[2] % 256
            k, v = F.pad(k, (0, 0, 0, extra)), F.pad(v, (0, 0, 0, extra))
        y = F.scaled_dot_product_attention(self.split(self.query(x)), k, v, is_causal=causal)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, dim, heads, cross):
        super().__init__()
        self.attn = Attention(dim, heads)
        self.attn_ln = LayerNorm(dim)
        self.cross_attn = Attention(dim, heads) if cross else None
        self.cross_attn_ln = LayerNorm(dim) if cross else None
        self.mlp = nn.Sequential(Linear(dim, 4 * dim), nn.GELU(approximate="tanh"), Linear(4 * dim, dim))
        self.mlp_ln = LayerNorm(dim)

    def forward(self, x, source=None):
        x = x + self.attn(self.attn_ln(x), causal=source is not None)
        if source is not None:
            x = x + self.cross_attn(self.cross_attn_ln(x), source)
        return x + self.mlp(self.mlp_ln(x))


class Encoder(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.conv1 = nn.Conv1d(cfg.mels, cfg.dim, 3, padding=1)
        self.conv2 = nn.Conv1d(cfg.dim, cfg.dim, 3, stride=2, padding=1)
        self.register_buffer("positional_embedding", sinusoids(cfg.audio_ctx, cfg.dim))
        self.blocks = nn.ModuleList(Block(cfg.dim, cfg.heads, False) for _ in range(cfg.audio_layers))
        self.ln_post = LayerNorm(cfg.dim)

    def forward(self, mel):
        x = convolve(convolve(mel.transpose(1, 2), self.conv1), self.conv2)
        x = x + self.positional_embedding[: x.shape[1]].type_as(x)
        for block in self.blocks:
            x = block(x)
        return self.ln_post(x)


class Decoder(nn.Module):
    def __init__(self, cfg, vocab):
        super().__init__()
        self.token_embedding = nn.Embedding(vocab.size, cfg.dim)
        self.positional_embedding = nn.Parameter(0.02 * sinusoids(cfg.text_ctx, cfg.dim))
        self.blocks = nn.ModuleList(Block(cfg.dim, cfg.heads, True) for _ in range(cfg.text_layers))
        self.ln = LayerNorm(cfg.dim)
        # The logits of the "other" class stand for n_other equal tokens.
        offset = torch.zeros(vocab.size)
        offset[vocab.other] = math.log(vocab.n_other)
        self.register_buffer("offset", offset, persistent=False)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        with torch.no_grad():  # neighbouring times start as neighbours
            times = sinusoids(1501, cfg.dim)
            self.token_embedding.weight[vocab.time0 : vocab.time0 + 1501] = 0.05 * times

    def forward(self, tokens, audio):
        w = self.token_embedding.weight
        if Linear.quantise:
            w = FakeQ5.apply(w)
        x = (F.embedding(tokens, w) + self.positional_embedding[: tokens.shape[1]]).type_as(audio)
        for block in self.blocks:
            x = block(x, audio)
        with torch.autocast(x.device.type, enabled=False):
            return F.linear(self.ln(x.float()), w.float()) + self.offset


class Speech(nn.Module):
    def __init__(self, cfg, vocab):
        super().__init__()
        self.cfg = cfg
        self.encoder = Encoder(cfg)
        self.decoder = Decoder(cfg, vocab)
        self.letters = nn.Linear(cfg.dim, 28)  # for the CTC loss of training only

    def forward(self, mel, tokens):
        return self.decoder(tokens, self.encoder(mel))
