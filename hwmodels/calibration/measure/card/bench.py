"""What every section is measured with: the GPU, its graphs and buffers, and one time from many runs.

Imported by the worker alone: importing it opens the GPU."""
import gc
import math
import os
import statistics
import time

import torch
import torch.nn.functional as F

from card.files import COLUMNS, RowFile, log

DEVICE = "cuda"
SMOKE = os.environ.get("MEAS_MODE", "smoke") == "smoke"  # few sizes, few repetitions
COOL = bool(os.environ.get("MEAS_COOL"))  # every burst at full clock, so that compute-bound rows share one clock
FULL_CLOCK_MHZ = 1950

bf16 = torch.bfloat16
fp8 = torch.float8_e4m3fn

torch.set_grad_enabled(False)
STREAM = torch.cuda.Stream()
torch.cuda.set_stream(STREAM)
DEFAULT_BLAS = torch.backends.cuda.preferred_blas_library()
FLUSH = torch.empty(1 << 25, dtype=torch.int32, device=DEVICE)  # 128 MiB: more than the L2 cache holds
ROWS = RowFile("kernels_raw.csv", COLUMNS)
try:
    import pynvml as NVML

    NVML.nvmlInit()
    BOARD = NVML.nvmlDeviceGetHandleByIndex(0)
except Exception as error:
    NVML = BOARD = None
    log("pynvml", error)

graph_pool = graph_pool_owner = None
failed_captures = {}  # by key of time_once
last_clock = ""


# The device.


def event():
    return torch.cuda.Event(enable_timing=True)


def sync():
    torch.cuda.synchronize()


def spin(microseconds):
    """Keeps the GPU busy, so that the host can run ahead."""
    torch.cuda._sleep(int(microseconds * 1700))


def lost(error):
    """Whether the GPU is lost to this process: nothing after such an error can be measured."""
    return "CUDA error" in str(error)


def new_graph_pool():
    """A memory pool for graphs, kept alive by a graph that does nothing, so that captures reuse its blocks."""
    global graph_pool, graph_pool_owner
    if graph_pool_owner is not None:
        graph_pool_owner.reset()
        graph_pool_owner = None
    gc.collect()
    torch.cuda.empty_cache()
    graph_pool = torch.cuda.graph_pool_handle()
    x = torch.ones(16, device=DEVICE)
    sync()
    graph = torch.cuda.CUDAGraph()
    graph.capture_begin(pool=graph_pool, capture_error_mode="thread_local")
    x.add_(1)
    graph.capture_end()
    graph_pool_owner = graph


def capture(work):
    graph = torch.cuda.CUDAGraph()
    graph.capture_begin(pool=graph_pool, capture_error_mode="thread_local")
    try:
        work()
    finally:
        graph.capture_end()
    return graph


# One time from many runs.


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, max(0, int(round(share * (len(values) - 1)))))]


def summary(times, method):
    """@param times in microseconds"""
    return dict(
        time_us=statistics.median(times),
        p20=quantile(times, 0.2),
        p80=quantile(times, 0.8),
        reps=len(times),
        method=method,
    )


def wait_for_full_clock():
    if not (COOL and NVML):
        return
    for _ in range(50):
        if NVML.nvmlDeviceGetClockInfo(BOARD, NVML.NVML_CLOCK_SM) >= FULL_CLOCK_MHZ:
            return
        time.sleep(0.004)


def note_clock():
    global last_clock
    last_clock = NVML.nvmlDeviceGetClockInfo(BOARD, NVML.NVML_CLOCK_SM) if COOL and NVML else ""


def bench(calls, **options):
    """time_once() again where it looks wrong: a host that stalls shows as spread, or as an event pair round a short op."""

    def quality(timing):
        return timing["method"].startswith("graph"), -timing["p80"] / max(timing["p20"], 1e-9)

    best = None
    for _ in range(1 if SMOKE else 3):
        wait_for_full_clock()
        begin = time.time()
        timing = time_once(calls, **options)
        if COOL:
            time.sleep(min(0.08, time.time() - begin))
        if best is None or quality(timing) > quality(best):
            best = timing
        noisy = timing["p80"] > 1.10 * timing["p20"] + 1.0 and timing["time_us"] < 3000
        wrong = options.get("graph", True) and timing["method"] == "event" and timing["p20"] < 270
        if not (noisy or wrong):
            break
    return best


def time_once(
    calls,
    graph=True,
    reps=20,
    maxms=120.0,
    minreps=5,
    flush=True,
    target_us=400.0,
    gmax_us=300.0,
    spin_us=60,
    key=None,
):
    """Short ops: the time of one inside a CUDA graph of many; long ones: event pairs.

    @param calls do the same on rotating sets of buffers. @param graph whether a CUDA graph may be tried, for ops of
    up to `gmax_us`; a graph holds about `target_us` of them. @param reps, minreps, maxms repetitions, and the time that
    they may take. @param flush empty the L2 cache before each event pair. @param spin_us head start of the host.
    @param key ops whose capture failed three times are not captured again."""
    if SMOKE:
        reps, maxms, minreps = 3, 20.0, 2
    if COOL:
        reps, maxms, minreps = 16, min(maxms, 24.0), min(minreps, 4)
    sets = len(calls)
    calls[0]()
    if sets > 1:
        calls[1]()
    begin, end = event(), event()

    def estimate(runs):
        spin(40 + 12 * runs)
        begin.record()
        for i in range(runs):
            calls[i % sets]()
        end.record()
        sync()
        return max(begin.elapsed_time(end) * 1e3 / runs, 0.8)

    estimated_us = estimate(1)
    if graph and estimated_us < 320:
        estimated_us = estimate(12)
    if graph and estimated_us < gmax_us and failed_captures.get(key, 0) < 3:
        try:
            return in_graph(calls, int(min(max(target_us / estimated_us, sets, 4), 300)), reps)
        except Exception as error:
            log("graph capture failed", key, str(error)[:150])
            failed_captures[key] = failed_captures.get(key, 0) + 1
            sync()
    reps = int(max(minreps, min(reps, maxms * 1e3 / estimated_us)))
    pairs = [(event(), event()) for _ in range(reps)]
    for i, (begin, end) in enumerate(pairs):
        if flush:
            FLUSH.fill_(i)
        spin(spin_us)
        begin.record()
        calls[i % sets]()
        end.record()
    note_clock()
    sync()
    return dict(summary([begin.elapsed_time(end) * 1e3 for begin, end in pairs], "event"), clk=last_clock)


def in_graph(calls, ops, reps):
    def many():
        for i in range(ops):
            calls[i % len(calls)]()

    graph = capture(many)
    graph.replay()
    spin(30)
    marks = [event() for _ in range(reps + 1)]
    graph.replay()
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    note_clock()
    sync()
    times = [a.elapsed_time(b) * 1e3 / ops for a, b in zip(marks, marks[1:])]
    graph.reset()
    return dict(summary(times, "graph%d" % ops), clk=last_clock)


# Rows and buffers.


def shape_text(shape):
    return " ".join("%s=%s" % pair for pair in shape.items())


def emit(section, op, shape, dtype, timing, traffic, flop, notes="", l2=""):
    """@param traffic least bytes: each input and each output once. @param timing what bench() gives."""
    us = timing["time_us"]
    ROWS.row(
        section=section,
        op=op,
        shape=shape_text(shape),
        dtype=dtype,
        time_us="%.4g" % us if us < 1000 else "%.1f" % us,
        bytes=int(traffic),
        flops=int(flop),
        notes=notes,
        method=timing["method"],
        l2=l2,
        reps=timing["reps"],
        p20_us="%.5g" % timing["p20"],
        p80_us="%.5g" % timing["p80"],
        sm_mhz=timing.get("clk", ""),
    )


class Pool:
    """A large random buffer from which inputs are cut as views, so that no configuration waits for random numbers."""

    def __init__(self, elements, dtype=None, fill=True):
        self.buffer = torch.empty(elements, dtype=dtype or bf16, device=DEVICE)
        self.elements = elements
        self.offset = 0
        if fill:
            for i in range(0, elements, 1 << 28):
                self.buffer[i : i + (1 << 28)].normal_()

    def take(self, *shape):
        wanted = math.prod(int(size) for size in shape)
        if wanted > self.elements:
            raise ValueError("pool too small for %s" % (shape,))
        if self.offset + wanted > self.elements:
            self.offset = 0
        view = self.buffer[self.offset : self.offset + wanted].view(shape)
        self.offset += (wanted + 1023) // 1024 * 1024
        if self.offset >= self.elements:
            self.offset = 0
        return view


def buffer_sets(traffic, most=16):
    """How many sets of buffers hold more than the L2 cache."""
    return int(max(1, min(most, math.ceil(160e6 / traffic))))


def l2_state(sets, traffic):
    return "cold" if sets * traffic >= 100e6 else "warm"


def pick(values):
    """All of them; in a smoke run the first, one in the middle and the last."""
    values = list(values)
    if not SMOKE or len(values) <= 2:
        return values
    return [values[0], values[len(values) // 2], values[-1]]


def out_of_time(deadline, what=""):
    if time.time() > deadline:
        log("budget over at", what)
        return True
    return False


def relative_error(a, b):
    a, b = a.float(), b.float()
    return float((a - b).norm() / (b.norm() + 1e-30))


# Operators that several sections use.


def grouped_mm():
    return getattr(torch, "_grouped_mm", None) or F.grouped_mm


def attention_backends():
    """@return the context that chooses one, and those that are measured."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel, {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}


def rope_tables(tokens, dim, dtype):
    """@return cosines and sines, [tokens, dim / 2] each"""
    positions = torch.arange(tokens, device=DEVICE, dtype=torch.float32)
    inverse = 500000.0 ** (-torch.arange(0, dim, 2, device=DEVICE, dtype=torch.float32) / dim)
    angles = torch.outer(positions, inverse)
    return angles.cos().to(dtype), angles.sin().to(dtype)
