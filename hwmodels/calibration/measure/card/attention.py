"""Attention of FlashAttention-2 and cuDNN: training forward and backward, and decoding."""
import time

import torch
import torch.nn.functional as F

from card.bench import (
    COOL,
    SMOKE,
    Pool,
    attention_backends,
    bench,
    buffer_sets,
    emit,
    l2_state,
    log,
    lost,
    out_of_time,
    pick,
)
from card.memory_bench import free_memory

HEADS = [  # queries, keys and values, width of a query and key, width of a value
    (32, 8, 128, 128),
    (32, 32, 128, 128),
    (64, 8, 128, 128),
    (8, 1, 128, 128),
    (16, 16, 192, 128),
    (128, 128, 192, 128),
    (32, 32, 64, 64),
    (32, 8, 64, 64),
]
LENGTHS = [4096, 1024, 8192, 2048, 16384, 32768]


class AttentionBench:
    def __init__(self):
        self.inputs = Pool(2**30 if SMOKE else 5 * 2**30)
        self.choose, self.backends = attention_backends()
        self.failures = {}  # by kind of heads; after three it is left out

    def train(self, backend, heads, kv_heads, dim, value_dim, length, batch):
        shape = {"B": batch, "H": heads, "KV": kv_heads, "S": length, "D": dim, "Dv": value_dim, "causal": 1}

        def take(of_heads, width):  # [B, H, S, D] views of a model's layout [B, S, H, D]
            view = self.inputs.take(batch, length, of_heads, width).transpose(1, 2)
            return view.detach().requires_grad_(True)

        with torch.enable_grad():
            q, k, v = take(heads, dim), take(kv_heads, dim), take(kv_heads, value_dim)

            def forward():
                return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)

            elements = heads * dim + kv_heads * (dim + value_dim) + heads * value_dim
            traffic = 2 * batch * length * elements + 4 * batch * length * heads
            flop = batch * heads * length * length * (dim + value_dim)
            timing = bench([forward], graph=False, maxms=100.0, minreps=4, spin_us=150)
            notes = "SDPA %s; flops causal (half of S^2)" % backend
            emit("attention", "attn_fwd_" + backend, shape, "bf16", timing, traffic, flop, notes, "cold")
            out = forward()
            gradient = torch.randn_like(out)

            def backward():
                return torch.autograd.grad(out, (q, k, v), gradient, retain_graph=True)

            timing = bench([backward], graph=False, maxms=150.0, minreps=4, spin_us=300)
            notes = "SDPA %s backward; flops = 2.5 x forward" % backend
            emit("attention", "attn_bwd_" + backend, shape, "bf16", timing, 2 * traffic, flop * 2.5, notes, "cold")

    def decode(self, backend, heads, kv_heads, dim, batch, length):
        traffic = 2 * batch * length * kv_heads * 2 * dim + 4 * batch * heads * dim
        sets, take = buffer_sets(traffic, 64), self.inputs.take

        def call():
            q, k, v = (
                take(batch, heads, 1, dim),
                take(batch, kv_heads, length, dim),
                take(batch, kv_heads, length, dim),
            )
            return lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=heads != kv_heads)

        timing = bench([call() for _ in range(sets)], key="dec" + backend, maxms=40.0)
        shape = {"B": batch, "H": heads, "KV": kv_heads, "S_kv": length, "D": dim}
        notes = "SDPA %s; 1 query token; [B,KV,S,D] cache, dense" % backend
        flop, state = 4 * batch * heads * length * dim, l2_state(sets, traffic)
        emit("attention", "attn_decode_" + backend, shape, "bf16", timing, traffic, flop, notes, state)

    def guarded(self, name, case):
        if self.failures.get(name, 0) >= 3:
            return
        try:
            case()
        except torch.cuda.OutOfMemoryError:
            log("out of memory", name)
            free_memory()
        except Exception as error:
            self.failures[name] = self.failures.get(name, 0) + 1
            log("attention", name, str(error)[:250].replace("\n", " "))
            if lost(error):
                raise

    def all_training(self, backend, deadline):
        with self.choose(self.backends[backend]):
            for length in [1024, 4096, 16384] if SMOKE else LENGTHS:
                for heads, kv_heads, dim, value_dim in HEADS[:1] + HEADS[4:7] if SMOKE else HEADS:
                    if heads == 128 and length > 8192:
                        continue
                    for batch in [1, 8192 // length] if length < 8192 and not SMOKE else [1]:
                        if out_of_time(deadline, "train attn " + backend):
                            return
                        case = (backend, heads, kv_heads, dim, value_dim, length, batch)
                        name = "%s %d/%d d%d" % (backend, heads, kv_heads, dim)
                        self.guarded(name, lambda: self.train(*case))
        log("attention", backend, "training done")

    def all_decoding(self, backend, deadline):
        dim = 128
        with self.choose(self.backends[backend]):
            for heads, kv_heads in ((32, 8), (64, 8)):
                for batch in pick([1, 64, 16, 256, 4, 128, 32, 8]):
                    for length in pick([512, 2048, 8192, 32768, 1024, 4096, 16384]):
                        if batch * length * kv_heads * dim * 2 > self.inputs.elements:
                            continue
                        if out_of_time(deadline, "decode attn " + backend):
                            return
                        case = (backend, heads, kv_heads, dim, batch, length)
                        self.guarded("dec " + backend, lambda: self.decode(*case))
        log("attention", backend, "decoding done")


def measure(deadline):
    bench_of = AttentionBench()
    now = time.time()
    budget = deadline - now
    if COOL:
        bench_of.all_decoding("flash", now + 0.6 * budget)
        bench_of.all_training("flash", deadline)
        return
    bench_of.all_training("flash", now + 0.30 * budget)
    bench_of.all_decoding("flash", now + 0.50 * budget)
    bench_of.all_training("cudnn", now + 0.85 * budget)
    bench_of.all_decoding("cudnn", deadline)
