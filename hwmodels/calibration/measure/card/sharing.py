"""What kernels lose to a copy on the same GPU, as communication kernels copy: the two alone and at once, in turn, so that
both see the same clocks."""
import contextlib
import dataclasses
import math
import statistics
import typing

import torch
import torch.nn.functional as F

from card import triton_ops
from card.bench import (
    DEFAULT_BLAS,
    DEVICE,
    SMOKE,
    STREAM,
    Pool,
    attention_backends,
    bf16,
    emit,
    event,
    grouped_mm,
    log,
    lost,
    out_of_time,
    shape_text,
    spin,
    summary,
    sync,
)

REPETITIONS = 2 if SMOKE else 7
COPIED = 1 << 28  # 32-bit words
HIGH_PRIORITY = "copy on a high-priority stream; "


@dataclasses.dataclass
class Victim:
    name: str
    shape: dict
    call: typing.Callable
    flop: float
    traffic: float


@dataclasses.dataclass
class Copy:
    """A persistent copy: programs that stay on their SMs and pass over the buffer."""

    name: str
    block: int
    warps: int


HEAVY, LIGHT = Copy("heavy", 16384, 32), Copy("light", 2048, 4)


class SharingBench:
    def __init__(self, deadline):
        self.deadline = deadline
        self.inputs, self.outputs = Pool(2**30), Pool(2**29, fill=False)
        self.source = torch.randint(0, 1 << 30, (COPIED,), device=DEVICE, dtype=torch.int32)
        self.target = torch.empty(COPIED, device=DEVICE, dtype=torch.int32)
        self.victims_stream, self.copies_stream = STREAM, torch.cuda.Stream(priority=-1)

    def gemm(self, m, n, k):
        a, b, c = self.inputs.take(m, k), self.inputs.take(n, k).t(), self.outputs.take(m, n)
        shape, traffic = {"M": m, "N": n, "K": k}, 2 * (m * k + n * k + m * n)
        return Victim("gemm", shape, lambda: torch.mm(a, b, out=c), 2 * m * n * k, traffic)

    def with_copies(self, victim, copies, notes):
        for kind, programs in copies:
            if out_of_time(self.deadline, "sharing"):
                raise TimeoutError
            try:
                threads = "%d threads per copy block; " % (kind.warps * 32)
                Pair(self, victim, kind, programs).measure(notes + threads)
            except Exception as error:
                log("sharing", victim.name, victim.shape, str(error)[:300])
                if lost(error):
                    raise


class Pair:
    """A victim and a copy of so many programs."""

    def __init__(self, bench_of, victim, kind, programs):
        self.bench_of, self.victim, self.kind, self.programs = bench_of, victim, kind, programs
        self.blocks = bench_of.source.numel() // kind.block

    def copy(self, passes):
        b = self.bench_of
        block, warps = self.kind.block, self.kind.warps
        triton_ops.persistent_copy(b.source, b.target, self.blocks, passes, self.programs, block, warps)

    def victims(self, count):
        for _ in range(count):
            self.victim.call()

    def time_victims(self, count, before=None):
        """@return events round `count` of them, after `before` was launched."""
        begin, end = event(), event()
        sync()
        if before:
            before()
        with torch.cuda.stream(self.bench_of.victims_stream):
            spin(150)
            begin.record()
            self.victims(count)
            end.record()
        sync()
        return begin, end

    def time_copy(self, passes):
        """Microseconds of a pass, alone."""
        begin, end = event(), event()
        sync()
        with torch.cuda.stream(self.bench_of.copies_stream):
            spin(100)
            begin.record()
            self.copy(passes)
            end.record()
        sync()
        return begin.elapsed_time(end) * 1e3 / passes

    def victims_inside_copy(self, count, passes):
        """@return microseconds of a victim, and whether the copy ran to the end of them."""
        begin, end = event(), event()

        def start_copy():
            with torch.cuda.stream(self.bench_of.copies_stream):
                begin.record()
                self.copy(passes)
                end.record()

        first, last = self.time_victims(count, start_copy)
        return first.elapsed_time(last) * 1e3 / count, begin.elapsed_time(last) < begin.elapsed_time(end)

    def copy_inside_victims(self, count, passes):
        """@return microseconds of a pass, and whether victims ran to the end of the copy."""
        first, last, begin, end = event(), event(), event(), event()
        sync()
        with torch.cuda.stream(self.bench_of.victims_stream):
            first.record()
            self.victims(count)
            last.record()
        with torch.cuda.stream(self.bench_of.copies_stream):
            torch.cuda._sleep(300000)
            begin.record()
            self.copy(passes)
            end.record()
        sync()
        return begin.elapsed_time(end) * 1e3 / passes, first.elapsed_time(end) < first.elapsed_time(last)

    def measure(self, notes):
        with torch.cuda.stream(self.bench_of.copies_stream):
            self.copy(1)
        self.victims(2)
        begin, end = self.time_victims(4)
        victim_us, pass_us = begin.elapsed_time(end) * 1e3 / 4, self.time_copy(1)
        few = int(max(3, min(16, 2500 / victim_us)))
        long_copy = int(max(2, min(math.ceil(6.0 * few * victim_us / pass_us) + 1, 120e3 / pass_us)))
        short_copy = max(1, int(1500 / pass_us))
        many = int(min(400, math.ceil((short_copy * pass_us * 10 + 2000) / victim_us))) + 2
        alone, inside, copy_alone, copy_inside = [], [], [], []
        covered = copy_covered = 0
        for _ in range(REPETITIONS):
            begin, end = self.time_victims(few)
            alone.append(begin.elapsed_time(end) * 1e3 / few)
            us, valid = self.victims_inside_copy(few, long_copy)
            inside.append(us)
            covered += valid
            copy_alone.append(self.time_copy(short_copy))
            us, valid = self.copy_inside_victims(many, short_copy)
            copy_inside.append(us)
            copy_covered += valid
        self.write(notes, alone, inside, covered, short_copy, copy_alone, copy_inside, copy_covered)

    def write(self, notes, alone, inside, covered, passes, copy_alone, copy_inside, copy_covered):
        victim, runs = self.victim, len(alone)
        shape = dict(victim.shape, copy_blocks=self.programs, copy=self.kind.name)
        slowdown = statistics.median(inside) / statistics.median(alone)
        copy_slowdown = statistics.median(copy_inside) / statistics.median(copy_alone)
        copied = 2 * 4 * self.blocks * self.kind.block

        def row(op, dtype, times, method, traffic, flop, text):
            emit("sharing", op, shape, dtype, summary(times, method), traffic, flop, notes + text)

        work = victim.traffic, victim.flop
        row("share_%s_alone" % victim.name, "bf16", alone, "interleaved", *work, "")
        text = "slowdown=%.3f; valid=%d/%d; copy running first" % (slowdown, covered, runs)
        row("share_%s_with_copy" % victim.name, "bf16", inside, "overlap", *work, text)
        text = "persistent Triton copy; %d passes per launch" % passes
        row("share_copy_alone", "int32", copy_alone, "interleaved", copied, 0, text)
        waiting = "launched while victims run: waiting for a free SM is part of it; %d passes per launch" % passes
        text = "slowdown=%.3f; valid=%d/%d; %s" % (copy_slowdown, copy_covered, runs, waiting)
        row("share_copy_with_%s" % victim.name, "int32", copy_inside, "overlap", copied, 0, text)
        told = victim.name, shape_text(shape), statistics.median(alone), slowdown, copy_slowdown
        log("sharing %s %s: alone %.0f us, x%.3f beside the copy, which takes x%.3f" % told)


@contextlib.contextmanager
def carve_out(sms):
    """cuBLASLt leaves so many SMs free."""
    try:
        torch.backends.cuda.preferred_blas_library("cublaslt")
        torch._C._set_sm_carveout_experimental(sms)
        yield
    finally:
        torch._C._set_sm_carveout_experimental(None)
        torch.backends.cuda.preferred_blas_library(DEFAULT_BLAS)


def persistent_gemms(b):
    for m, n, k in ((8192, 8192, 8192), (4096, 4096, 7168)):
        x, w, y = b.inputs.take(m, k), b.inputs.take(n, k), b.outputs.take(m, n)
        for programs in (132, 112):
            victim = Victim(
                "tritongemm",
                {"M": m, "N": n, "K": k, "programs": programs},
                lambda: triton_ops.persistent_gemm(x, w, y, programs),
                2 * m * n * k,
                2 * (m * k + n * k + m * n),
            )
            yield victim


def norm(b):
    x, y, weight = b.inputs.take(32768, 4096), b.outputs.take(32768, 4096), torch.randn(4096, device=DEVICE).to(bf16)
    shape, elements = {"rows": 32768, "hidden": 4096}, 32768 * 4096
    return Victim("rmsnorm", shape, lambda: triton_ops.rms_norm(x, weight, y), 4 * elements, 4 * elements)


def attention(b, backend):
    q, k, v = (b.inputs.take(1, 8192, heads, 128).transpose(1, 2) for heads in (32, 8, 8))
    shape = {"B": 1, "H": 32, "KV": 8, "S": 8192, "D": 128}

    def call():
        return F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)

    return Victim("attn_fwd_" + backend, shape, call, 32 * 8192**2 * 256, 2 * 8192 * 128 * 80)


def grouped(b):
    multiply, experts, tokens, n, k = grouped_mm(), 8, 1024, 4096, 7168
    ends = torch.full((experts,), tokens, device=DEVICE).cumsum(0).to(torch.int32)
    x, weights = b.inputs.take(experts * tokens, k), b.inputs.take(experts, n, k).transpose(-2, -1)
    shape = {"E": experts, "tokens_per_expert": tokens, "N": n, "K": k}
    rows = experts * tokens
    traffic = 2 * (rows * (n + k) + experts * n * k)
    return Victim("grouped_gemm", shape, lambda: multiply(x, weights, offs=ends), 2 * rows * n * k, traffic)


def green_streams(copy_sms):
    """Streams of two green contexts with SMs of their own.

    @return the stream of the copy, its SMs, the stream of the others, theirs"""
    from cuda.bindings import driver as d

    def checked(result):
        if int(result[0]) != 0:
            raise RuntimeError("driver call failed: %s" % (result[0],))
        return result[1] if len(result) == 2 else result[1:]

    device = checked(d.cuDeviceGet(0))
    sms = checked(d.cuDeviceGetDevResource(device, d.CUdevResourceType.CU_DEV_RESOURCE_TYPE_SM))
    groups, _, rest = checked(d.cuDevSmResourceSplitByCount(1, sms, 0, copy_sms))

    def stream(resource):
        description = checked(d.cuDevResourceGenerateDesc([resource], 1))
        flags = d.CUgreenCtxCreate_flags.CU_GREEN_CTX_DEFAULT_STREAM
        context = checked(d.cuGreenCtxCreate(description, device, flags))
        handle = checked(d.cuGreenCtxStreamCreate(context, d.CUstream_flags.CU_STREAM_NON_BLOCKING, 0))
        return torch.cuda.ExternalStream(int(handle))

    return stream(groups[0]), groups[0].sm.smCount, stream(rest), rest.sm.smCount


def measure(deadline):
    b = SharingBench(deadline)
    gemms = [b.gemm(8192, 8192, 8192), b.gemm(4096, 4096, 7168), b.gemm(4096, 7168, 4096)]
    both = [(HEAVY, 20), (LIGHT, 20)]
    for victim in gemms:
        sizes = both + [(HEAVY, 8), (HEAVY, 40), (LIGHT, 8), (LIGHT, 40)]
        b.with_copies(victim, sizes, HIGH_PRIORITY + "cuBLAS default; ")
    for sms in (20, 24, 32):
        with carve_out(sms):
            for victim in gemms[:2]:
                b.with_copies(victim, both, HIGH_PRIORITY + "cuBLASLt with SM carve-out %d; " % sms)
    for victim in persistent_gemms(b):
        b.with_copies(victim, both, HIGH_PRIORITY + "persistent Triton GEMM without clusters; ")
    b.with_copies(norm(b), both + [(HEAVY, 8), (HEAVY, 40)], HIGH_PRIORITY)
    choose, backends = attention_backends()
    for backend in ("flash", "cudnn"):
        with choose(backends[backend]):
            b.with_copies(attention(b, backend), both, HIGH_PRIORITY)
    b.with_copies(grouped(b), both, HIGH_PRIORITY)
    b.copies_stream, copy_sms, b.victims_stream, gemm_sms = green_streams(24)
    notes = "green contexts: %d SMs for the copy and %d for cuBLASLt with carve-out %d; "
    with carve_out(copy_sms):
        for victim in gemms:
            b.with_copies(victim, [(HEAVY, copy_sms), (LIGHT, copy_sms)], notes % (copy_sms, gemm_sms, copy_sms))
