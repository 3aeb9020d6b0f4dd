"""Kernels between the products of a layer, and those of the optimiser: copies, norms, activations, casts."""
import torch
import torch.nn as nn
import torch.nn.functional as F

from card.bench import DEVICE, SMOKE, Pool, bf16, fp8, log, pick, rope_tables
from card.memory_bench import FUSED, SIZES, free_memory

RESIDENT = dict(warm=True, notes="same buffers each time: L2-resident")
LARGEST_RESIDENT = 2**24


def copies_and_adds(m):
    for size in SIZES:

        def copy():
            x, y = m.inputs.take(size // 2), m.outputs.take(size // 2)
            return lambda: y.copy_(x)

        m.run("copy", {"bytes": size}, 2 * size, copy)
        if size <= LARGEST_RESIDENT:
            m.run("copy", {"bytes": size}, 2 * size, copy, **RESIDENT)
    for size in SIZES:
        elements = size // 2

        def add():
            x, y, z = m.inputs.take(elements), m.inputs.take(elements), m.outputs.take(elements)
            return lambda: torch.add(x, y, out=z)

        m.run("add", {"bytes": size}, 3 * size, add, flop=elements)
        if size <= LARGEST_RESIDENT:
            m.run("add", {"bytes": size}, 3 * size, add, flop=elements, **RESIDENT)


def eager_norm(x, weight):
    wide = x.float()
    return (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + 1e-5)).to(x.dtype) * weight


def rms_norms(m):
    try:
        compiled_norm = torch.compile(eager_norm)
    except Exception as error:
        log("torch.compile of a norm", error)
        compiled_norm = None
    for hidden in (4096, 7168):
        weight = torch.randn(hidden, device=DEVICE).to(bf16)
        for size in SIZES:
            rows = size // (2 * hidden)
            if rows >= 1:
                rms_norm(m, size, rows, hidden, weight, compiled_norm)
    if not SMOKE:
        m.inputs = Pool(2**31 + 2**29)  # what added to its residual has rewritten it
    with torch.enable_grad():
        for size in SIZES[3:]:
            rms_norm_backward(m, size, size // (2 * 4096), 4096)


def rms_norm(m, size, rows, hidden, weight, compiled_norm):
    traffic, shape, flop = 2 * size + 2 * hidden, {"rows": rows, "hidden": hidden}, 4 * rows * hidden

    def triton():
        x, y = m.inputs.take(rows, hidden), m.outputs.take(rows, hidden)
        return lambda: m.triton.rms_norm(x, weight, y)

    def fused():
        x = m.inputs.take(rows, hidden)
        return lambda: F.rms_norm(x, (hidden,), weight, 1e-5)

    def eager():
        x = m.inputs.take(rows, hidden)
        return lambda: eager_norm(x, weight)

    def compiled():
        x = m.inputs.take(rows, hidden)
        try:
            torch._dynamo.maybe_mark_dynamic(x, 0)
        except Exception:
            pass
        return lambda: compiled_norm(x, weight)

    def added():
        residual, x, y = m.inputs.take(rows, hidden), m.inputs.take(rows, hidden), m.outputs.take(rows, hidden)
        residual = residual.clone() if size <= 2**22 else residual
        return lambda: m.triton.add_rms_norm(residual, x, weight, y)

    if m.triton:
        m.run("rmsnorm_fwd_triton", shape, traffic, triton, flop=flop)
    m.run("rmsnorm_fwd_torch_fused", shape, traffic, fused, flop=flop, notes="F.rms_norm")
    if hidden != 4096:
        return
    m.run("rmsnorm_fwd_eager", shape, traffic, eager, flop=flop, notes="6 kernels through fp32; " + FUSED)
    if compiled_norm is not None and rows > 1:
        m.run("rmsnorm_fwd_compile", shape, traffic, compiled, flop=flop, notes="torch.compile")
    if m.triton and 2**16 <= size <= 2**29:
        notes = "residual add fused; residual rewritten"
        traffic, flop = 4 * size + 2 * hidden, 5 * rows * hidden
        m.run("add_rmsnorm_fwd_triton", shape, traffic, added, flop=flop, notes=notes, most_sets=16)


def rms_norm_backward(m, size, rows, hidden):
    if rows < 1 or size > 2**30:
        return
    weight = torch.randn(hidden, device=DEVICE).to(bf16).requires_grad_(True)

    def backward():
        x = m.inputs.take(rows, hidden).detach().requires_grad_(True)
        y = F.rms_norm(x, (hidden,), weight, 1e-5)
        dy = m.inputs.take(rows, hidden)
        return lambda: torch.autograd.grad(y, (x, weight), dy, retain_graph=True)

    shape, notes = {"rows": rows, "hidden": hidden}, "autograd of F.rms_norm; dx and dw"
    options = dict(graph=False, sets=1, spin_us=150, flop=8 * rows * hidden, notes=notes)
    m.run("rmsnorm_bwd_torch_fused", shape, 3 * size, backward, **options)


def eager_swiglu(gate, up):
    return F.silu(gate) * up


def activations(m):
    for width in (2048, 14336):
        for size in SIZES:
            tokens = size // (4 * width)
            if tokens >= 1 and (width == 2048 or size >= 2**20):
                swiglu(m, size, tokens, width)


def swiglu(m, size, tokens, width):
    shape, elements = {"tokens": tokens, "ffn": width}, tokens * width

    def triton():
        gate_up, y = m.inputs.take(tokens, 2 * width), m.outputs.take(tokens, width)
        return lambda: m.triton.swiglu(gate_up, y)

    def triton_backward():
        gate_up, dy = m.inputs.take(tokens, 2 * width), m.inputs.take(tokens, width)
        dgate_up = m.outputs.take(tokens, 2 * width)
        return lambda: m.triton.swiglu_backward(gate_up, dy, dgate_up)

    def eager():
        gate, up = m.inputs.take(tokens, width), m.inputs.take(tokens, width)
        return lambda: eager_swiglu(gate, up)

    def eager_backward():
        gate, up = (m.inputs.take(tokens, width).detach().requires_grad_(True) for _ in range(2))
        dy = m.inputs.take(tokens, width)
        y = eager_swiglu(gate, up)
        return lambda: torch.autograd.grad(y, (gate, up), dy, retain_graph=True)

    if m.triton:
        m.run("swiglu_fwd_triton", shape, 6 * elements, triton, flop=5 * elements)
        m.run("swiglu_bwd_triton", shape, 10 * elements, triton_backward, flop=12 * elements)
    if width != 2048:
        return
    notes = "silu then mul, 2 kernels; " + FUSED
    m.run("swiglu_fwd_eager", shape, 6 * elements, eager, flop=5 * elements, notes=notes)
    if 2**18 <= size <= 2**30:
        options = dict(graph=False, sets=1, spin_us=200, notes="autograd of silu*mul, 3 kernels; " + FUSED)
        with torch.enable_grad():
            m.run("swiglu_bwd_eager", shape, 10 * elements, eager_backward, flop=12 * elements, **options)


def turned(x):
    first, second = x.chunk(2, -1)
    return torch.cat((-second, first), -1)


def rotary(m):
    """On queries and keys of 32 and 8 heads."""
    for size in SIZES:
        tokens = size // (40 * 128 * 2)
        if tokens < 1 or size > 2**30:
            continue
        shape, traffic, flop = {"tokens": tokens, "heads": 40, "dim": 128}, 2 * size + tokens * 512, 3 * tokens * 5120
        if m.triton:
            cos, sin = rope_tables(tokens, 128, torch.float32)

            def triton():
                x = m.outputs.take(tokens, 40 * 128)
                return lambda: m.triton.rope(x, cos, sin, 40, 128)

            if size <= 2**28:
                m.outputs.buffer[: tokens * 5120 * 2].normal_()
            notes = "in place; 32 q + 8 kv heads; fp32 cos/sin"
            m.run("rope_triton", shape, traffic, triton, flop=flop, notes=notes)
        wide_cos, wide_sin = (torch.cat([t, t], -1)[:, None] for t in rope_tables(tokens, 128, bf16))

        def eager():
            x = m.inputs.take(tokens, 40, 128)
            return lambda: x * wide_cos + turned(x) * wide_sin

        notes = "rotate_half: neg + cat + 2 mul + add, 5 kernels; " + FUSED
        m.run("rope_eager", shape, traffic, eager, flop=flop, notes=notes)


def casts(m):
    for size in SIZES:
        rows, hidden = size // (2 * 7168), 7168
        if not m.triton or rows < 1:
            continue

        def to_fp8():
            x = m.inputs.take(rows, hidden)
            y = m.outputs.take(rows, hidden // 2).view(fp8)
            scales = torch.empty(rows, hidden // 128, device=DEVICE)
            return lambda: m.triton.cast_fp8(x, y, scales)

        shape, traffic = {"rows": rows, "hidden": hidden}, rows * hidden * 3 + rows * 224
        options = dict(dtype="bf16->e4m3+fp32 scales", flop=3 * rows * hidden)
        m.run("cast_bf16_fp8_1x128", shape, traffic, to_fp8, **options)
    for size in SIZES:
        elements = size // 2
        if size > 2**30:
            continue

        def widen():
            x, wide = m.inputs.take(elements), torch.empty(elements, device=DEVICE)
            return lambda: wide.copy_(x)

        def accumulate():
            x, total = m.inputs.take(elements), torch.randn(elements, device=DEVICE)
            return lambda: total.add_(x)

        shape = {"elements": elements}
        m.run("cast_bf16_fp32", shape, 6 * elements, widen, dtype="bf16->fp32")
        m.run("grad_accum_fp32+=bf16", shape, 10 * elements, accumulate, dtype="fp32+=bf16", flop=elements)


def transposes(m):
    for size in SIZES:
        rows, columns = size // 8192, 4096
        if rows < 8:
            continue

        def buffers():
            return m.inputs.take(rows, columns), m.outputs.take(columns, rows)

        def eager():
            x, y = buffers()
            return lambda: y.copy_(x.t())

        def triton():
            x, y = buffers()
            return lambda: m.triton.transpose(x, y)

        shape = {"rows": rows, "cols": columns}
        m.run("transpose", shape, 2 * size, eager, notes="torch y.copy_(x.t())")
        if m.triton:
            m.run("transpose_triton", shape, 2 * size, triton, notes="64x64 tiles")


TENSORS = 64  # that an optimiser's parameters are spread over
OPTIMIZER_CASES = [
    (parameters, dtype)
    for parameters in (10**7, 10**8, 3 * 10**7, 3 * 10**8, 10**9)
    for dtype in ("bf16", "fp32")
]


def optimizers(m):
    for parameters, dtype in [(10**7, "bf16"), (10**8, "fp32")] if SMOKE else pick(OPTIMIZER_CASES):
        try:
            adam(m, parameters, dtype)
        finally:
            free_memory()


def adam(m, parameters, dtype):
    kind, traffic = (bf16, 14 * parameters) if dtype == "bf16" else (torch.float32, 28 * parameters)
    shape = {"params": parameters, "tensors": TENSORS}
    options = dict(dtype=dtype + " params, grads and states", flop=12 * parameters, graph=False, sets=1)
    tensors = [
        nn.Parameter(torch.empty(parameters // TENSORS, device=DEVICE, dtype=kind).normal_()) for _ in range(TENSORS)
    ]
    for tensor in tensors:
        tensor.grad = torch.empty_like(tensor).normal_()
    fused = torch.optim.AdamW(tensors, lr=1e-4, fused=True)
    notes = "torch fused AdamW; state dtype = parameter dtype"
    m.run("adamw_fused", shape, traffic, lambda: fused.step, notes=notes, spin_us=1500, maxms=200.0, **options)
    if parameters <= 3 * 10**8:
        foreach = torch.optim.AdamW(tensors, lr=1e-4, foreach=True)
        notes = "torch foreach AdamW (about a dozen passes); " + FUSED
        m.run(
            "adamw_foreach", shape, traffic, lambda: foreach.step, notes=notes, spin_us=3000, maxms=100.0, **options
        )
