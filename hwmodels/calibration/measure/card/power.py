"""Sustained time, power and clock of kernels that run for seconds, from the board's energy counter."""
import statistics
import time

import torch
import torch.nn.functional as F

from card import triton_ops
from card.bench import (
    BOARD,
    DEVICE,
    NVML,
    SMOKE,
    Pool,
    attention_backends,
    bf16,
    buffer_sets,
    capture,
    emit,
    event,
    fp8,
    grouped_mm,
    log,
    lost,
    out_of_time,
    sync,
)
from card.gemm import scaled_mm, scales

RAMP_S = 0.35  # before the window, so that clock and power settle


def joules():
    return NVML.nvmlDeviceGetTotalEnergyConsumption(BOARD) / 1000.0


def slope(points):
    """Least squares."""
    if len(points) <= 3:
        return 0.0
    mean_x, mean_y = (statistics.fmean(values) for values in zip(*points))
    above = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return above / max(1e-9, sum((x - mean_x) ** 2 for x, _ in points))


class Pump:
    """Replays a graph without a pause, never more than three times ahead."""

    def __init__(self, graph):
        self.graph, self.replays, self.marks = graph, 0, []

    def until(self, end):
        while time.time() < end:
            self.graph.replay()
            mark = event()
            mark.record()
            self.marks.append(mark)
            self.replays += 1
            if len(self.marks) > 3:
                self.marks[-3].synchronize()


def sustain(name, graph, ops, seconds, traffic, flop, shape, dtype, notes=""):
    """Replays a graph of so many ops for so long, and writes a row."""
    warm_up, pump = Pump(graph), Pump(graph)
    warm_up.until(time.time() + RAMP_S)
    sync()
    begin, end = event(), event()
    started = time.time()
    begin.record()
    energy, clocks, watts = [], [], 0
    while time.time() < started + seconds:
        if NVML:
            energy.append((time.time(), joules()))
            clocks.append(NVML.nvmlDeviceGetClockInfo(BOARD, NVML.NVML_CLOCK_SM))
            watts = NVML.nvmlDeviceGetPowerUsage(BOARD) / 1000.0
        pump.until(min(started + seconds, time.time() + 0.08))
    end.record()
    sync()
    window = time.time() - started
    runs = pump.replays * ops
    us = begin.elapsed_time(end) * 1e3 / runs
    power, clock = slope(energy), statistics.median(clocks) if clocks else 0
    told = "power_w=%.1f; window_s=%.2f; slope of the energy counter; sm_mhz_median=%s; nvml_power_last=%.0f; %s"
    timing = dict(time_us=us, p20=us, p80=us, reps=runs, method="sustained")
    emit("power", "power:" + name, shape, dtype, timing, traffic, flop, told % (power, window, clock, watts, notes))
    rates = flop / us / 1e6, traffic / us / 1e6
    log("power %s: %.1f W, %.1f us, %.0f TFLOP/s, %.2f TB/s," % (name, power, us, *rates), "SM at", clock, "MHz")


def idle():
    if not NVML:
        return
    sync()
    time.sleep(0.1 if SMOKE else 0.6)
    before, begin = joules(), time.time()
    time.sleep(0.2 if SMOKE else 1.6)
    window = time.time() - begin
    watts, clock = (joules() - before) / window, NVML.nvmlDeviceGetClockInfo(BOARD, NVML.NVML_CLOCK_SM)
    timing = dict(time_us=window * 1e6, p20=0, p80=0, reps=1, method="idle")
    notes = "power_w=%.1f; window_s=%.2f; sm_mhz=%d; CUDA context alive, just after load" % (watts, window, clock)
    emit("power", "power:idle", {}, "", timing, 0, 0, notes)
    log("power of an idle board: %.1f W at %d MHz" % (watts, clock))


class PowerBench:
    def __init__(self, deadline, seconds):
        self.deadline, self.seconds = deadline, seconds
        self.inputs, self.outputs = Pool(3 * 2**29), Pool(2**29, fill=False)

    def run(self, name, make, ops, traffic, flop, shape, dtype="bf16", notes=""):
        """@param make gives calls that take turns. @param ops how many a graph holds; None: some 20 ms of them."""
        if out_of_time(self.deadline, "power " + name):
            return
        try:
            calls = make()
            for call in calls[:2]:
                call()
            sync()
            count = ops or ops_of(calls)

            def many():
                for i in range(count):
                    calls[i % len(calls)]()

            graph = capture(many)
            sustain(name, graph, count, self.seconds, traffic, flop, shape, dtype, notes)
            graph.reset()
        except Exception as error:
            log("power", name, str(error)[:250])
            if lost(error):
                raise

    def gemm(self, name, m, n, k, ops=None, notes="", sets=None):
        traffic = 2 * (m * k + n * k + m * n)

        def make():
            take, out = self.inputs.take, self.outputs.take
            count = sets or buffer_sets(traffic)
            operands = [(take(m, k), take(n, k).t(), out(m, n)) for _ in range(count)]
            return [(lambda a=a, b=b, c=c: torch.mm(a, b, out=c)) for a, b, c in operands]

        self.run(name, make, ops, traffic, 2 * m * n * k, {"M": m, "N": n, "K": k}, notes=notes)

    def gemm_fp8(self, name, of, m, n, k, ops=None):
        def make():
            a, b = self.inputs.take(m, k).to(fp8), self.inputs.take(n, k).to(fp8).t()
            scale_a, scale_b = scales(of, m, n, k)
            return [lambda: scaled_mm(a, b, of, scale_a, scale_b)]

        self.run(name, make, ops, m * k + n * k + 2 * m * n, 2 * m * n * k, {"M": m, "N": n, "K": k}, "e4m3")

    def grouped(self, experts, tokens, n, k, ops=None):
        rows = experts * tokens

        def make():
            ends = torch.full((experts,), tokens, device=DEVICE).cumsum(0).to(torch.int32)
            a, b = self.inputs.take(rows, k), self.inputs.take(experts, n, k).transpose(-2, -1)
            multiply = grouped_mm()
            return [lambda: multiply(a, b, offs=ends)]

        shape = {"E": experts, "tokens_per_expert": tokens, "N": n, "K": k}
        self.run("grouped_gemm_bf16", make, ops, 2 * (rows * (n + k) + experts * n * k), 2 * rows * n * k, shape)

    def attention(self, backend, length, ops=None):
        def make():
            q, k, v = (self.inputs.take(2, length, heads, 128).transpose(1, 2) for heads in (32, 8, 8))
            return [lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)]

        shape = {"B": 2, "H": 32, "KV": 8, "S": length, "D": 128}
        traffic, flop = 2 * 2 * length * 128 * 80, 2 * 32 * length**2 * 256
        self.run("attention_fwd_" + backend, make, ops, traffic, flop, shape)

    def decoding(self, backend, batch=32, length=8192):
        def make():
            take = self.inputs.take
            q, k, v = take(batch, 32, 1, 128), take(batch, 8, length, 128), take(batch, 8, length, 128)
            return [lambda: F.scaled_dot_product_attention(q, k, v, enable_gqa=True)]

        shape = {"B": batch, "H": 32, "KV": 8, "S_kv": length, "D": 128}
        traffic, flop = 2 * batch * length * 8 * 2 * 128, 4 * batch * 32 * length * 128
        self.run("attention_decode_" + backend, make, None, traffic, flop, shape)

    def copy(self, elements=2**29):
        def make():
            x, y = self.inputs.take(elements), self.outputs.take(elements)
            return [lambda: y.copy_(x)]

        notes = "1 GiB read + 1 GiB written per op"
        self.run("copy", make, 20, 4 * elements, 0, {"bytes": 2 * elements}, notes=notes)

    def add(self, elements=2**28):
        def make():
            x, y, z = self.inputs.take(elements), self.inputs.take(elements), self.outputs.take(elements)
            return [lambda: torch.add(x, y, out=z)]

        self.run("add", make, None, 6 * elements, elements, {"bytes": 2 * elements})

    def norm(self, rows=65536, hidden=4096):
        def make():
            x, y = self.inputs.take(rows, hidden), self.outputs.take(rows, hidden)
            weight = torch.randn(hidden, device=DEVICE).to(bf16)
            return [lambda: triton_ops.rms_norm(x, weight, y)]

        self.run("rmsnorm", make, 20, 4 * rows * hidden, 0, {"rows": rows, "hidden": hidden})

    def layer(self, tokens=4096):
        """Forward of one layer of Llama 8B without attention: the mix of a training stream."""

        def make():
            x, weight = self.inputs.take(tokens, 4096), torch.randn(4096, device=DEVICE).to(bf16)
            normed = torch.empty(tokens, 4096, device=DEVICE, dtype=bf16)
            inner = torch.empty(tokens, 14336, device=DEVICE, dtype=bf16)
            sizes = ((6144, 4096), (4096, 4096), (28672, 4096), (4096, 14336))
            qkv, out, gate_up, down = (self.inputs.take(*size) for size in sizes)

            def forward():
                triton_ops.rms_norm(x, weight, normed)
                F.linear(normed, qkv)
                F.linear(normed, out)
                triton_ops.rms_norm(x, weight, normed)
                triton_ops.swiglu(F.linear(normed, gate_up), inner)
                F.linear(inner, down)

            return [forward]

        flop = 2 * tokens * 4096 * (6144 + 4096 + 28672 + 14336)
        notes = "rmsnorm, qkv, o, rmsnorm, gate_up, swiglu, down; no attention"
        self.run("layer_mix_llama8b", make, 15, 0, flop, {"tokens": tokens}, notes=notes)


def ops_of(calls):
    begin, end = event(), event()
    begin.record()
    calls[0]()
    end.record()
    sync()
    return int(max(len(calls), min(400, 20e3 / max(begin.elapsed_time(end) * 1e3, 2))))


def measure(deadline):
    b = PowerBench(deadline, 0.3 if SMOKE else 1.7)
    idle()
    b.gemm("gemm_bf16", 8192, 8192, 8192, 20, "random normal data")
    b.gemm_fp8("gemm_fp8", "tensor", 8192, 8192, 8192, 40)
    b.copy()
    choose, backends = attention_backends()
    for backend in ("flash", "cudnn"):
        with choose(backends[backend]):
            b.attention(backend, 8192, 10)
    for m in (1, 64):
        b.gemm("gemv_decode_M%d" % m, m, 28672, 4096, 200, "weights rotate over 4 copies (940 MB)", sets=4)
    b.norm()
    b.grouped(8, 2048, 4096, 7168, 20)
    b.layer()
    b.gemm("gemm_bf16_M256", 256, 8192, 8192, 200)
    b.gemm("gemm_bf16_4096x4096x7168", 4096, 4096, 7168, 60)


GEMMS = [
    (16384, 4096, 4096),
    (4096, 28672, 4096),
    (4096, 4096, 14336),
    (8192, 8192, 1024),
    (8192, 8192, 2048),
    (2048, 8192, 8192),
    (1024, 8192, 8192),
    (512, 8192, 8192),
    (128, 8192, 8192),
    (64, 28672, 4096),
    (16384, 7168, 2048),
]
GEMMS_FP8 = [
    ("tensor", 4096, 4096, 7168),
    ("tensor", 4096, 7168, 2048),
    ("tensor", 1024, 8192, 8192),
    ("row", 8192, 8192, 8192),
    ("block", 8192, 8192, 8192),
    ("block", 4096, 4096, 7168),
]


def measure_shapes(deadline):
    """More of them, 0.75 s each."""
    b = PowerBench(deadline, 0.2 if SMOKE else 0.75)
    for m, n, k in GEMMS:
        b.gemm("gemm_bf16", m, n, k)
    for of, m, n, k in GEMMS_FP8:
        b.gemm_fp8("gemm_fp8_" + of, of, m, n, k)
    for experts, tokens, n, k in ((32, 512, 4096, 7168), (8, 1024, 28672, 4096)):
        b.grouped(experts, tokens, n, k)
    choose, backends = attention_backends()
    for backend in ("flash", "cudnn"):
        with choose(backends[backend]):
            b.attention(backend, 4096)
            b.decoding(backend)
    b.add()
