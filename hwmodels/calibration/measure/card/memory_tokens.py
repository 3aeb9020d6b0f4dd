"""Kernels that move tokens: to experts and back, out of the embedding, into the loss."""
import torch
import torch.nn.functional as F

from card.bench import DEVICE, SMOKE, bf16, pick
from card.memory_bench import FUSED, free_memory

VOCABULARY = 128256


def permutes(m):
    for hidden, experts, top_k in ((7168, 256, 8), (4096, 8, 2), (2048, 128, 8)):
        for tokens in pick([1, 8, 32, 128, 512, 1024, 2048, 4096, 8192, 16384]):
            permute(m, tokens, hidden, experts, top_k)


def permute(m, tokens, hidden, experts, top_k):
    """Rows into the order of their experts, back, and what chooses the experts."""
    rows, shape = tokens * top_k, {"tokens": tokens, "hidden": hidden, "topk": top_k, "experts": experts}
    chosen = torch.rand(tokens, experts, device=DEVICE).topk(top_k, 1)[1]
    order = torch.argsort(chosen.view(-1), stable=True)
    source, positions = order // top_k, torch.empty_like(order)
    positions[order] = torch.arange(rows, device=DEVICE)
    weights = torch.rand(tokens, top_k, device=DEVICE)
    narrow_weights = weights.to(bf16).unsqueeze(-1)
    traffic = 2 * (tokens * hidden + rows * hidden) + 8 * rows

    def select():
        x, y = m.inputs.take(tokens, hidden), m.outputs.take(rows, hidden)
        return lambda: torch.index_select(x, 0, source, out=y)

    def gather():
        x, y = m.inputs.take(tokens, hidden), m.outputs.take(rows, hidden)
        return lambda: m.triton.gather(x, source, y)

    def unpermute():
        y, out = m.inputs.take(rows, hidden), m.outputs.take(tokens, hidden)
        return lambda: m.triton.unpermute(y, positions, weights, out, top_k)

    def unpermute_eager():
        y = m.inputs.take(rows, hidden)
        return lambda: (y.index_select(0, positions).view(tokens, top_k, hidden) * narrow_weights).sum(1)

    def add_up():
        y, out = m.inputs.take(rows, hidden), torch.zeros(tokens, hidden, device=DEVICE, dtype=bf16)
        return lambda: out.index_add_(0, source, y)

    notes = "rows gathered into expert order; bytes = each token once + every copy written"
    m.run("moe_permute_index_select", shape, traffic, select, notes=notes)
    flop = 2 * rows * hidden
    if m.triton:
        m.run("moe_permute_triton", shape, traffic, gather)
        notes = "weighted sum of the top-k rows"
        m.run("moe_unpermute_triton", shape, traffic + 4 * rows, unpermute, flop=flop, notes=notes)
    if rows * hidden * 2 <= 2**31:
        notes = "index_select, mul, sum: 3 kernels; " + FUSED
        m.run("moe_unpermute_eager", shape, traffic + 4 * rows, unpermute_eager, flop=flop, notes=notes)
    options = dict(flop=rows * hidden, notes="atomic adds; no weights", most_sets=16)
    m.run("moe_unpermute_index_add", shape, traffic + 2 * tokens * hidden, add_up, **options)
    route(m, shape, tokens, experts, top_k, chosen)


def route(m, shape, tokens, experts, top_k, chosen):
    logits, ids = torch.randn(tokens, experts, device=DEVICE), chosen.view(-1)
    traffic = 4 * tokens * experts + 12 * tokens * top_k

    def softmax():
        return lambda: torch.softmax(logits, -1).topk(top_k, -1)

    def sigmoid():
        return lambda: torch.sigmoid(logits).topk(top_k, -1)

    def sort():
        return lambda: torch.argsort(ids, stable=True)

    m.run("router_softmax_topk", shape, traffic, softmax, dtype="fp32", sets=1, notes="softmax + topk kernels")
    m.run("router_sigmoid_topk", shape, traffic, sigmoid, dtype="fp32", sets=1, notes="sigmoid + topk kernels")
    options = dict(dtype="int64", sets=1, notes="stable argsort of the expert ids")
    m.run("moe_argsort", shape, 16 * tokens * top_k, sort, **options)


def strided(m):
    """Element by element where operands do not lie in a row: halves of what one product gave, a factor per row; and rows
    moved by an index for each element."""
    for width in (768, 2048, 7168):
        for rows in pick([16, 256, 1024, 4096, 16384, 65536]):
            if rows * width <= 2**28:
                of_halves(m, rows, width)
                by_index(m, rows, width)


def of_halves(m, rows, width):
    shape, elements = {"rows": rows, "width": width}, rows * width

    def silu():
        gate = m.inputs.take(rows, 2 * width).chunk(2, -1)[0]
        return lambda: F.silu(gate)

    def product():
        up, factor = m.inputs.take(rows, 2 * width).chunk(2, -1)[1], m.inputs.take(rows, width)
        return lambda: factor * up

    def by_row():
        y, weights = m.inputs.take(rows, width), m.inputs.take(rows, 1)
        return lambda: y * weights

    m.run("silu_of_half", shape, 4 * elements, silu, most_sets=16)
    m.run("product_with_half", shape, 6 * elements, product, most_sets=16)
    m.run("product_by_row", shape, 4 * elements, by_row, most_sets=16)


def by_index(m, rows, width):
    shape, elements = {"rows": rows, "width": width}, rows * width
    index = torch.randint(0, max(1, rows // 8), (rows, 1), device=DEVICE).expand(rows, width)

    def gather():
        x = m.inputs.take(max(1, rows // 8), width)
        return lambda: torch.gather(x, 0, index)

    def scatter_add():
        y, out = m.inputs.take(rows, width), torch.zeros(max(1, rows // 8), width, device=DEVICE, dtype=bf16)
        return lambda: out.scatter_add_(0, index, y)

    m.run("moe_permute_gather", shape, 2 * elements + elements // 4, gather, most_sets=16)
    m.run("moe_unpermute_scatter_add", shape, 2 * elements + elements // 4, scatter_add, most_sets=16)


def embeddings(m):
    hidden = 4096
    table = torch.randn(VOCABULARY, hidden, device=DEVICE).to(bf16)
    for tokens in pick([1, 64, 1024, 4096, 16384, 65536]):
        shape = {"tokens": tokens, "hidden": hidden, "vocab": VOCABULARY}
        ids = torch.randint(0, VOCABULARY, (tokens,), device=DEVICE)

        def look_up():
            return lambda: F.embedding(ids, table)

        m.run("embedding_fwd", shape, 4 * tokens * hidden, look_up, sets=1)
        if tokens < 1024:
            continue
        gradient = m.inputs.take(tokens, hidden)

        def backward():
            return lambda: torch.ops.aten.embedding_dense_backward(gradient, ids, VOCABULARY, -1, False)

        options = dict(sets=1, graph=False, spin_us=300, notes="dense gradient zeroed, then sorted accumulation")
        m.run("embedding_bwd", shape, 2 * VOCABULARY * hidden + 4 * tokens * hidden, backward, **options)


def losses(m):
    m.outputs = None  # logits take the room
    free_memory()
    for tokens in [1024, 4096] if SMOKE else [1024, 2048, 4096, 8192, 16384]:
        for dtype, width in (("bf16", 2), ("fp32", 4)):
            cross_entropy(m, tokens, dtype, width)
            free_memory()


def cross_entropy(m, tokens, dtype, width):
    """@param width bytes of a logit"""
    logits = m.inputs.take(tokens, VOCABULARY)
    if dtype == "fp32":
        logits = logits.float()
    targets = torch.randint(0, VOCABULARY, (tokens,), device=DEVICE)
    shape, elements = {"rows": tokens, "vocab": VOCABULARY}, tokens * VOCABULARY

    def softmax():
        return lambda: torch.softmax(logits, -1)

    def forward():
        return lambda: F.cross_entropy(logits, targets)

    m.run("softmax", shape, 2 * width * elements, softmax, dtype=dtype, sets=1, flop=5 * elements)
    notes = "log_softmax (written) + nll; bytes = logits read once"
    options = dict(dtype=dtype, sets=1, flop=4 * elements)
    m.run("cross_entropy_fwd", shape, width * elements, forward, notes=notes, **options)
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_(True)
        loss = F.cross_entropy(leaf, targets)

        def backward():
            return lambda: torch.autograd.grad(loss, leaf, retain_graph=True)

        notes = "nll backward + log_softmax backward; bytes = log-probabilities read + gradient written"
        options.update(notes=notes, graph=False, spin_us=150)
        m.run("cross_entropy_bwd", shape, 2 * width * elements, backward, **options)
        if dtype != "bf16":
            return

        def both():
            return lambda: torch.autograd.grad(F.cross_entropy(leaf.float(), targets), leaf)

        notes = "float() + cross_entropy + backward to bf16; " + FUSED
        options.update(notes=notes, dtype="bf16 logits upcast", flop=8 * elements, spin_us=400)
        m.run("cross_entropy_bf16_via_fp32_fwd+bwd", shape, 4 * elements, both, **options)
