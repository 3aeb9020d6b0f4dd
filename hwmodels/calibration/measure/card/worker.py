"""Runs sections one after the other in a process of their own: what loses the GPU ends the worker, not the measurement."""
import json
import os
import subprocess
import sys
import time
import traceback

import torch

from card import attention, bench, gemm, grouped, launches, memory
from card.bench import DEVICE, ROWS, log, new_graph_pool, sync
from card.files import OUT, note_progress


def power(deadline):
    from card import power as section

    section.measure(deadline)


def power_of_shapes(deadline):
    from card import power as section

    section.measure_shapes(deadline)


def paged(deadline):
    from card import paged as section

    section.measure(deadline)


def sharing(deadline):
    from card import sharing as section

    section.measure(deadline)


# Those that cannot do without Triton are imported when their turn comes.
SECTIONS = {
    "launches": launches.measure,
    "gemm": gemm.measure,
    "gemm_fp8": gemm.measure_fp8,
    "memory": memory.measure,
    "grouped": grouped.measure,
    "attention": attention.measure,
    "paged": paged,
    "permutes": memory.measure_permutes,
    "strided": memory.measure_strided,
    "many_experts": grouped.measure_many_experts,
    "power": power,
    "power_of_shapes": power_of_shapes,
    "sharing": sharing,
}


def output_of(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=15).stdout[:5000]
    except Exception:
        return ""


def write_machine():
    """What was measured on, beside the rows."""
    gpu = torch.cuda.get_device_properties(0)
    machine = dict(
        blas=str(bench.DEFAULT_BLAS),
        time=time.time(),
        torch=torch.__version__,
        cuda=str(torch.version.cuda),
        cudnn=str(torch.backends.cudnn.version()),
        python=sys.version,
        gpu=dict(
            name=str(gpu.name),
            sms=int(gpu.multi_processor_count),
            memory=int(gpu.total_memory),
            compute="%s.%s" % (gpu.major, gpu.minor),
        ),
        nvidia_smi=output_of("nvidia-smi", "-q", "-d", "CLOCK,POWER,TEMPERATURE"),
        cpu=output_of("lscpu"),
        packages=output_of(sys.executable, "-m", "pip", "list"),
    )
    with open(os.path.join(OUT, "meta.json"), "w") as file:
        json.dump(machine, file, indent=1)


def still_works():
    try:
        torch.set_grad_enabled(False)
        new_graph_pool()
        sync()
        return float(torch.ones(4, device=DEVICE).sum()) == 4.0
    except Exception as error:
        log("the GPU is lost:", str(error)[:200])
        return False


def run(sections, ends):
    """@param ends by section, when its time is up. Does not return."""
    if not os.path.exists(os.path.join(OUT, "meta.json")):
        try:
            write_machine()
        except Exception as error:
            log("meta.json", error)
    new_graph_pool()
    for section in sections:
        note_progress("start", section)
        deadline = ends.get(section, time.time() + 60)
        if time.time() > deadline:
            log("no time for", section)
            note_progress("end", section)
            continue
        begin, before = time.time(), ROWS.rows()
        try:
            SECTIONS[section](deadline)
        except Exception:
            log("section", section, "FAILED", traceback.format_exc()[-1500:])
        works = still_works()
        log("section", section, "%.1f s" % (time.time() - begin), ROWS.rows() - before, "rows")
        note_progress("end", section)
        if not works:
            os._exit(3)
    sys.stdout.flush()
    os._exit(0)  # a destructor of a library must not hold up the driver
