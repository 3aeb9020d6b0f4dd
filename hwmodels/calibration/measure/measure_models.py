#!/usr/bin/env python3
"""Times whole models and layers on one GPU: what a model of kernels has to add up to.

  measure_models.py FOLDER [--seconds N] [--cases FILE] [--set NAME]

Writes FOLDER/models.csv, a row per case and part: decode iterations in a CUDA graph, prompts, training steps (forward,
backward, optimizer apart; eager and compiled), MoE layers; and FOLDER/model_kernels.csv, the kernels of each. Random
weights, tokens and targets. Cases come from a CSV file with the first columns of models.csv, so
that a file written before can be measured again; those that share a model, layers and a mode should follow each other."""
import argparse
import csv
import os
import statistics
import time

import torch

from models.network import DEVICE, EXPERTS, MODELS, MoeLayer, bf16, build, tables
from models.timing import COLUMNS, KERNEL_COLUMNS, Board, Rows, event, graphed, kernels_of, timed

STARTED = time.time()
CASES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "models", "cases.csv")
NUMBERS = ("layers", "batch", "length", "context", "experts", "tokens")
WHOLE = ("iteration", "step", "layer")  # parts of a file of results that name a case
LEAST_LEFT_S = 12  # a case that starts later than this before the end is left out


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder")
    parser.add_argument("--seconds", type=float, default=400, help="that all of it may take")
    parser.add_argument("--window", type=float, default=2, help="seconds that runs of a prompt or a step are repeated for")
    parser.add_argument("--cases", default=CASES, help="file of cases")
    parser.add_argument("--set", default="short", help="those of the file with this name in the column `set`")
    return parser.parse_args()


def options_of(text):
    """checkpoint chunks=8 -> {"checkpoint": 1, "chunks": 8}"""
    pairs = (word.partition("=") for word in text.split())
    return {name: float(value or 1) for name, _, value in pairs}


def cases_of(path, wanted):
    with open(path) as file:
        lines = csv.DictReader(line for line in file if not line.startswith("#"))
        for line in lines:
            if line.get("set", wanted) != wanted or line.get("part", "layer") not in WHOLE:
                continue
            if line["section"] == "error":
                continue
            case = {column: line.get(column) or "" for column in ("section", "model", "mode", "options")}
            case.update({column: int(line[column]) for column in NUMBERS if line.get(column)})
            yield case


class Measurement:
    def __init__(self, given):
        self.ends = STARTED + given.seconds
        self.board = Board()
        self.window = given.window  # the board's limit holds over a second or so: shorter ones run above it
        self.rows = Rows(os.path.join(given.folder, "models.csv"), COLUMNS)
        self.kernels = Rows(os.path.join(given.folder, "model_kernels.csv"), KERNEL_COLUMNS)
        self.built, self.model, self.config = None, None, None

    def row(self, **values):
        self.rows.add(**values)
        told = " ".join("%s=%s" % pair for pair in values.items() if pair[1] != "")
        print("%s [%.0f s]" % (told, time.time() - STARTED), flush=True)

    def count(self, case, call):
        """@return columns of a row: kernels launched, and how long they run (the GPU waits for the host in the rest)"""
        kernels = kernels_of(call)
        for name, (launches, us) in sorted(kernels.items(), key=lambda one: -one[1][1]):
            self.kernels.add(**case, kernel=name[:160], launches=launches, time_us=round(us, 1))
        return dict(kernels=sum(n for n, _ in kernels.values()), gpu_us=round(sum(us for _, us in kernels.values())))

    def use(self, case):
        """Builds a case's model unless the last one's serves."""
        wanted = tuple(case.get(key) for key in ("section", "model", "layers", "mode", "experts"))
        if wanted == self.built:
            return
        self.built = self.model = self.optimizer = None
        torch.cuda.empty_cache()
        if case["section"] == "moe":
            self.model = MoeLayer(EXPERTS[case["model"]], case["experts"])
        else:
            torch._dynamo.reset()
            self.config, self.model = build(case["model"], case.get("layers"), case["mode"])
            self.model.requires_grad_(case["section"] == "train")
        if case["section"] == "train":
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4, fused=True)
        self.built = wanted

    def decode(self, case):
        c, batch, context = self.config, case["batch"], case["context"]

        def cache():
            return torch.randn(batch, c.kv_heads, context, c.head_dim, device=DEVICE, dtype=bf16)

        caches = [(cache(), cache()) for _ in self.model.blocks]
        cos, sin = (table[-1:] for table in tables(c, context))
        position = torch.tensor([context - 1], device=DEVICE)
        tokens = torch.randint(0, c.vocabulary, (batch, 1), device=DEVICE)

        def step():
            return self.model(tokens, cos, sin, caches, position).argmax(-1)

        with torch.no_grad():
            step()
            launches = self.count(case, step)
            self.whole(dict(case, length=1), "iteration", launches, graphed(step, self.board, 0.4))

    def prefill(self, case):
        c, shape = self.config, (case["batch"], case["length"])
        cos, sin = tables(c, case["length"])
        tokens = torch.randint(0, c.vocabulary, shape, device=DEVICE)

        def step():
            return self.model(tokens, cos, sin, last=True)

        with torch.no_grad():
            step()
            launches = self.count(case, step)
            self.whole(case, "iteration", launches, timed(step, self.board, self.window))

    def train(self, case):
        c, shape, options = self.config, (case["batch"], case["length"]), options_of(case["options"])
        cos, sin = tables(c, case["length"])
        # Targets that the input gives away, with the embedding as the head, leave no gradients, and products of zeros draw
        # less power.
        tokens, targets = (torch.randint(0, c.vocabulary, shape, device=DEVICE) for _ in range(2))
        again, chunks = "checkpoint" in options, int(options.get("chunks", 1))

        def loss():
            return self.model.loss(tokens, targets, cos, sin, again, chunks)

        def update():
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)

        def step():
            loss().backward()
            update()

        step()
        launches = self.count(case, step)
        torch.cuda.reset_peak_memory_stats()
        self.whole(case, "step", launches, timed(step, self.board, self.window))
        marks = [[event() for _ in range(4)] for _ in range(6)]
        for mark in marks:
            mark[0].record()
            value = loss()
            mark[1].record()
            value.backward()
            mark[2].record()
            update()
            mark[3].record()
        torch.cuda.synchronize()
        for i, part in enumerate(("forward", "backward", "optimizer")):
            us = statistics.median(mark[i].elapsed_time(mark[i + 1]) * 1e3 for mark in marks)
            self.row(**dict(self.named(case), part=part, time_us=round(us, 1)))

    def moe(self, case):
        picks, most = self.model.place(case["tokens"], options_of(case["options"]).get("skew", 0))
        x = torch.randn(case["tokens"], self.model.e.hidden, device=DEVICE, dtype=bf16)
        rows = x.index_select(0, self.model.source)
        calls = {"layer": lambda: self.model.layer(x), "experts": lambda: self.model.experts(rows)}
        with torch.no_grad():
            for part, call in calls.items():
                call()
                launches = self.count(case, call) if part == "layer" else {}
                notes = "picks=%d max_mean=%.3f" % (picks, most)
                self.whole(case, part, launches, graphed(call, self.board, 0.25), notes)

    def named(self, case):
        return dict(case, layers=len(self.model.blocks)) if case["section"] != "moe" else dict(case)

    def whole(self, case, part, launches, timing, notes=""):
        peak = round(torch.cuda.max_memory_allocated() / 1e9, 2)
        self.row(**dict(self.named(case), part=part, peak_gb=peak, notes=notes, **launches, **timing))

    def run(self, cases):
        for case in cases:
            if time.time() > self.ends - LEAST_LEFT_S:
                self.row(section="error", notes="no time from here on: %s" % case)
                return
            try:
                self.use(case)
                torch.cuda.reset_peak_memory_stats()
                getattr(self, case["section"])(case)
            except Exception as error:
                notes = "%s: %s: %s" % (case, type(error).__name__, str(error)[:200].replace("\n", " "))
                self.row(section="error", notes=notes)
                self.built = None
                if self.optimizer is not None:
                    self.optimizer.zero_grad(set_to_none=True)
                if "CUDA error" in notes:
                    return  # the GPU is lost to this process
            torch.cuda.empty_cache()

    optimizer = None


def main():
    given = arguments()
    os.makedirs(given.folder, exist_ok=True)
    torch.manual_seed(0)
    torch._dynamo.config.cache_size_limit = 64
    print(torch.__version__, torch.cuda.get_device_name(), flush=True)
    cases = list(cases_of(given.cases, given.set))
    for case in cases:
        if case["section"] not in ("decode", "prefill", "train", "moe"):
            raise SystemExit("%s: no section %s" % (given.cases, case["section"]))
        if case["model"] not in MODELS and case["model"] not in EXPERTS:
            raise SystemExit("%s: no model %s" % (given.cases, case["model"]))
    Measurement(given).run(cases)
    print("done after %.0f s" % (time.time() - STARTED))


if __name__ == "__main__":
    main()
