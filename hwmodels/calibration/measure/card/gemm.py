"""Dense products of models' linear layers and their two gradients, in BF16 and FP8."""
import torch

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
    pick,
)

LAYERS = [  # model, layer, N (out), K (in)
    ("llama8b", "qkv", 6144, 4096),
    ("llama8b", "o", 4096, 4096),
    ("llama8b", "gate_up", 28672, 4096),
    ("llama8b", "down", 4096, 14336),
    ("dsv3", "q_a", 1536, 7168),
    ("dsv3", "q_b", 24576, 1536),
    ("dsv3", "kv_a", 576, 7168),
    ("dsv3", "kv_b", 32768, 512),
    ("dsv3", "o", 7168, 16384),
    ("dsv3", "shared_gate_up", 4096, 7168),
    ("dsv3", "shared_down", 7168, 2048),
    ("dsv3", "dense_gate_up", 36864, 7168),
    ("dsv3", "dense_down", 7168, 18432),
    ("llama70b_tp8", "qkv", 1280, 8192),
    ("llama70b_tp8", "o", 8192, 1024),
    ("llama70b_tp8", "gate_up", 7168, 8192),
    ("llama70b_tp8", "down", 8192, 3584),
    ("llama70b_tp4", "qkv", 2560, 8192),
    ("llama70b_tp4", "o", 8192, 2048),
    ("llama70b_tp4", "gate_up", 14336, 8192),
    ("llama70b_tp4", "down", 8192, 7168),
    ("llama405b_tp8", "qkv", 2304, 16384),
    ("llama405b_tp8", "o", 16384, 2048),
    ("llama405b_tp8", "gate_up", 13312, 16384),
    ("llama405b_tp8", "down", 16384, 6656),
    ("llama70b_tp1", "qkv", 10240, 8192),
    ("llama70b_tp1", "o", 8192, 8192),
    ("llama70b_tp1", "gate_up", 57344, 8192),
    ("llama70b_tp1", "down", 8192, 28672),
    ("llama8b", "lm_head", 128256, 4096),
    ("llama70b_tp8", "lm_head", 16032, 8192),
]
SQUARES = [4096, 8192, 16384, 2048, 1024, 512]
# What matters most comes first, in case time runs out.
TOKENS = [128, 4096, 1, 1024, 16384, 16, 8192, 64, 2048, 256, 32, 512, 8]
PASSES = ("fwd", "dgrad", "wgrad")


def operands(of, inputs, outputs, m, n, k):
    """For Y[m,n] = X[m,k] W[n,k]^T: two factors and where their product goes."""
    if of == "fwd":
        return inputs.take(m, k), inputs.take(n, k).t(), outputs.take(m, n)
    if of == "dgrad":  # dX = dY W
        return inputs.take(m, n), inputs.take(n, k), outputs.take(m, k)
    return inputs.take(m, n).t(), inputs.take(m, k), outputs.take(n, k)  # dW = dY^T X


def measure(deadline):
    inputs, outputs = Pool(2**32), Pool(2**31, fill=False)

    def one(m, n, k, of, notes):
        traffic = 2 * (m * k + n * k + m * n)
        count = buffer_sets(traffic)
        sets = [operands(of, inputs, outputs, m, n, k) for _ in range(count)]
        calls = [(lambda a=a, b=b, c=c: torch.mm(a, b, out=c)) for a, b, c in sets]
        timing = bench(calls, key="mm", maxms=100.0)
        shape = {"M": m, "N": n, "K": k}
        emit("gemm", "gemm_" + of, shape, "bf16", timing, traffic, 2 * m * n * k, notes, l2_state(count, traffic))

    for size in pick(SQUARES):
        for of in PASSES:
            one(size, size, size, of, "square")
    for tokens in pick(TOKENS) + ([16384] if SMOKE else []):
        for model, layer, n, k in LAYERS[::6] + LAYERS[-2:-1] if SMOKE else LAYERS:
            for of in PASSES:
                if out_of_time(deadline, "gemm M=%d" % tokens):
                    return
                try:
                    one(tokens, n, k, of, "%s %s" % (model, layer))
                except Exception as error:
                    log("gemm", tokens, n, k, of, str(error)[:200])
                    if lost(error):
                        raise


SCALES = {
    "tensor": "; per-tensor scales; fast accumulation",
    "row": "; rowwise scales; fast accumulation",
    "block": "; 1x128 by 128x128 scales (cuBLASLt)",
}


def scales(of, m, n, k):
    if of == "tensor":
        one = torch.ones((), device=DEVICE)
        return one, one
    if of == "row":
        return torch.rand(m, 1, device=DEVICE), torch.rand(1, n, device=DEVICE)
    return torch.rand(k // 128, m, device=DEVICE).t(), torch.rand(n // 128, k // 128, device=DEVICE).t()


def scaled_mm(a, b, scale_of, scale_a, scale_b):
    """Sums of scaled blocks are exact; the others accumulate fast."""
    exact = scale_of == "block"
    return torch._scaled_mm(a, b, scale_a=scale_a, scale_b=scale_b, out_dtype=bf16, use_fast_accum=not exact)


def fp8_pool():
    random, pool = Pool(2**28), Pool(2**31, dtype=fp8, fill=False)
    for i in range(0, pool.elements, random.elements):
        pool.buffer[i : i + random.elements].copy_(random.buffer[: min(random.elements, pool.elements - i)])
    return pool


def measure_fp8(deadline):
    inputs = fp8_pool()
    refused = set()

    def one(m, n, k, of, notes):
        traffic = m * k + n * k + 2 * m * n
        count = buffer_sets(traffic)
        scale_a, scale_b = scales(of, m, n, k)
        sets = [(inputs.take(m, k), inputs.take(n, k).t()) for _ in range(count)]
        calls = [(lambda a=a, b=b: scaled_mm(a, b, of, scale_a, scale_b)) for a, b in sets]
        timing = bench(calls, key="smm" + of, maxms=80.0)
        shape, dtype = {"M": m, "N": n, "K": k}, "e4m3xe4m3->bf16"
        state = l2_state(count, traffic)
        emit("gemm", "gemm_fp8_" + of, shape, dtype, timing, traffic, 2 * m * n * k, notes + SCALES[of], state)

    cases = [
        (tokens, model + " " + layer, n, k)
        for tokens in pick(tokens for tokens in TOKENS if tokens >= 128)
        for model, layer, n, k in (LAYERS[::6] if SMOKE else LAYERS)
    ]
    cases += [(8192, "square ", size, size) for size in (8192, 4096)]
    for tokens, notes, n, k in cases:
        for of in SCALES:
            if out_of_time(deadline, "fp8 M=%d" % tokens):
                return
            if of in refused or (of == "block" and (n % 128 or k % 512)):
                continue
            try:
                one(tokens, n, k, of, notes)
            except Exception as error:
                log("fp8", of, tokens, n, k, str(error)[:400])
                if lost(error):
                    raise
                if of == "block":
                    refused.add(of)
