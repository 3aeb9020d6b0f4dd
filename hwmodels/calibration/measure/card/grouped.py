"""Products of experts, several with one launch, under even and uneven loads."""
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
    grouped_mm,
    l2_state,
    log,
    lost,
    out_of_time,
    pick,
    relative_error,
)

LAYERS = [  # model, layer, N (out), K (in)
    ("dsv3", "gate_up", 4096, 7168),
    ("dsv3", "down", 7168, 2048),
    ("mixtral", "gate_up", 28672, 4096),
    ("mixtral", "down", 4096, 14336),
    ("qwen3_235b", "gate_up", 3072, 4096),
    ("qwen3_235b", "down", 4096, 1536),
]
TOKENS_PER_EXPERT = [128, 32, 512, 8, 2048]
EXPERTS = [8, 32, 2, 16, 4]
# Many experts with few rows each, and few with many: (experts, rows of one in the mean).
MANY_EXPERTS = [(256, 1), (256, 4), (256, 32), (256, 128), (128, 2), (128, 8), (128, 64), (128, 512)]
MANY_EXPERTS += [(64, 1), (64, 16), (64, 192), (32, 4), (32, 64), (32, 129), (32, 512), (16, 16), (16, 256)]
MANY_EXPERTS += [(16, 1024), (8, 1), (8, 8), (8, 64), (8, 128), (8, 256), (8, 2048), (2, 8), (2, 1024)]
MANY_EXPERTS_LAYERS = [LAYERS[0], LAYERS[1], LAYERS[4], LAYERS[5]]
MANY_EXPERTS_LAYERS += [("qwen3_30b", "gate_up", 1536, 2048), ("qwen3_30b", "down", 2048, 768)]
MOST_WEIGHTS = 2**33  # elements: 17 GB
SKEWS = {"fwd": (0, 0.6, 1.2), "dgrad": (0, 0.8), "wgrad": (0, 0.8)}


def loads_of_experts(experts, mean, skew):
    """Tokens of each; with a skew they fall as a power of the expert's rank, in no order."""
    total = experts * mean
    if skew == 0:
        return [mean] * experts
    shares = [(i + 1.0) ** -skew for i in range(experts)]
    loads = [int(total * share / sum(shares)) for share in shares]
    i = 0
    while sum(loads) < total:
        loads[i % experts] += 1
        i += 1
    return [loads[(j * 7 + 3) % experts if experts % 7 else j] for j in range(experts)]


def ends_of(loads):
    return torch.tensor(loads, device=DEVICE).cumsum(0).to(torch.int32)


def check(multiply):
    try:
        loads, n, k = [8, 40, 0, 48], 256, 128
        x = torch.randn(sum(loads), k, device=DEVICE).to(bf16)
        weights = torch.randn(len(loads), n, k, device=DEVICE).to(bf16)
        y = multiply(x, weights.transpose(-2, -1), offs=ends_of(loads))
        expected = torch.cat([rows.float() @ weights[i].float().t() for i, rows in enumerate(x.split(loads))])
        log("grouped products against PyTorch: relative error %.1e" % relative_error(y, expected))
    except Exception as error:
        log("grouped products not checked:", str(error)[:300])


class GroupedBench:
    def __init__(self, deadline, elements=2**32):
        self.deadline = deadline
        self.inputs = Pool(elements)
        self.multiply = grouped_mm()
        self.failures = {}  # by pass; after two it is left out

    def one(self, model, layer, n, k, experts, mean, skew, of):
        loads = loads_of_experts(experts, mean, skew)
        if of == "wgrad":
            loads = [(load + 7) // 8 * 8 for load in loads]  # 16 bytes of a row
        total, ends = sum(loads), ends_of(loads)
        busy = experts if of == "wgrad" else sum(1 for load in loads if load)
        traffic = 2 * (total * (n + k) + busy * n * k)
        sets = buffer_sets(traffic)
        take = self.inputs.take
        if of == "fwd":
            operands = [(take(total, k), take(experts, n, k).transpose(-2, -1)) for _ in range(sets)]
        elif of == "dgrad":
            operands = [(take(total, n), take(experts, n, k)) for _ in range(sets)]
        else:
            operands = [(take(total, n).t(), take(total, k)) for _ in range(sets)]
        calls = [(lambda a=a, b=b: self.multiply(a, b, offs=ends)) for a, b in operands]
        timing = bench(calls, key="gmm" + of, maxms=60.0)
        shape = {"E": experts, "tokens_per_expert": mean, "N": n, "K": k, "skew": skew}
        most_over_mean = max(loads) / (total / experts)
        listed = "/".join(map(str, loads)) if skew else "%d each" % mean
        notes = "%s %s; max_mean=%.3f; loads=%s" % (model, layer, most_over_mean, listed)
        state = l2_state(sets, traffic)
        emit("grouped", "grouped_gemm_" + of, shape, "bf16", timing, traffic, 2 * total * n * k, notes, state)

    def guarded(self, *case):
        of = case[-1]
        if self.failures.get(of, 0) > 1:
            return
        try:
            self.one(*case)
        except Exception as error:
            log("grouped", case, str(error)[:300])
            self.failures[of] = self.failures.get(of, 0) + 1
            if lost(error):
                raise

    def all_of(self, of):
        """@return whether there was time for all of them."""
        for mean in pick(TOKENS_PER_EXPERT):
            for experts in pick(EXPERTS):
                for model, layer, n, k in LAYERS[:4] if SMOKE else LAYERS:
                    for skew in SKEWS[of]:
                        if out_of_time(self.deadline, "grouped %s T=%d" % (of, mean)):
                            return False
                        if model != "mixtral" or experts <= 8:
                            self.guarded(model, layer, n, k, experts, mean, skew, of)
        return True

    def many_experts(self):
        """Both layouts of the weights: read along K ("fwd") and along N ("dgrad")."""
        for experts, mean in pick(MANY_EXPERTS):
            for model, layer, n, k in MANY_EXPERTS_LAYERS:
                for of, skew in (("fwd", 0), ("dgrad", 0), ("dgrad", 1.0)):
                    if out_of_time(self.deadline, "many experts E=%d T=%d" % (experts, mean)):
                        return
                    if skew == 0 or (mean >= 8 and experts >= 8 and model != "qwen3_235b"):
                        self.guarded(model, layer, n, k, experts, mean, skew, of)

    def one_fp8(self, model, layer, n, k, experts, mean):
        loads = loads_of_experts(experts, mean, 0)
        total, ends = sum(loads), ends_of(loads)
        traffic = total * k + experts * n * k + 2 * total * n
        sets = buffer_sets(traffic)
        scale_a, scale_b = torch.rand(total, device=DEVICE), torch.rand(experts, n, device=DEVICE)

        def call():
            a = self.inputs.take(total, k).to(fp8)
            b = self.inputs.take(experts, n, k).to(fp8).transpose(-2, -1)
            options = dict(offs=ends, out_dtype=bf16, use_fast_accum=True)
            return lambda: torch._scaled_grouped_mm(a, b, scale_a, scale_b, **options)

        timing = bench([call() for _ in range(sets)], key="gmm8", maxms=60.0)
        shape = {"E": experts, "tokens_per_expert": mean, "N": n, "K": k, "skew": 0}
        notes, flop = "%s %s; rowwise scales" % (model, layer), 2 * total * n * k
        state = l2_state(sets, traffic)
        emit("grouped", "grouped_gemm_fp8row_fwd", shape, "e4m3xe4m3->bf16", timing, traffic, flop, notes, state)

    def all_of_fp8(self):
        """Rowwise scales, forward only."""
        try:
            for model, layer, n, k in LAYERS[:2]:
                for experts in pick([8, 32, 2]):
                    for mean in pick([8, 32, 128, 512, 2048]):
                        if out_of_time(self.deadline - 6, "grouped fp8"):
                            return
                        self.one_fp8(model, layer, n, k, experts, mean)
        except Exception as error:
            log("grouped fp8", str(error)[:300])
            if lost(error):
                raise


def measure(deadline):
    bench_of = GroupedBench(deadline)
    check(bench_of.multiply)
    if not bench_of.all_of("fwd"):
        return
    bench_of.all_of_fp8()
    bench_of.all_of("dgrad") and bench_of.all_of("wgrad")


def measure_many_experts(deadline):
    bench_of = GroupedBench(deadline, MOST_WEIGHTS)
    check(bench_of.multiply)
    bench_of.many_experts()
