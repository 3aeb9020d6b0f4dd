"""What the host adds: launches, CUDA graphs, eager operators, copies between host and device."""
import time

import torch
import torch.nn as nn
import torch.nn.functional as F

from card.bench import (
    DEVICE,
    SMOKE,
    bench,
    bf16,
    capture,
    emit,
    event,
    log,
    new_graph_pool,
    pick,
    spin,
    summary,
    sync,
)

RUNS = 5 if SMOKE else 30


def row(name, times, method, notes, count=1):
    emit("launches", name, {"n": count}, "", summary(times, method), 0, 0, notes)


def host_times(call, count):
    """Microseconds of the host for one of `count` calls in a row, several times."""
    times = []
    for _ in range(RUNS):
        sync()
        begin = time.perf_counter()
        for _ in range(count):
            call()
        times.append((time.perf_counter() - begin) * 1e6 / count)
    return times


def event_pairs():
    """What an event pair adds; the GPU is kept busy before, so that the host is ahead."""
    x = torch.randn(1024, device=DEVICE)
    for name, call in (("event_pair_empty", lambda: None), ("event_pair_tiny_add", lambda: x.add_(1.0))):
        times = []
        for _ in range(RUNS):
            begin, end = event(), event()
            spin(50)
            begin.record()
            call()
            end.record()
            sync()
            times.append(begin.elapsed_time(end) * 1e3)
        row(name, times, "event", "offset to subtract from rows with method=event")


def eager(name, call, count=200):
    for _ in range(20):
        call()
    sync()
    host, gpu = [], []
    for _ in range(RUNS):
        begin, end = event(), event()
        sync()
        started = time.perf_counter()
        begin.record()
        for _ in range(count):
            call()
        end.record()
        host.append((time.perf_counter() - started) * 1e6 / count)
        sync()
        gpu.append(begin.elapsed_time(end) * 1e3 / count)
    row("eager_host_per_op:" + name, host, "host", "host time to enqueue one eager op (no_grad), 200 in a row", count)
    notes = "GPU wall per kernel in an eager stream of 200 (launch-bound if = host)"
    row("eager_gpu_per_op:" + name, gpu, "event", notes, count)


def in_graphs(name, call):
    for count in (200, 1000):

        def many():
            for _ in range(count):
                call()

        graph = capture(many)
        graph.replay()
        sync()
        gpu, host = [], []
        for _ in range(RUNS):
            begin, end = event(), event()
            spin(50)
            begin.record()
            started = time.perf_counter()
            graph.replay()
            host.append((time.perf_counter() - started) * 1e6)
            end.record()
            sync()
            gpu.append(begin.elapsed_time(end) * 1e3 / count)
        notes = "kernel + gap inside one graph replay"
        row("graph_gpu_per_kernel:" + name, gpu, "graph%d" % count, notes, count)
        row("graph_replay_host:" + name, host, "host", "host time of one replay()", count)
        graph.reset()


def alone(name, call):
    """Durations as CUPTI reports them."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        for _ in range(50):
            call()
        sync()
    times = [
        e.device_time_total if hasattr(e, "device_time_total") else e.cuda_time_total
        for e in profiled.events()
        if "CUDA" in str(getattr(e, "device_type", ""))
    ]
    times = [us for us in times if us > 0]
    if times:
        row("kernel_duration_cupti:" + name, times, "cupti", "duration of the kernel alone")


def tiny_kernels():
    x = torch.randn(1024, device=DEVICE)
    rows = torch.randn(4, 1024, device=DEVICE).to(bf16)
    weight = torch.randn(1024, device=DEVICE).to(bf16)
    matrix = torch.randn(64, 64, device=DEVICE).to(bf16)
    product = torch.empty_like(matrix)
    kernels = {
        "add_f32_1024": lambda: x.add_(1.0),
        "mm_bf16_64": lambda: torch.mm(matrix, matrix, out=product),
        "copy_bf16_4x1024": lambda: rows.clone(),
        "rms_norm_4x1024": lambda: F.rms_norm(rows, (1024,), weight, 1e-5),
    }
    for name, call in kernels.items():
        eager(name, call)
        for measure in (in_graphs, alone):
            try:
                measure(name, call)
            except Exception as error:
                log("launches", measure.__name__, name, str(error)[:200])


def host_costs():
    """Of common eager operators, without autograd and with it."""
    rows = torch.randn(4, 1024, device=DEVICE).to(bf16)
    heads = torch.randn(1, 8, 16, 64, device=DEVICE).to(bf16)
    linear = nn.Linear(1024, 1024, bias=False).to(DEVICE).to(bf16)
    operators = {
        "empty": lambda: torch.empty(16, device=DEVICE),
        "view": lambda: rows.view(2, 2048),
        "linear_nograd": lambda: linear(rows),
        "sdpa_nograd": lambda: F.scaled_dot_product_attention(heads, heads, heads, is_causal=True),
        "silu": lambda: F.silu(rows),
        "mul": lambda: rows * rows,
        "cat": lambda: torch.cat([rows, rows]),
        "to_f32": lambda: rows.float(),
    }
    for name, call in operators.items():
        try:
            for _ in range(10):
                call()
            row("host_op:" + name, host_times(call, 100), "host", "host time to enqueue", 100)
        except Exception as error:
            log("launches", name, error)
    try:
        autograd(linear, rows)
    except Exception as error:
        log("launches autograd", error)


def autograd(linear, rows, count=50):
    forward, backward = [], []
    with torch.enable_grad():
        leaf = rows.clone().requires_grad_(True)
        for _ in range(RUNS):
            sync()
            begin = time.perf_counter()
            results = [linear(leaf) for _ in range(count)]
            forward.append((time.perf_counter() - begin) * 1e6 / count)
            total = results[0]
            for result in results[1:]:
                total = total + result
            total = total.sum()
            begin = time.perf_counter()
            total.backward()
            backward.append((time.perf_counter() - begin) * 1e6 / count)
    notes = "host time to enqueue with autograd recording"
    row("host_op:linear_autograd_fwd", forward, "host", notes, count)
    notes = "host wall of backward per linear (2 GEMMs + accumulate + add)"
    row("host_op:linear_autograd_bwd", backward, "host", notes, count)


def one_launch():
    x, times = torch.randn(1024, device=DEVICE), []
    for _ in range(RUNS):
        sync()
        begin = time.perf_counter()
        x.add_(1.0)
        sync()
        times.append((time.perf_counter() - begin) * 1e6)
    row("launch_to_sync_latency", times, "host", "enqueue one tiny kernel on an idle GPU and wait for it")
    try:
        from card import triton_ops

        x, weight = torch.randn(4, 4096, device=DEVICE).to(bf16), torch.randn(4096, device=DEVICE).to(bf16)
        y = torch.empty_like(x)
        triton_ops.rms_norm(x, weight, y)
        times = host_times(lambda: triton_ops.rms_norm(x, weight, y), 100)
        row("host_op:triton_launch", times, "host", "host time to launch one Triton kernel", 100)
    except Exception as error:
        log("launches triton", str(error)[:300])


def copies():
    for size in pick([1 << 12, 1 << 16, 1 << 20, 1 << 24, 1 << 28]):
        try:
            host = torch.empty(size, dtype=torch.uint8, pin_memory=True)
            device = torch.empty(size, dtype=torch.uint8, device=DEVICE)
            for name, call in (
                ("h2d_pinned", lambda: device.copy_(host, non_blocking=True)),
                ("d2h_pinned", lambda: host.copy_(device, non_blocking=True)),
            ):
                timing = bench([call], graph=False, flush=False, spin_us=30, maxms=60)
                emit("launches", name, {"bytes": size}, "", timing, size, 0, "over PCIe")
        except Exception as error:
            log("launches copy", error)


def measure(deadline):
    event_pairs()
    tiny_kernels()
    host_costs()
    one_launch()
    copies()
    new_graph_pool()
