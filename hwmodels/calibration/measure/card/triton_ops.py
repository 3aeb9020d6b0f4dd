"""Launches of the Triton kernels in tkernels.py, and whether they compute what they should."""
import os
import sys

import torch
import torch.nn.functional as F
import triton

from card.bench import DEVICE, bf16, fp8, log, relative_error, rope_tables

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))  # Triton reads source
import tkernels  # noqa: E402


def rms_norm(x, weight, y):
    rows, hidden = x.shape
    block = triton.next_power_of_2(hidden)
    tkernels.k_rms[(rows,)](x, weight, y, hidden, 1e-5, B=block, num_warps=8 if block >= 4096 else 4)


def add_rms_norm(residual, x, weight, y):
    """Adds x to the residual, in place, and norms the sum."""
    rows, hidden = residual.shape
    block = triton.next_power_of_2(hidden)
    tkernels.k_addrms[(rows,)](residual, x, weight, y, hidden, 1e-5, B=block, num_warps=8 if block >= 4096 else 4)


def swiglu(gate_up, y):
    tokens, width = y.shape
    block = 2048 if width % 2048 == 0 else 1024
    tkernels.k_swiglu[(tokens, triton.cdiv(width, block))](gate_up, y, width, B=block, num_warps=4)


def swiglu_backward(gate_up, dy, dgate_up):
    tokens, width = dy.shape
    block = 2048 if width % 2048 == 0 else 1024
    tkernels.k_swiglu_bwd[(tokens, triton.cdiv(width, block))](gate_up, dy, dgate_up, width, B=block, num_warps=4)


def rope(x, cos, sin, heads, dim):
    """Of the first `heads` heads, in place."""
    block = triton.next_power_of_2(heads)
    tkernels.k_rope[(x.shape[0],)](x, cos, sin, x.stride(0), heads, D2=dim // 2, HB=block, num_warps=4)


def cast_fp8(x, y, scales):
    """With a scale for every 128 elements of a row."""
    groups = x.numel() // 128
    tkernels.k_cast8[(triton.cdiv(groups, 32),)](x, y, scales, groups, BG=32, num_warps=4)


def gather(x, index, y):
    rows, hidden = y.shape
    tkernels.k_gather[(rows, triton.cdiv(hidden, 1024))](x, index, y, hidden, B=1024, num_warps=4)


def unpermute(y, positions, weights, out, top_k):
    """Sums the top-k rows of each token, weighted."""
    tokens, hidden = out.shape
    grid = (tokens, triton.cdiv(hidden, 1024))
    tkernels.k_unperm[grid](y, positions, weights, out, hidden, KK=top_k, B=1024, num_warps=4)


def persistent_copy(source, target, blocks, passes, programs, block=16384, warps=32):
    tkernels.k_pcopy[(programs,)](source, target, blocks, passes, B=block, num_warps=warps)


def persistent_gemm(a, b, c, programs):
    """c = a b^T"""
    (m, k), n = a.shape, b.shape[0]
    tkernels.k_pgemm[(programs,)](a, b, c, m, n, k, BM=128, BN=256, BK=64, GM=8, num_warps=8, num_stages=4)


def transpose(x, y):
    rows, columns = x.shape
    tkernels.k_transpose[(triton.cdiv(rows, 64), triton.cdiv(columns, 64))](x, y, rows, columns, B=64, num_warps=4)


# Each compares with PyTorch and gives the relative error.


def random(*shape):
    return torch.randn(*shape, device=DEVICE).to(bf16)


def norm_of(x, weight):
    wide = x.float()
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5) * weight.float()


def check_rms_norm():
    x, weight = random(64, 4096), random(4096)
    y = torch.empty_like(x)
    rms_norm(x, weight, y)
    return relative_error(y, norm_of(x, weight))


def check_add_rms_norm():
    x, added, weight = random(64, 4096), random(64, 4096), random(4096)
    residual, y = x.clone(), torch.empty_like(x)
    add_rms_norm(residual, added, weight, y)
    return max(relative_error(y, norm_of(x + added, weight)), relative_error(residual, x + added))


def check_swiglu():
    gate_up, y = random(64, 8192), torch.empty(64, 4096, device=DEVICE, dtype=bf16)
    swiglu(gate_up, y)
    gate, up = gate_up.float().chunk(2, -1)
    return relative_error(y, F.silu(gate) * up)


def check_swiglu_backward():
    gate_up, dy = random(64, 8192), random(64, 4096)
    computed = torch.empty_like(gate_up)
    swiglu_backward(gate_up, dy, computed)
    with torch.enable_grad():
        wide = gate_up.float().requires_grad_(True)
        gate, up = wide.chunk(2, -1)
        (F.silu(gate) * up).backward(dy.float())
    return relative_error(computed, wide.grad)


def check_rope():
    qk = random(16, 48 * 128)
    cos, sin = rope_tables(16, 128, torch.float32)
    turned = qk.clone()
    rope(turned, cos, sin, 40, 128)
    turned, before = turned.view(16, 48, 128), qk.float().view(16, 48, 128)
    first, second = before[:, :40, :64], before[:, :40, 64:]
    cos, sin = cos[:, None], sin[:, None]
    expected = torch.cat([first * cos - second * sin, second * cos + first * sin], -1)
    return max(relative_error(turned[:, :40], expected), relative_error(turned[:, 40:], before[:, 40:]))


def check_cast_fp8():
    x = random(64, 4096)
    y, scales = torch.empty(64, 4096, device=DEVICE, dtype=fp8), torch.empty(64, 32, device=DEVICE)
    cast_fp8(x, y, scales)
    back = y.float().view(64, 32, 128) * scales[..., None]
    return relative_error(back.view(64, 4096), x) / 3  # FP8 rounds by about 2.6 %


def check_gather():
    x, index = random(64, 4096), torch.randint(0, 64, (200,), device=DEVICE)
    y = torch.empty(200, 4096, device=DEVICE, dtype=bf16)
    gather(x, index, y)
    return relative_error(y, x[index])


def check_unpermute():
    x, weights = random(64, 4096), torch.rand(32, 8, device=DEVICE)
    positions = torch.randint(0, 64, (32, 8), device=DEVICE)
    out = torch.empty(32, 4096, device=DEVICE, dtype=bf16)
    unpermute(x, positions, weights, out, 8)
    return relative_error(out, (x[positions].float() * weights[..., None]).sum(1))


def check_persistent_copy():
    source = torch.randint(0, 1 << 30, (16384 * 37,), device=DEVICE, dtype=torch.int32)
    target = torch.zeros_like(source)
    persistent_copy(source, target, 37, 2, 20)
    return float((source != target).sum())


def check_transpose():
    x, y = random(64, 4096), torch.empty(4096, 64, device=DEVICE, dtype=bf16)
    transpose(x, y)
    return relative_error(y, x.t())


def check_kernels():
    found = []
    for check in (
        check_rms_norm,
        check_add_rms_norm,
        check_swiglu,
        check_swiglu_backward,
        check_rope,
        check_cast_fp8,
        check_gather,
        check_unpermute,
        check_persistent_copy,
        check_transpose,
    ):
        name = check.__name__[len("check_") :]
        try:
            error = check()
            found.append("%s %.1e%s" % (name, error, "" if error < 2e-2 else " BAD"))
        except Exception as error:
            found.append("%s failed: %s" % (name, str(error)[:200]))
    log("Triton kernels against PyTorch:", "; ".join(found))
