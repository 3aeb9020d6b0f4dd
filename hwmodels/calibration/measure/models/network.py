"""A Llama-like model as PyTorch users write it: no kernels of its own."""
import dataclasses

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint

DEVICE = "cuda"
bf16 = torch.bfloat16


@dataclasses.dataclass(frozen=True)
class Config:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    vocabulary: int
    tied: bool = False  # the head is the embedding
    qk_norm: bool = False


MODELS = {
    "llama-160m": Config(768, 12, 12, 12, 64, 3072, 32000),
    "llama-3.2-1b": Config(2048, 16, 32, 8, 64, 8192, 128256, tied=True),
    "llama-3.2-3b": Config(3072, 28, 24, 8, 128, 8192, 128256, tied=True),
    "llama-3.1-8b": Config(4096, 32, 32, 8, 128, 14336, 128256),
    "qwen3-0.6b": Config(1024, 28, 16, 8, 128, 3072, 151936, tied=True, qk_norm=True),
    "qwen3-4b": Config(2560, 36, 32, 8, 128, 9728, 151936, tied=True, qk_norm=True),
    "qwen3-8b": Config(4096, 36, 32, 8, 128, 12288, 151936, qk_norm=True),
}


def rotate(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin


def tables(config, length):
    """@return cosines and sines, [length, head_dim] each"""
    inverse = 5e5 ** (-torch.arange(0, config.head_dim, 2, device=DEVICE).float() / config.head_dim)
    angles = torch.outer(torch.arange(length, device=DEVICE).float(), inverse)
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(bf16), angles.sin().to(bf16)


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.n1, self.n2 = nn.Parameter(torch.ones(c.hidden)), nn.Parameter(torch.ones(c.hidden))
        if c.qk_norm:
            self.qn, self.kn = nn.Parameter(torch.ones(c.head_dim)), nn.Parameter(torch.ones(c.head_dim))
        self.qkv = nn.Linear(c.hidden, (c.heads + 2 * c.kv_heads) * c.head_dim, bias=False)
        self.o = nn.Linear(c.heads * c.head_dim, c.hidden, bias=False)
        self.up = nn.Linear(c.hidden, 2 * c.inner, bias=False)
        self.down = nn.Linear(c.inner, c.hidden, bias=False)

    def forward(self, x, cos, sin, cache=None, position=None):
        """@param cache keys and values, [batch, heads, length, width] each, into which the token at `position` goes"""
        c, (batch, length, _) = self.c, x.shape
        width, kv_width = c.heads * c.head_dim, c.kv_heads * c.head_dim
        q, k, v = self.qkv(F.rms_norm(x, (c.hidden,), self.n1)).split([width, kv_width, kv_width], -1)
        q, k = q.view(batch, length, c.heads, c.head_dim), k.view(batch, length, c.kv_heads, c.head_dim)
        if c.qk_norm:
            q, k = F.rms_norm(q, (c.head_dim,), self.qn), F.rms_norm(k, (c.head_dim,), self.kn)
        q, k = rotate(q.transpose(1, 2), cos, sin), rotate(k.transpose(1, 2), cos, sin)
        v = v.view(batch, length, c.kv_heads, c.head_dim).transpose(1, 2)
        if cache is None:
            a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            keys, values = cache
            keys.index_copy_(2, position, k)
            values.index_copy_(2, position, v)
            a = F.scaled_dot_product_attention(q, keys, values, enable_gqa=True)
        x = x + self.o(a.transpose(1, 2).reshape(batch, length, -1))
        gate, up = self.up(F.rms_norm(x, (c.hidden,), self.n2)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


class Model(nn.Module):
    def __init__(self, config, layers, mode):
        """@param mode "eager", or "compiled": blocks are alike, so one compiled block serves them all"""
        super().__init__()
        self.c = config
        self.embedding = nn.Embedding(config.vocabulary, config.hidden)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(layers))
        self.norm = nn.Parameter(torch.ones(config.hidden))
        self.head = nn.Linear(config.hidden, config.vocabulary, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self.block = torch.compile(Block.forward, dynamic=False) if mode == "compiled" else Block.forward

    def states(self, tokens, cos, sin, caches=None, position=None, again=False):
        """@param again keep only each block's input for the backward pass"""
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            if again:
                x = checkpoint(self.block, block, x, cos, sin, use_reentrant=False)
            else:
                x = self.block(block, x, cos, sin, caches[i] if caches else None, position)
        return F.rms_norm(x, (self.c.hidden,), self.norm)

    def forward(self, tokens, cos, sin, caches=None, position=None, last=False):
        x = self.states(tokens, cos, sin, caches, position)
        return self.head(x[:, -1:] if last else x)

    def loss(self, tokens, targets, cos, sin, again=False, chunks=1):
        """Cross entropy in FP32. @param chunks so many parts of the tokens, whose logits are computed again in the
        backward pass, so that one part's stand in memory at a time"""
        x = self.states(tokens, cos, sin, again=again)
        if chunks == 1:
            return F.cross_entropy(self.head(x).float().view(-1, self.c.vocabulary), targets.view(-1))

        def part(states, wanted):
            return F.cross_entropy(self.head(states).float(), wanted, reduction="sum")

        parts = zip(x.view(-1, self.c.hidden).chunk(chunks), targets.view(-1).chunk(chunks))
        return sum(checkpoint(part, *one, use_reentrant=False) for one in parts) / targets.numel()


def build(name, layers, mode):
    config = MODELS[name]
    torch.set_default_dtype(bf16)
    try:
        with torch.device(DEVICE):
            return config, Model(config, layers or config.layers, mode)
    finally:
        torch.set_default_dtype(torch.float32)


@dataclasses.dataclass(frozen=True)
class Experts:
    hidden: int
    inner: int
    total: int  # experts of a layer
    top: int
    groups: int = 1  # of experts, of which a token may use `top_groups`
    top_groups: int = 1
    sigmoid: bool = False
    shared: bool = False


EXPERTS = {
    "deepseek-v3": Experts(7168, 2048, 256, 8, groups=8, top_groups=4, sigmoid=True, shared=True),
    "qwen3-30b-a3b": Experts(2048, 768, 128, 8),
    "qwen3-235b-a22b": Experts(4096, 1536, 128, 8),
    "mixtral-8x7b": Experts(4096, 14336, 8, 2),
    "olmoe-1b-7b": Experts(2048, 1024, 64, 8),
    "glm-4.5-air": Experts(4096, 1408, 128, 8, sigmoid=True, shared=True),
}


class MoeLayer:
    """One MoE layer in BF16 without communication: a router over all experts; this GPU holds `local` of them and gets
    the picks that fall on those. Which expert a pick goes to is laid out beforehand, evenly or as a power of the
    expert's rank, so that loads are what the row says they are."""

    def __init__(self, experts, local):
        self.e, self.local = experts, local
        h, inner = experts.hidden, experts.inner

        def weights(*shape):
            return torch.randn(*shape, device=DEVICE, dtype=bf16) * 0.02

        self.up, self.down = weights(local, h, 2 * inner), weights(local, inner, h)
        self.router = weights(h, experts.total)
        if experts.shared:
            self.shared_up, self.shared_down = weights(h, 2 * inner), weights(inner, h)

    def loads(self, picks, skew):
        shares = [(i + 1.0) ** -skew for i in range(self.local)]
        loads = [int(picks * share / sum(shares)) for share in shares]
        for i in range(picks - sum(loads)):
            loads[i % self.local] += 1
        return loads

    def place(self, tokens, skew):
        """@return how many picks fall on this GPU, and the largest load over the mean"""
        self.picks = tokens * self.e.top * self.local // self.e.total
        loads = self.loads(self.picks, skew)
        self.ends = torch.tensor(loads, device=DEVICE).cumsum(0).to(torch.int32)
        self.source = torch.randint(0, tokens, (self.picks,), device=DEVICE)
        return self.picks, max(loads) * self.local / self.picks

    def experts(self, rows):
        gate, up = torch._grouped_mm(rows, self.up, offs=self.ends).chunk(2, -1)
        return torch._grouped_mm(F.silu(gate) * up, self.down, offs=self.ends)

    def route(self, x):
        scores, e = (x @ self.router).float(), self.e
        scores = torch.sigmoid(scores) if e.sigmoid else torch.softmax(scores, -1)
        allowed = scores
        if e.groups > 1:
            best = scores.view(-1, e.groups, e.total // e.groups).topk(2, -1)[0].sum(-1).topk(e.top_groups, -1).indices
            mask = torch.zeros(x.shape[0], e.groups, device=DEVICE).scatter_(1, best, 1.0)
            allowed = scores * mask.repeat_interleave(e.total // e.groups, 1)
        weights, chosen = allowed.topk(e.top, -1)
        return weights / weights.sum(-1, keepdim=True), chosen

    def layer(self, x):
        weights, chosen = self.route(x)
        order = chosen.flatten().argsort(stable=True)
        y = self.experts(x.index_select(0, self.source))
        out = torch.zeros_like(x)
        out.index_add_(0, self.source, y * weights.flatten()[order][: self.picks, None].to(y.dtype))
        if not self.e.shared:
            return out
        gate, up = (x @ self.shared_up).chunk(2, -1)
        return out + (F.silu(gate) * up) @ self.shared_down
