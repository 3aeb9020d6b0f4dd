"""How kernels that only move memory are measured: over sizes, on buffers that do not stay in the L2 cache."""
import gc

import torch

from card.bench import Pool, bench, buffer_sets, emit, l2_state, log, lost, out_of_time, pick

SIZES = pick([2**k for k in (12, 14, 16, *range(17, 32))])  # bytes of a tensor
FUSED = "bytes = ideal fused traffic"


class OutOfTime(Exception):
    """The section's budget is spent."""


class MemoryBench:
    def __init__(self, deadline):
        self.deadline = deadline
        self.inputs = Pool(2**31 + 2**29)
        self.outputs = Pool(2**31, fill=False)
        self.failures = {}  # by op; after two it is left out
        try:
            from card import triton_ops

            self.triton = triton_ops
            triton_ops.check_kernels()
        except Exception as error:
            log("Triton unavailable", str(error)[:300])
            self.triton = None

    def run(
        self,
        op,
        shape,
        traffic,
        make,
        dtype="bf16",
        flop=0,
        notes="",
        graph=True,
        most_sets=64,
        warm=False,
        sets=None,
        maxms=60.0,
        **timing_options,
    ):
        """@param make makes one call on buffers of its own; `sets` of them take turns, by default as many as overflow
        the L2 cache, with `warm` one."""
        if out_of_time(self.deadline, op):
            raise OutOfTime
        if self.failures.get(op, 0) >= 2:
            return
        try:
            sets = sets or (1 if warm else buffer_sets(traffic, most_sets))
            calls = [make() for _ in range(sets)]
            timing = bench(calls, graph=graph, key=op, maxms=maxms, **timing_options)
            l2 = "warm" if warm else l2_state(sets, traffic) if timing["method"] != "event" else "cold"
            emit("memory", op, shape, dtype, timing, traffic, flop, notes, l2)
        except torch.cuda.OutOfMemoryError:
            log("out of memory", op, shape)
            free_memory()
        except Exception as error:
            self.failures[op] = self.failures.get(op, 0) + 1
            log("memory", op, shape, str(error)[:300])
            if lost(error):
                raise


def free_memory():
    gc.collect()
    torch.cuda.empty_cache()
