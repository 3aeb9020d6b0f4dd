"""Attention of engines that PyTorch has no library kernel for: decoding from paged caches, of grouped heads and of the
latent (absorbed MLA), and FP8 prompts. Triton kernels, as engines' Triton backends have them."""
import math
import os
import sys

import torch
import torch.nn.functional as F
import triton

from card.bench import (
    DEVICE,
    SMOKE,
    Pool,
    bench,
    bf16,
    buffer_sets,
    emit,
    fp8,
    l2_state,
    log,
    lost,
    out_of_time,
    relative_error,
)

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))  # Triton reads source
import tattention  # noqa: E402

LATENT, ROTARY = 512, 64
HEADS_OF_A_BLOCK = 16
PROGRAMS = 264  # two for each SM: a sequence is cut into so many parts that there are about as many
MOST_SPLITS = 64


def splits_of(batch, blocks, length):
    return max(1, min(MOST_SPLITS, PROGRAMS // (batch * blocks), length // 128))


def paged_decode(q, keys, values, table, out, page, length, heads, kv_heads, width, latent, room):
    """@param table pages of each sequence. @param values None where they are part of the keys. @param room for parts"""
    batch = q.shape[0]
    group = heads // kv_heads
    blocks = kv_heads * triton.cdiv(group, HEADS_OF_A_BLOCK)
    splits = splits_of(batch, blocks, length)
    part, sums = room
    scale = 1 / math.sqrt(192 if latent else width)
    tattention.k_paged_decode[(batch, blocks, splits)](
        *(q, keys, keys if latent else values, table, part, sums, scale, length, heads, kv_heads, splits),
        table.shape[1],
        DK=width,
        DR=ROTARY if latent else 0,
        DV=width,
        PAGE=page,
        BH=HEADS_OF_A_BLOCK,
        BN=32 if latent else 64,
        LATENT=latent,
        num_warps=4,
        num_stages=2,
    )
    tattention.k_join_parts[(batch * heads,)](part, sums, out, splits, DV=width, num_warps=4)


def rooms(batch, heads, width):
    part = torch.empty(batch * heads * MOST_SPLITS * width, device=DEVICE)
    return part, torch.empty(batch * heads * MOST_SPLITS, device=DEVICE)


def shuffled_pages(batch, pages):
    order = torch.randperm(batch * pages, device=DEVICE).to(torch.int32)
    return order.view(batch, pages)


def prompt_fp8(q, k, v, out, length, heads, kv_heads, width):
    batch, block = q.shape[0], 128
    scale = 1 / math.sqrt(width) * math.log2(math.e)
    grid = (length // block, batch * heads)
    options = dict(D=width, BM=block, BN=128, num_warps=8, num_stages=2)
    tattention.k_prompt_fp8[grid](q, k, v, out, scale, length, heads, kv_heads, **options)


def check():
    """Against PyTorch."""
    found = []
    for latent in (False, True):
        try:
            batch, heads, kv_heads, width, length, page = 2, 32, 1 if latent else 8, LATENT if latent else 128, 1000, 16
            row = width + (ROTARY if latent else 0)
            pages = triton.cdiv(length, page)
            table = shuffled_pages(batch, pages)
            q = torch.randn(batch, heads, row, device=DEVICE).to(bf16)
            keys = torch.randn(batch * pages, page, kv_heads, row, device=DEVICE).to(bf16)
            values = keys[..., :width] if latent else torch.randn_like(keys)
            out = torch.empty(batch, heads, width, device=DEVICE, dtype=bf16)
            room = rooms(batch, heads, width)
            paged_decode(q, keys, values, table, out, page, length, heads, kv_heads, width, latent, room)
            wide = [x[table.long()].flatten(1, 2)[:, :length].transpose(1, 2).float() for x in (keys, values)]
            scale = 1 / math.sqrt(192 if latent else width)
            options = dict(enable_gqa=True, scale=scale)
            expected = F.scaled_dot_product_attention(q.float()[:, :, None], *wide, **options)[:, :, 0]
            found.append("%s %.1e" % ("latent" if latent else "grouped", relative_error(out, expected)))
        except Exception as error:
            found.append("failed: %s" % str(error)[:300])
            if lost(error):
                raise
    try:
        q, k, v = (torch.randn(1, heads, 512, 128, device=DEVICE).to(fp8) for heads in (8, 2, 2))
        out = torch.empty(1, 8, 512, 128, device=DEVICE, dtype=bf16)
        prompt_fp8(q, k, v.transpose(-2, -1).contiguous(), out, 512, 8, 2, 128)
        wide = (x.float() for x in (q, k, v))
        expected = F.scaled_dot_product_attention(*wide, is_causal=True, enable_gqa=True)
        found.append("FP8 prompts %.1e" % relative_error(out, expected))
    except Exception as error:
        found.append("FP8 failed: %s" % str(error)[:300])
        if lost(error):
            raise
    log("attention kernels against PyTorch:", "; ".join(found))


class PagedBench:
    def __init__(self, deadline):
        self.deadline, self.failures = deadline, {}
        self.pool = Pool(2**32)

    def guarded(self, name, case):
        """@return whether there is time for more"""
        if out_of_time(self.deadline, name):
            return False
        if self.failures.get(name, 0) < 2:
            try:
                case()
            except Exception as error:
                self.failures[name] = self.failures.get(name, 0) + 1
                log("paged", name, str(error)[:250].replace("\n", " "))
                if lost(error):
                    raise
        return True

    def decode(self, heads, kv_heads, page, batch, length):
        latent = kv_heads == 1
        width = LATENT if latent else 128
        row = width + (ROTARY if latent else 0)
        pages = length // page
        traffic = 2 * batch * (length * kv_heads * (row if latent else 2 * row) + heads * (row + width))
        sets, room, take = buffer_sets(traffic, 16), rooms(batch, heads, width), self.pool.take

        def call():
            q, keys = take(batch, heads, row), take(batch * pages, page, kv_heads, row)
            values = None if latent else take(batch * pages, page, kv_heads, row)
            out, table = torch.empty(batch, heads, width, device=DEVICE, dtype=bf16), shuffled_pages(batch, pages)
            options = (page, length, heads, kv_heads, width, latent, room)
            return lambda: paged_decode(q, keys, values, table, out, *options)

        timing = bench([call() for _ in range(sets)], key="paged", maxms=30.0)
        shape = {"B": batch, "H": heads, "KV": kv_heads, "S_kv": length, "D": row, "Dv": width, "page": page}
        blocks = kv_heads * triton.cdiv(heads // kv_heads, HEADS_OF_A_BLOCK)
        notes = "Triton, 2 kernels; pages in random order; splits=%d" % splits_of(batch, blocks, length)
        op = "mla_decode_paged_triton" if latent else "attn_decode_paged_triton"
        flop, state = 2 * batch * heads * length * (row + width), l2_state(sets, traffic)
        emit("paged", op, shape, "bf16", timing, traffic, flop, notes, state)

    def prompt(self, heads, kv_heads, batch, length):
        take, width = self.pool.take, 128
        q, k = take(batch, heads, length, width).to(fp8), take(batch, kv_heads, length, width).to(fp8)
        v = take(batch, kv_heads, width, length).to(fp8)
        out = torch.empty(batch, heads, length, width, device=DEVICE, dtype=bf16)
        call = lambda: prompt_fp8(q, k, v, out, length, heads, kv_heads, width)  # noqa: E731
        timing = bench([call], graph=False, maxms=40.0, minreps=4, spin_us=150)
        shape = {"B": batch, "H": heads, "KV": kv_heads, "S": length, "D": width, "Dv": width, "causal": 1}
        flop = 2 * batch * heads * length * length * width
        traffic = batch * length * width * (heads + 2 * kv_heads + 2 * heads)
        notes = "Triton, 128 x 128 blocks; flops causal (half of S^2)"
        emit("paged", "attn_fwd_fp8_triton", shape, "e4m3", timing, traffic, flop, notes, "cold")


def cases_of_decoding():
    """Those that say most first."""
    latent = [(16, 1), (128, 1)]
    for batch, length in ((32, 4096), (1, 4096), (128, 4096), (32, 1024), (8, 32768), (1, 32768), (128, 1024), (8, 4096)):
        for heads, kv_heads in latent:
            yield heads, kv_heads, 64, batch, length
        for heads, kv_heads in ((32, 8), (64, 8)) if not SMOKE else ((32, 8),):
            for page in (16, 64, 1):
                yield heads, kv_heads, page, batch, length


def measure(deadline):
    check()
    b = PagedBench(deadline)
    for heads, kv_heads, batch, length in ((32, 8, 1, 8192), (32, 8, 4, 2048), (32, 8, 1, 32768), (128, 128, 1, 4096)):
        b.guarded("FP8 prompts", lambda: b.prompt(heads, kv_heads, batch, length))
    for case in cases_of_decoding():
        if not b.guarded("latent" if case[1] == 1 else "grouped", lambda: b.decode(*case)):
            return
