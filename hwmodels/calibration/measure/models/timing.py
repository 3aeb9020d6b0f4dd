"""One time from many runs of a whole model, with the clock and the power of the board meanwhile."""
import csv
import os
import statistics
import threading
import time

import torch

SAMPLE_S = 0.03
MOST_RUNS = 4000
COLUMNS = [
    *("section", "model", "layers", "mode", "batch", "length", "context", "experts", "tokens", "options", "part"),
    *("time_us", "p20_us", "p80_us", "kernels", "gpu_us", "sm_mhz", "power_w", "peak_gb", "notes"),
]
KERNEL_COLUMNS = ["section", "model", "layers", "mode", "batch", "length", "context", "experts", "tokens", "options"]
KERNEL_COLUMNS += ["kernel", "launches", "time_us"]


class Rows:
    """A CSV file; each row is on the disk when add() returns."""

    def __init__(self, path, columns):
        self.columns = columns
        self.file = open(path, "w", newline="")
        self.writer = csv.DictWriter(self.file, columns)
        self.writer.writeheader()

    def add(self, **values):
        self.writer.writerow({column: values.get(column, "") for column in self.columns})
        self.file.flush()


class Board:
    """Samples the SM clock; power is what the energy counter gained. Without NVML both are left out."""

    def __init__(self):
        self.clocks, self.sampling, self.nvml = [], False, None
        try:
            import pynvml

            pynvml.nvmlInit()
            self.nvml, self.handle = pynvml, pynvml.nvmlDeviceGetHandleByIndex(0)
            threading.Thread(target=self._sample, daemon=True).start()
        except Exception as error:
            print("no NVML:", error)

    def _sample(self):
        while True:
            if self.sampling:
                self.clocks.append(self.nvml.nvmlDeviceGetClockInfo(self.handle, self.nvml.NVML_CLOCK_SM))
            time.sleep(SAMPLE_S)

    def _joules(self):
        return self.nvml.nvmlDeviceGetTotalEnergyConsumption(self.handle) / 1e3

    def start(self):
        if self.nvml:
            self.begin, self.energy = time.time(), self._joules()
            self.clocks, self.sampling = [], True

    def stop(self):
        """@return columns of a row; the clock is a mean without the first quarter, in which it settles"""
        if not self.nvml:
            return {}
        self.sampling = False
        settled = self.clocks[len(self.clocks) // 4 :]
        watts = (self._joules() - self.energy) / max(1e-9, time.time() - self.begin)
        return dict(sm_mhz=round(statistics.mean(settled)) if settled else "", power_w=round(watts))


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def event():
    return torch.cuda.Event(enable_timing=True)


def timed(call, board, least_s):
    """Single runs back to back, the host ahead or not as it comes, for so long."""
    for _ in range(3):
        call()
    torch.cuda.synchronize()
    board.start()
    pairs, begin = [], time.time()
    while (time.time() - begin < least_s or len(pairs) < 6) and len(pairs) < MOST_RUNS:
        pair = event(), event()
        pair[0].record()
        call()
        pair[1].record()
        pairs.append(pair)
        if len(pairs) % 20 == 0:
            torch.cuda.synchronize()
    torch.cuda.synchronize()
    seen = board.stop()
    times = [a.elapsed_time(b) * 1e3 for a, b in pairs]
    return dict(
        time_us=round(statistics.median(times), 2),
        p20_us=round(quantile(times, 0.2), 2),
        p80_us=round(quantile(times, 0.8), 2),
        **seen,
    )


def graphed(call, board, least_s):
    """The same of a CUDA graph that holds one run."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return timed(graph.replay, board, least_s)


def kernels_of(call):
    """@return launches and microseconds of one run by kernel, as CUPTI saw them"""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        call()
        torch.cuda.synchronize()
    kernels = {}
    for one in profile.events():
        if one.device_type == torch.profiler.DeviceType.CUDA:
            launches, us = kernels.get(one.name, (0, 0.0))
            kernels[one.name] = launches + 1, us + one.time_range.elapsed_us()
    return kernels
