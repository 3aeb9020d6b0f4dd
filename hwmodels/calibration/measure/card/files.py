"""Where results go: a folder with rows, a log and the progress of the worker."""
import csv
import os
import time

STARTED = float(os.environ.setdefault("MEAS_STARTED", str(time.time())))
OUT = os.environ.get("OUT", "out")
CACHE = os.path.join(OUT, "cache")
PROGRESS = os.path.join(OUT, "progress.txt")

COLUMNS = [
    "section",
    "op",
    "shape",
    "dtype",
    "time_us",
    "bytes",
    "flops",
    "notes",
    "method",
    "l2",
    "reps",
    "p20_us",
    "p80_us",
    "t_unix",
    "sm_mhz",
]


def log(*words):
    line = "[%7.1f] %s" % (time.time() - STARTED, " ".join(str(word) for word in words))
    print(line, flush=True)
    with open(os.path.join(OUT, "log.txt"), "a") as file:
        file.write(line + "\n")


class RowFile:
    """A CSV file to which rows are added; each is on the disk when row() returns."""

    def __init__(self, name, columns):
        self.path = os.path.join(OUT, name)
        self.columns = columns
        fresh = not os.path.exists(self.path)
        self.file = open(self.path, "a", buffering=1)
        self.writer = csv.writer(self.file)
        if fresh:
            self.writer.writerow(columns)

    def row(self, **values):
        values.setdefault("t_unix", "%.2f" % time.time())
        self.writer.writerow([values.get(column, "") for column in self.columns])
        self.file.flush()

    def rows(self):
        with open(self.path) as file:
            return sum(1 for _ in file) - 1


def note_progress(what, section):
    """@param what "start" or "end" of a section, for the driver."""
    with open(PROGRESS, "a") as file:
        file.write("%s %s\n" % (what, section))


def read_progress():
    """@return the sections that were started, and the one under way or None."""
    started, current = [], None
    with open(PROGRESS) as file:
        for line in file:
            words = line.split()
            if len(words) != 2:
                continue
            if words[0] == "start":
                started.append(words[1])
                current = words[1]
            elif current == words[1]:
                current = None
    return started, current
