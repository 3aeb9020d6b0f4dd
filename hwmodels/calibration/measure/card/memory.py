"""Kernels that only move memory."""
from card.memory_bench import MemoryBench, OutOfTime
from card.memory_layers import activations, casts, copies_and_adds, optimizers, rms_norms, rotary, transposes
from card.memory_tokens import embeddings, losses, permutes, strided


def measure(deadline):
    m = MemoryBench(deadline)
    try:
        for family in (
            copies_and_adds,
            rms_norms,
            activations,
            rotary,
            casts,
            transposes,
            optimizers,
            permutes,
            embeddings,
            losses,
        ):
            family(m)
    except OutOfTime:
        pass


def measure_permutes(deadline):
    """Those of the MoE layers alone; part of measure() as well."""
    try:
        permutes(MemoryBench(deadline))
    except OutOfTime:
        pass


def measure_strided(deadline):
    """PyTorch's kernels for operands that do not lie in a row; only where it is asked for."""
    try:
        strided(MemoryBench(deadline))
    except OutOfTime:
        pass
