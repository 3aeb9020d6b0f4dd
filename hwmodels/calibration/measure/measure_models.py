#!/usr/bin/env python3
"""Times whole models and layers on one GPU: what a model of kernels has to add up to.

Writes OUT/models.csv with a row per case: decode iterations in a CUDA graph, prefills, training steps (forward, backward,
optimiser apart; eager and compiled) of Llama models, and DeepSeek-V3 MoE layers. Random weights and tokens; times do not
depend on values. usage: measure_models.py OUT [SECONDS]
"""
import csv, math, os, statistics, subprocess, sys, threading, time
import torch, torch.nn as nn, torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

OUT, BUDGET = sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 400
T0 = time.time()
torch.manual_seed(0)
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = True
D = "cuda"
COLS = "section,model,layers,mode,batch,length,context,experts,tokens,part,time_us,p20_us,p80_us,kernels,sm_mhz,power_w,peak_gb,notes".split(",")
f = open(os.path.join(OUT, "models.csv"), "w", newline="")
w = csv.DictWriter(f, COLS); w.writeheader()

class Nvml:
    """Mean SM clock and board power of the last measurement (8 Hz is too rare for short ones: loops last 0.4 s)."""
    def __init__(self):
        import pynvml
        pynvml.nvmlInit(); self.n, self.h = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
        self.on, self.mhz, self.w = False, [], []
        threading.Thread(target=self.loop, daemon=True).start()
    def loop(self):
        while True:
            if self.on:
                self.mhz.append(self.n.nvmlDeviceGetClockInfo(self.h, self.n.NVML_CLOCK_SM))
                self.w.append(self.n.nvmlDeviceGetPowerUsage(self.h) / 1e3)
            time.sleep(0.03)
    def start(self): self.mhz, self.w, self.on = [], [], True
    def stop(self):
        self.on = False
        m = self.mhz[len(self.mhz)//4:] or [0]; p = self.w[len(self.w)//4:] or [0]
        return statistics.mean(m), statistics.mean(p)
try: NV = Nvml()
except Exception as e: print("no nvml", e); NV = None

def left(): return BUDGET - (time.time() - T0)
def row(**k):
    w.writerow({c: k.get(c, "") for c in COLS}); f.flush()
    print(" ".join(f"{a}={b}" for a, b in k.items()), f"[{time.time()-T0:.0f}s]", flush=True)

def count_kernels(fn):
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as p: fn(); torch.cuda.synchronize()
    return sum(1 for e in p.events() if e.device_type == torch.profiler.DeviceType.CUDA)

def clock(fn, least=0.4, most=60):
    """Median of single runs, back to back, host ahead or not as it comes; sustained for `least` seconds."""
    for _ in range(3): fn()
    torch.cuda.synchronize()
    if NV: NV.start()
    ev, t = [], time.time()
    while (time.time() - t < least or len(ev) < 6) and len(ev) < 4000:
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        a.record(); fn(); b.record(); ev.append((a, b))
        if len(ev) % 20 == 0: torch.cuda.synchronize()
    torch.cuda.synchronize()
    mhz, pw = NV.stop() if NV else (0, 0)
    x = sorted(a.elapsed_time(b) * 1e3 for a, b in ev)
    q = lambda p: x[min(len(x) - 1, int(p * len(x)))]
    return dict(time_us=round(q(.5), 2), p20_us=round(q(.2), 2), p80_us=round(q(.8), 2), sm_mhz=round(mhz), power_w=round(pw))

def graphed(fn, least=0.4):
    s = torch.cuda.Stream(); s.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(s):
        for _ in range(3): fn()
    torch.cuda.current_stream().wait_stream(s); torch.cuda.synchronize()
    g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g): fn()
    r = clock(g.replay, least)
    return r

class Cfg:
    def __init__(s, name, h, layers, heads, kv, inter, vocab, tied): s.name, s.h, s.layers, s.heads, s.kv, s.inter, s.vocab, s.tied, s.d = name, h, layers, heads, kv, inter, vocab, tied, h // heads
LLAMAS = {c.name: c for c in [Cfg("llama-160m", 768, 12, 12, 12, 3072, 32000, False), Cfg("llama-3.2-1b", 2048, 16, 32, 8, 8192, 128256, True),
    Cfg("llama-3.2-3b", 3072, 28, 24, 8, 8192, 128256, True), Cfg("llama-3.1-8b", 4096, 32, 32, 8, 14336, 128256, False)]}
for c in LLAMAS.values():
    if c.name == "llama-3.2-1b": c.d = 64
    if c.name == "llama-3.2-3b": c.d = 128

def rope(x, cos, sin):
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat((-b, a), -1) * sin

class Block(nn.Module):
    def __init__(s, c):
        super().__init__(); s.c = c
        s.n1, s.n2 = nn.Parameter(torch.ones(c.h)), nn.Parameter(torch.ones(c.h))
        s.qkv = nn.Linear(c.h, (c.heads + 2 * c.kv) * c.d, bias=False); s.o = nn.Linear(c.heads * c.d, c.h, bias=False)
        s.up = nn.Linear(c.h, 2 * c.inter, bias=False); s.down = nn.Linear(c.inter, c.h, bias=False)
    def forward(s, x, cos, sin, cache=None, pos=None):
        c = s.c; B, S, _ = x.shape
        q, k, v = s.qkv(F.rms_norm(x, (c.h,), s.n1)).split([c.heads * c.d, c.kv * c.d, c.kv * c.d], -1)
        q = rope(q.view(B, S, c.heads, c.d).transpose(1, 2), cos, sin)
        k = rope(k.view(B, S, c.kv, c.d).transpose(1, 2), cos, sin); v = v.view(B, S, c.kv, c.d).transpose(1, 2)
        if cache is None: a = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        else:
            K, V = cache
            K.index_copy_(2, pos, k); V.index_copy_(2, pos, v)
            a = F.scaled_dot_product_attention(q, K, V, enable_gqa=True)
        x = x + s.o(a.transpose(1, 2).reshape(B, S, -1))
        g, u = s.up(F.rms_norm(x, (c.h,), s.n2)).chunk(2, -1)
        return x + s.down(F.silu(g) * u)

class Llama(nn.Module):
    def __init__(s, c, layers):
        super().__init__(); s.c = c
        s.emb = nn.Embedding(c.vocab, c.h); s.blocks = nn.ModuleList(Block(c) for _ in range(layers)); s.n = nn.Parameter(torch.ones(c.h))
        s.head = nn.Linear(c.h, c.vocab, bias=False)
        if c.tied: s.head.weight = s.emb.weight
    def forward(s, t, cos, sin, caches=None, pos=None, last=False):
        x = s.emb(t)
        for i, b in enumerate(s.blocks): x = b(x, cos, sin, caches[i] if caches else None, pos)
        x = F.rms_norm(x, (s.c.h,), s.n)
        return s.head(x[:, -1:] if last else x)
def tables(c, S):
    a = torch.outer(torch.arange(S, device=D).float(), 5e5 ** (-torch.arange(0, c.d, 2, device=D).float() / c.d)); a = torch.cat((a, a), -1)
    return a.cos().bfloat16(), a.sin().bfloat16()
def build(name, layers=None):
    c = LLAMAS[name]
    with torch.device(D): torch.set_default_dtype(torch.bfloat16); m = Llama(c, layers or c.layers); torch.set_default_dtype(torch.float32)
    return c, m

def guard(fn, what):
    try: fn()
    except Exception as e:
        row(section="error", notes=f"{what}: {type(e).__name__}: {str(e)[:160]}")
    torch.cuda.empty_cache()

def decode(name, cases, modes=("eager", "compiled")):
    c, m = build(name); m.requires_grad_(False)
    for mode in modes:
        for B, C in cases:
            if left() < 40: return
            def one():
                S = C; caches = [(torch.randn(B, c.kv, S, c.d, device=D, dtype=torch.bfloat16), torch.randn(B, c.kv, S, c.d, device=D, dtype=torch.bfloat16)) for _ in m.blocks]
                cos, sin = tables(c, S); cos, sin = cos[-1:], sin[-1:]; pos = torch.tensor([S - 1], device=D); t = torch.randint(0, c.vocab, (B, 1), device=D)
                step = lambda: m(t, cos, sin, caches, pos).argmax(-1)
                if mode == "compiled":
                    # layers are alike: a compiled block serves all of them
                    for b in m.blocks: b.forward = COMPILED(b)
                with torch.no_grad():
                    step(); n = count_kernels(step)
                    r = graphed(step)
                row(section="decode", model=name, layers=len(m.blocks), mode=mode, batch=B, length=1, context=C, part="iteration", kernels=n, peak_gb=round(torch.cuda.max_memory_allocated() / 1e9, 2), **r)
            guard(one, f"decode {name} {mode} {B} {C}")
    del m; torch.cuda.empty_cache()
def COMPILED(b):
    fn = torch.compile(Block.forward, dynamic=False)
    return lambda *a: fn(b, *a)

def prefill(name, cases, modes=("eager", "compiled")):
    c, m = build(name); m.requires_grad_(False)
    for mode in modes:
        if mode == "compiled":
            for b in m.blocks: b.forward = COMPILED(b)
        for B, S in cases:
            if left() < 40: return
            def one():
                cos, sin = tables(c, S); t = torch.randint(0, c.vocab, (B, S), device=D)
                step = lambda: m(t, cos, sin, last=True)
                with torch.no_grad(): step(); n = count_kernels(step); r = clock(step)
                row(section="prefill", model=name, layers=len(m.blocks), mode=mode, batch=B, length=S, part="iteration", kernels=n, **r)
            guard(one, f"prefill {name} {mode} {B} {S}")
    del m; torch.cuda.empty_cache()

def train(name, cases, layers=None, modes=("eager", "compiled")):
    for mode in modes:
        if left() < 60: return
        c, m = build(name, layers)
        opt = torch.optim.AdamW(m.parameters(), lr=1e-4, fused=True)
        if mode == "compiled":
            for b in m.blocks: b.forward = COMPILED(b)
        for B, S in cases:
            if left() < 60: break
            def one():
                cos, sin = tables(c, S); t = torch.randint(0, c.vocab, (B, S), device=D)
                torch.cuda.reset_peak_memory_stats()
                def loss():
                    y = m(t, cos, sin)
                    return F.cross_entropy(y.float().view(-1, c.vocab), t.view(-1))
                def step(): loss().backward(); opt.step(); opt.zero_grad(set_to_none=True)
                step(); n = count_kernels(step); r = clock(step, 0.8)
                row(section="train", model=name, layers=len(m.blocks), mode=mode, batch=B, length=S, part="step", kernels=n, peak_gb=round(torch.cuda.max_memory_allocated() / 1e9, 2), **r)
                ev = [[torch.cuda.Event(enable_timing=True) for _ in range(4)] for _ in range(8)]
                for e in ev:
                    e[0].record(); l = loss(); e[1].record(); l.backward(); e[2].record(); opt.step(); opt.zero_grad(set_to_none=True); e[3].record()
                torch.cuda.synchronize()
                for i, p in enumerate(("forward", "backward", "optimizer")):
                    row(section="train", model=name, layers=len(m.blocks), mode=mode, batch=B, length=S, part=p, time_us=round(statistics.median(e[i].elapsed_time(e[i+1]) * 1e3 for e in ev), 1))
            guard(one, f"train {name} {mode} {B} {S}")
        del m, opt; torch.cuda.empty_cache()

def moe(local, tokens_list, top=8, total=256, h=7168, inter=2048, shared=True):
    """One MoE layer of DeepSeek-V3 in BF16: router over `total` experts; this GPU holds `local` of them and gets the picks that fall on those
    (tokens x top x local / total of them, evenly spread)."""
    W1 = torch.randn(local, h, 2 * inter, device=D, dtype=torch.bfloat16) * .02; W2 = torch.randn(local, inter, h, device=D, dtype=torch.bfloat16) * .02
    R = torch.randn(h, total, device=D, dtype=torch.bfloat16) * .02; s1 = torch.randn(h, 2 * inter, device=D, dtype=torch.bfloat16) * .02; s2 = torch.randn(inter, h, device=D, dtype=torch.bfloat16) * .02
    for T in tokens_list:
        if left() < 25: return
        for part in ("layer", "experts"):
            def one():
                x = torch.randn(T, h, device=D, dtype=torch.bfloat16)
                P = T * top * local // total
                if P < 1: return
                idx = torch.stack([torch.randperm(local, device=D)[:min(top, local)] for _ in range(math.ceil(P / min(top, local)))]).flatten()[:P].sort().values
                offs = torch.cumsum(torch.bincount(idx, minlength=local), 0).int()
                src = torch.randint(0, T, (P,), device=D)
                def experts(y):
                    g, u = torch._grouped_mm(y, W1, offs=offs).chunk(2, -1)
                    return torch._grouped_mm(F.silu(g) * u, W2, offs=offs)
                def layer():
                    p = torch.sigmoid((x @ R).float()); v, i = p.view(T, 8, total // 8).topk(2, -1); gs = v.sum(-1).topk(4, -1).indices
                    mask = torch.zeros(T, 8, device=D).scatter_(1, gs, 1.0); pv, pi = (p * mask.repeat_interleave(total // 8, 1)).topk(top, -1)
                    pv = pv / pv.sum(-1, keepdim=True); order = pi.flatten().argsort(stable=True)
                    y = experts(x.index_select(0, src)); out = torch.zeros_like(x); out.index_add_(0, src, y * pv.flatten()[order][:P, None].to(y.dtype))
                    g, u = (x @ s1).chunk(2, -1)
                    return out + (F.silu(g) * u) @ s2
                y0 = x.index_select(0, src); fn = layer if part == "layer" else (lambda: experts(y0))
                with torch.no_grad():
                    fn(); n = count_kernels(fn); r = graphed(fn, 0.3)
                row(section="moe", model="deepseek-v3", experts=local, tokens=T, part=part, mode="eager", kernels=n, notes=f"picks={P}", **r)
            guard(one, f"moe {local} {T} {part}")
    del W1, W2; torch.cuda.empty_cache()

print(torch.__version__, torch.cuda.get_device_name(), flush=True)
torch._dynamo.config.cache_size_limit = 64
decode("llama-3.1-8b", [(1, 1024), (8, 1024), (32, 1024), (128, 1024), (1, 8192), (16, 8192)])
decode("llama-160m", [(1, 512), (16, 512), (128, 1024)])
decode("llama-3.2-1b", [(1, 1024), (32, 1024), (128, 2048)])
prefill("llama-3.1-8b", [(1, 128), (1, 1024), (1, 8192), (4, 2048)])
prefill("llama-3.2-1b", [(1, 512), (4, 2048)])
train("llama-160m", [(8, 1024), (32, 1024)])
train("llama-3.2-1b", [(1, 2048), (4, 2048)])
train("llama-3.1-8b", [(1, 4096), (2, 4096)], layers=8)
moe(256, [8, 64, 512, 4096]); moe(32, [32, 256, 2048, 16384]); moe(8, [128, 2048])
decode("llama-3.2-3b", [(1, 1024), (64, 1024)])
train("llama-3.2-3b", [(2, 2048)])
print("done", round(time.time() - T0))
