#!/usr/bin/env python3
"""Measures the kernels of one NVIDIA card for `flopcast calibrate --add` (README.md beside it).

  OUT=FOLDER measure_card.py --mode full --total SECONDS [--sections gemm,attention,...] [--cool]

Writes FOLDER/kernels_raw.csv (a row per timing), monitor.csv (clock and power), meta.json (the machine) and log.txt. Each
section has a share of the time; a worker that loses the GPU or overruns is replaced, and the next section goes on."""
import argparse
import json
import os
import subprocess
import sys
import time

from card.files import CACHE, PROGRESS, STARTED, log, note_progress, read_progress

# Shares of the time, in the order in which sections run; of a smoke run, and with --cool, some have others.
SHARES = {
    "launches": 10,
    "gemm": 58,
    "memory": 56,
    "grouped": 32,
    "attention": 70,
    "paged": 20,
    "gemm_fp8": 26,
    "power": 40,
    "sharing": 26,
}
SMOKE_SHARES = {"launches": 5, "gemm": 8, "memory": 28, "grouped": 7, "attention": 12, "paged": 6, "gemm_fp8": 6, "power": 9}
COOL_SHARES = {"gemm": 62, "grouped": 44, "gemm_fp8": 34, "attention": 18}
EXTRA_SECTIONS = ["power_of_shapes", "permutes", "strided", "many_experts"]  # only when they are asked for
USUAL_SHARE = 30
IMPORTS_S, END_S = 12, 4
GRACE_S = 14  # that a section may overrun before its worker is killed
MOST_WORKERS = 9


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--mode", choices=("smoke", "full"), default="smoke", help="smoke: few sizes, few repetitions"
    )
    parser.add_argument("--total", type=float, default=110, help="seconds that all of it may take")
    parser.add_argument("--sections", default="", help=", ".join([*SHARES, *EXTRA_SECTIONS]))
    parser.add_argument("--cool", action="store_true", help="start every burst at full clock")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--ends", help=argparse.SUPPRESS)
    parser.add_argument("--monitor", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    for section in filter(None, given.sections.split(",")):
        if section not in SHARES and section not in EXTRA_SECTIONS:
            parser.error("no section %s; there are %s" % (section, ", ".join([*SHARES, *EXTRA_SECTIONS])))
    return given


def shares_of(given):
    shares = dict(SHARES)
    if given.cool:
        shares.update(COOL_SHARES)
    if given.mode == "smoke":
        shares.update(SMOKE_SHARES)
    if given.sections:
        return {section: shares.get(section, USUAL_SHARE) for section in given.sections.split(",")}
    if given.mode == "smoke":
        del shares["sharing"]
    return shares


def ends_of(shares, total):
    """@return when the time of each section is up."""
    left = total - (time.time() - STARTED) - IMPORTS_S - END_S
    ends, at = {}, time.time() + IMPORTS_S
    for section, share in shares.items():
        at += share * left / sum(shares.values())
        ends[section] = at
    return ends


def child(*options):
    return [sys.executable, os.path.abspath(__file__), *options]


def watch(worker, ends, last):
    """Until the worker ends, or has to be ended."""
    while worker.poll() is None:
        time.sleep(0.25)
        _, current = read_progress()
        now = time.time()
        if now > last or (current in ends and now > ends[current] + GRACE_S):
            log("worker killed in section", current)
            worker.kill()
            worker.wait()
            if current:
                note_progress("end", current)


def drive(given):
    os.makedirs(CACHE, exist_ok=True)
    os.environ.update(
        PYTHONUNBUFFERED="1",
        MEAS_MODE=given.mode,
        TORCHINDUCTOR_CACHE_DIR=os.path.join(CACHE, "inductor"),
        TRITON_CACHE_DIR=os.path.join(CACHE, "triton"),
        TORCHINDUCTOR_FX_GRAPH_CACHE="1",
        TORCHINDUCTOR_AUTOGRAD_CACHE="1",
    )
    if given.cool:
        os.environ["MEAS_COOL"] = "1"
    open(PROGRESS, "w").close()
    shares = shares_of(given)
    ends, last = ends_of(shares, given.total), STARTED + given.total - END_S
    log("sections", ", ".join(shares))
    monitor = subprocess.Popen(child("--monitor"), stderr=subprocess.DEVNULL)
    left = list(shares)
    for _ in range(MOST_WORKERS):
        if not left or time.time() > last - 5:
            break
        worker = subprocess.Popen(child("--worker", ",".join(left), "--ends", json.dumps(ends)))
        watch(worker, ends, last)
        if worker.returncode == 0:
            break
        started, _ = read_progress()
        log("worker ended with", worker.returncode, "after", ", ".join(started) or "nothing")
        if not set(started) & set(left):
            left = left[1:]  # died before it started anything
        left = [section for section in left if section not in started]
    monitor.kill()
    log("done")


def main():
    given = arguments()
    if given.monitor:
        from card import monitor

        monitor.run()
    elif given.worker:
        from card import worker

        worker.run(given.worker.split(","), json.loads(given.ends))
    else:
        drive(given)


if __name__ == "__main__":
    main()
