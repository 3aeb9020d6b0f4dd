"""Triton kernels of attention as engines write them: decoding from a paged cache, and FP8 prompts."""
import triton
import triton.language as tl


@triton.jit
def k_paged_decode(
    q, keys, values, table, part, sums, scale, length, H, KV, splits, pages,
    DK: tl.constexpr, DR: tl.constexpr, DV: tl.constexpr, PAGE: tl.constexpr, BH: tl.constexpr, BN: tl.constexpr,
    LATENT: tl.constexpr,
):
    """One part of a sequence for a block of the query heads that share a key head. Keys are DK + DR wide (DR only
    where the cache is LATENT: values are then the first DK columns of the keys)."""
    b = tl.program_id(0).to(tl.int64)
    group = H // KV
    blocks = tl.cdiv(group, BH)
    kv = tl.program_id(1) // blocks
    first = (tl.program_id(1) % blocks) * BH
    s = tl.program_id(2)
    h = kv * group + first + tl.arange(0, BH)
    mh = (first + tl.arange(0, BH)) < group
    d = tl.arange(0, DK)
    dv = tl.arange(0, DV)
    width = DK + DR
    pq = q + (b * H + h[:, None]) * width
    vq = tl.load(pq + d[None, :], mask=mh[:, None], other=0.0)
    if LATENT:
        r = tl.arange(0, DR)
        vr = tl.load(pq + DK + r[None, :], mask=mh[:, None], other=0.0)
    each = tl.cdiv(tl.cdiv(length, splits), BN) * BN
    begin = s * each
    end = tl.minimum(begin + each, length)
    m = tl.zeros((BH,), dtype=tl.float32) - float("inf")
    l = tl.zeros((BH,), dtype=tl.float32)
    acc = tl.zeros((BH, DV), dtype=tl.float32)
    for n in range(begin, end, BN):
        o = n + tl.arange(0, BN)
        mn = o < end
        page = tl.load(table + b * pages + o // PAGE, mask=mn, other=0).to(tl.int64)
        row = (page * PAGE + o % PAGE) * KV + kv
        k = tl.load(keys + row[None, :] * width + d[:, None], mask=mn[None, :], other=0.0)
        x = tl.dot(vq, k)
        if LATENT:
            kr = tl.load(keys + row[None, :] * width + DK + r[:, None], mask=mn[None, :], other=0.0)
            x = tl.dot(vr, kr, x)
            v = tl.trans(k)
        else:
            v = tl.load(values + row[:, None] * DV + dv[None, :], mask=mn[:, None], other=0.0)
        x = tl.where(mn[None, :], x * scale, float("-inf"))
        top = tl.maximum(m, tl.max(x, 1))
        shrink = tl.exp(m - top)
        p = tl.exp(x - top[:, None])
        acc = tl.dot(p.to(v.dtype), v, acc * shrink[:, None])
        l = l * shrink + tl.sum(p, 1)
        m = top
    at = (b * H + h) * splits + s
    some = l > 0  # the last parts of a sequence may be empty
    tl.store(part + at[:, None] * DV + dv[None, :], acc / tl.where(some, l, 1.0)[:, None], mask=mh[:, None])
    tl.store(sums + at, tl.where(some, m + tl.log(l), float("-inf")), mask=mh)


@triton.jit
def k_join_parts(part, sums, out, splits, DV: tl.constexpr):
    """What the parts of a sequence give together, for one head."""
    at = tl.program_id(0).to(tl.int64)
    d = tl.arange(0, DV)
    m = -float("inf")
    l = 0.0
    acc = tl.zeros((DV,), dtype=tl.float32)
    for s in range(splits):
        x = tl.load(sums + at * splits + s)
        top = tl.maximum(m, x)
        shrink = tl.exp(m - top)
        p = tl.exp(x - top)
        acc = acc * shrink + p * tl.load(part + (at * splits + s) * DV + d)
        l = l * shrink + p
        m = top
    tl.store(out + at * DV + d, (acc / l).to(tl.bfloat16))


@triton.jit
def k_prompt_fp8(
    q, k, v, out, scale, S, H, KV, D: tl.constexpr, BM: tl.constexpr, BN: tl.constexpr
):
    """Causal, all in e4m3; q, k [B, heads, S, D], v [B, heads, D, S], as its matrix instructions want it; S a multiple
    of both blocks. One scale per tensor, folded into `scale`."""
    i = tl.num_programs(0) - 1 - tl.program_id(0)
    bh = tl.program_id(1).to(tl.int64)
    kvh = (bh // H) * KV + (bh % H) // (H // KV)
    rm = i * BM + tl.arange(0, BM)
    rn = tl.arange(0, BN)
    d = tl.arange(0, D)
    vq = tl.load(q + bh * S * D + rm[:, None] * D + d[None, :])
    m = tl.zeros((BM,), dtype=tl.float32) - float("inf")
    l = tl.zeros((BM,), dtype=tl.float32)
    acc = tl.zeros((BM, D), dtype=tl.float32)
    pk = k + kvh * S * D + rn[None, :] * D + d[:, None]
    pv = v + kvh * S * D + d[None, :] * S + rn[:, None]
    for n in range(0, i * BM, BN):
        x = tl.dot(vq, tl.load(pk + n * D)) * scale
        top = tl.maximum(m, tl.max(x, 1))
        shrink = tl.exp2(m - top)
        p = tl.exp2(x - top[:, None])
        acc = tl.dot(p.to(tl.float8e4nv), tl.load(pv + n), acc * shrink[:, None])
        l = l * shrink + tl.sum(p, 1)
        m = top
    for n in range(i * BM, (i + 1) * BM, BN):
        x = tl.dot(vq, tl.load(pk + n * D)) * scale
        x = tl.where(rm[:, None] >= (n + rn)[None, :], x, float("-inf"))
        top = tl.maximum(m, tl.max(x, 1))
        shrink = tl.exp2(m - top)
        p = tl.exp2(x - top[:, None])
        acc = tl.dot(p.to(tl.float8e4nv), tl.load(pv + n), acc * shrink[:, None])
        l = l * shrink + tl.sum(p, 1)
        m = top
    tl.store(out + bh * S * D + rm[:, None] * D + d[None, :], (acc / l[:, None]).to(tl.bfloat16))
