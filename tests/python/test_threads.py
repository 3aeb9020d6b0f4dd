"""Does the module behave in a program that does other things too: threads, progress, Ctrl-C?"""
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import flopcast
import pytest

from scenarios import SERVING, TRAINING


def test_runs_in_threads_give_what_one_alone_gives():
    texts = [TRAINING, SERVING] * 3
    alone = {text: flopcast.run(text=text).json() for text in (TRAINING, SERVING)}
    with ThreadPoolExecutor(4) as pool:
        own = flopcast.Environment()  # its tables are read by all at once
        together = list(pool.map(lambda text: flopcast.run(text=text, environment=own).json(), texts))
    assert together == [alone[text] for text in texts]


def test_other_threads_go_on_during_a_run():
    ticks, stop = [0], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks[0] += 1

    clock = threading.Thread(target=tick)
    clock.start()
    try:
        before = ticks[0]
        flopcast.run(text=SERVING, set={"serving.traffic.requests": 100000})
        assert ticks[0] > before + 10
    finally:
        stop.set()
        clock.join()


def test_progress():
    seen = []
    flopcast.run(text=TRAINING, progress=seen.append)
    assert seen and seen[0].done == 0 and seen[0].unit == "operations" and seen[0].stage and "Progress" in repr(seen[0])
    with pytest.raises(flopcast.Interrupted):
        flopcast.run(text=TRAINING, progress=lambda progress: False)

    def fail(progress):
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        flopcast.run(text=TRAINING, progress=fail)
    flopcast.run(text=TRAINING)


LONG = {"serving.traffic.requests": 1000000000}


def test_progress_stops_a_long_run():
    begin = time.monotonic()
    with pytest.raises(flopcast.Interrupted):
        flopcast.run(text=SERVING, set=LONG, progress=lambda progress: time.monotonic() < begin + 0.2)


def test_ctrl_c_ends_a_run_and_leaves_the_module_usable():
    expected = flopcast.run(text=TRAINING).json()
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        flopcast.run(text=SERVING, set=LONG)
    timer.join()
    assert flopcast.run(text=TRAINING).json() == expected


def test_a_program_that_ends_during_a_run_ends():
    code = f"""
import threading, flopcast
run = lambda: flopcast.run(text={SERVING!r}, set={LONG!r}, router=lambda request, replicas: 0)
threading.Thread(target=run, daemon=True).start()
import time; time.sleep(0.5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
