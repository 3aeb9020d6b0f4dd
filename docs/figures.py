#!/usr/bin/env python3
"""Renews what the documentation shows of the current program: the tables of docs/trust.md and README.md, the report that
README.md begins with, the pictures of README.md and docs/gallery.md, and the figures of decoding in docs/policy.md and
README.md.

docs/figures.py PROGRAM [trust|readme|pictures|decoding ...]     (without words: all)
docs/figures.py --check PROGRAM     whether the two tables are those of the program: 0, or 1 and the lines that differ"""

import collections
import datetime
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

DOCS = pathlib.Path(__file__).resolve().parent
BEGIN, END = "<!-- begin: written by docs/figures.py -->", "<!-- end -->"
BEGIN_SUMMARY = "<!-- begin: summary of validate, written by docs/figures.py -->"

# Pages of which one picture each is shown: name of the file, command, a word of the picture's title.
PICTURES = {
    "planner": (["plan", "h100_llama_3_1_8b_bf16_64", "--open", "all"], "plans were replayed"),
    "analyst": (["compare", "deepseek_v3_2048_h800", "deepseek_v3_2048_h20"], "most of it is"),
    "serving": (["curve", "deepseek_v3_serving_h800", "deepseek_v3_serving_h20"], ""),
}


def validated(program):
    """What `validate` finds: the program's name, and its checks by their groups."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "validate.json"
        subprocess.run([program, "validate", "--json", file], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(file.read_text())
    groups = collections.OrderedDict()
    for check in found["checks"]:
        groups.setdefault(check["group"], []).append(check)
    return found["program"], groups


def one_by_one(checks):
    """Those that are a figure beside a published one, not a bound or a median of many."""
    return [c for c in checks if not c.get("upper_bound") and c["published"] and c["unit"] != "%"]


def trust_table(name, groups):
    rows = ["| what | rows | median error | largest | within what was promised |", "|---|---|---|---|---|"]
    for group, checks in groups.items():
        single = one_by_one(checks)
        bounds = [c for c in checks if c["unit"] == "%"]
        errors = [100 * c["error"] for c in single]
        middle = f"{statistics.median(map(abs, errors)):.1f} %" if errors else ""
        largest = f"{max(errors, key=abs):+.1f} %" if errors else ""
        if errors and max(map(abs, errors)) > 1000:
            largest = "more than ten times"
        if not errors and bounds:
            middles = [c["predicted"] for c in bounds if "median" in c["what"] and c["unit"] == "%"]
            middle = f"{min(middles):.1f} to {max(middles):.1f} %" if middles else ""
            tails = [c["predicted"] for c in bounds if "90th" in c["what"] and c["unit"] == "%"]
            largest = f"90th percentile {min(tails):.0f} to {max(tails):.0f} %" if tails else ""
        judged = [c for c in checks if c["tolerance"] or c.get("upper_bound")]
        within = f"{sum(c['within'] for c in judged)} of {len(judged)}" if judged else "not judged"
        rows.append(f"| {group} | {len(single) or len(bounds)} | {middle} | {largest} | {within} |")
    return "\n".join([BEGIN, f"As `{name} validate` gave it on {datetime.date.today()}:", ""] + rows + [END])


def whole_group(group):
    """The median and the largest error of a group's rows."""
    def text(groups):
        errors = [100 * c["error"] for c in one_by_one(groups[group])]
        return "", "", f"median {statistics.median(map(abs, errors)):.1f} %, largest {max(errors, key=abs):+.1f} %"
    return text


def spread(group):
    """The errors of a group's rows from one end to the other."""
    def text(groups):
        errors = [100 * c["error"] for c in one_by_one(groups[group])]
        return "", "", f"{min(errors):+.1f} to {max(errors):+.1f} %"
    return text


def one(group, what, write):
    """A single figure beside the published one."""
    def text(groups):
        check = next(c for c in groups[group] if c["what"].startswith(what))
        return write(check["predicted"]), write(check["published"]), f"{100 * check['error']:+.1f} %"
    return text


def summed_up(group, *parts):
    """Figures that the group itself holds, in per cent: (words, what their lines say). Of several lines from, to."""
    def text(groups):
        said = []
        for words, what in parts:
            values = [c["predicted"] for c in groups[group] if re.search(what, c["what"])]
            low, high = f"{min(values):.1f}", f"{max(values):.1f}"
            said.append(f"{words} {low} %" if low == high else f"{words} {low} to {high} %")
        return "", "", ", ".join(said).strip()
    return text


KERNELS, NODE = "kernels, points not fitted on", "NCCL in a node, points not fitted on"
OPEN_RUNS = "training runs, nothing fitted on them"

# The rows of README.md's table: words, and where validate has the figures.
SUMMARY = [
    ("GEMM kernels, fused experts included, points not fitted on (H100, H200, H800, H20)",
     summed_up(KERNELS, ("median", "all GEMM: median"), ("90th percentile", "all GEMM: 90th"))),
    ("attention kernels and blocks, points not fitted on",
     summed_up(KERNELS, ("median", "all attention: median"), ("90th percentile", "all attention: 90th"))),
    ("compute phases of a DeepSeek-V3 layer", spread("phases")),
    ("NCCL in a node, 64 kB and more, points not fitted on (H100, H200)",
     summed_up(NODE, ("medians", ">= 64 kB: median"), ("90th percentiles", ">= 64 kB: 90th"))),
    ("NCCL over 2 to 32 nodes, published runs, nothing fitted", whole_group("NCCL over nodes, nothing fitted on")),
    ("overlapped forward and backward of 4 layers", one("pair", "", "{:.1f} ms".format)),
    ("16 runs on H100 that the overheads of training were fitted on (8 to 256 GPUs, BF16 and FP8)",
     whole_group("training runs, overheads fitted on them")),
    ("the same, predicted by a fit that has not seen their model",
     whole_group("training runs, their model left out of the fit")),
    ("published dense runs on 64 to 11,616 H100, nothing fitted",
     summed_up(OPEN_RUNS, ("median", "^dense.*median"), ("at most", "^dense.*largest"))),
    ("published mixture-of-experts runs on H100, nothing fitted but the host's times of software profiles, on runs of "
     "their own", summed_up(OPEN_RUNS, ("median", "^experts, H100: median"))),
    ("published steps that lie within their 90 % range", summed_up(OPEN_RUNS, ("", "^steps within their"))),
    ("DeepSeek-V3 step, 2,048 H800", one("step", "step", "{:.2f} s".format)),
    ("its 14.8 T tokens", one("run", "GPU-hours, pre-training", lambda hours: f"{hours / 1e3:,.0f} K GPU-hours")),
    ("the final run", one("run", "cost, whole run", lambda usd: f"${usd / 1e6:.2f} M")),
    ("serving runs, Llama 3.1 8B and Qwen3 32B, H100 and H200, engine constants fitted on them",
     summed_up("serving runs, engine constants fitted on them", ("TPOT median", "^TPOT"), ("TTFT median", "^TTFT"))),
    ("whole models on one H100, decoding in a CUDA graph, Llama 160M to 8B, nothing fitted",
     whole_group("whole models on one H100, nothing fitted")),
    ("TensorRT-LLM (Llama 8B to 405B, H100 and H200), DeepSeek and SGLang with balanced experts, nothing fitted",
     summed_up("serving engines, tokens/s, nothing fitted", ("median", "^median.*balanced experts"))),
    ("experts with loads that are not published (Qwen3 235B, SGLang), nothing fitted",
     summed_up("serving engines, tokens/s, nothing fitted", ("median", "^median.*not published"))),
    ("R1-Zero's reinforcement learning on 512 H800, lengths read off a figure, nothing fitted",
     one("R1's GPU-hours, lengths read off its figures", "R1-Zero", lambda hours: f"{hours / 1e3:.1f} K GPU-hours")),
    ("reinforcement learning steps on GB200 (NeMo-RL), nothing fitted",
     whole_group("RL steps, NeMo-RL on GB200, nothing fitted")),
    ("board power of H100s while vLLM serves, nothing fitted",
     summed_up("board power of serving, nothing fitted", ("median", "dense"), ("with experts spread", "spread"))),
]


def summary_table(groups):
    rows = ["| what | predicted | published | error |", "|---|---|---|---|"]
    for words, text in SUMMARY:
        predicted, published, error = text(groups)
        rows.append(f"| {words} | {predicted} | {published} | {error} |")
    # A row that `decoding` writes.
    rows += re.findall(r"^\| a decode unit of DeepSeek's service.*", (DOCS.parent / "README.md").read_text(), flags=re.M)
    return "\n".join([BEGIN_SUMMARY, ""] + rows + ["", END])


def trust(program):
    name, groups = validated(program)
    renew(DOCS / "trust.md", trust_table(name, groups))
    renew(DOCS.parent / "README.md", summary_table(groups), BEGIN_SUMMARY)


def check(program):
    """Compares the tables with the program's figures; the day on which they were made does not count."""
    name, groups = validated(program)
    differ = []
    for page, table in ((DOCS / "trust.md", trust_table(name, groups)), (DOCS.parent / "README.md", summary_table(groups))):
        there = page.read_text().split("\n")
        differ += [f"{page.name} lacks: {line}" for line in table.split("\n") if line.startswith("|") and line not in there]
    print("\n".join(differ) or "the tables of docs/trust.md and README.md are the program's")
    return 1 if differ else 0


def renew(page, text, begin=BEGIN):
    """Puts a text with its marks in place of what stands between them."""
    page.write_text(re.sub(re.escape(begin) + ".*?" + re.escape(END), lambda _: text, page.read_text(), flags=re.S))


def readme(program):
    """What the program's first run says: the step and what was published."""
    said = subprocess.run([program, "run", "deepseek_v3_2048_h800"], check=True, stdout=subprocess.PIPE, text=True).stdout
    first = said.index("One step takes")
    last = said.index("\n\n", said.index("Predicted beside published"))
    lines = [("    " + line).rstrip() for line in said[first:last].split("\n")]
    renew(DOCS.parent / "README.md", "\n".join([BEGIN, ""] + lines + ["", END]))


# Tokens per second and node that DeepSeek published of its decoding (open-infra-index, day 6).
PUBLISHED_DECODING = 14800


def decoding(program):
    found = json.loads(subprocess.run([program, "compare", "h100_h800_h20_decoding", "--json", "-"], check=True,
                                      stdout=subprocess.PIPE).stdout)
    services = [(s["name"], s["service"]) for s in found["scenarios"]]

    def row(what, text):
        return f"| {what} | " + " | ".join(text(service) for _, service in services) + " |"

    table = [BEGIN, "| | " + " | ".join(name for name, _ in services) + " |", "|---|" + "---|" * len(services),
             row("output tokens/s per GPU", lambda s: f"{s['output_tokens_per_s_per_gpu']:,.0f}"),
             row("time per output token", lambda s: f"{1000 * s['tpot_s']:.0f} ms"),
             row("GPU-hours per 10^6 output tokens", lambda s: f"{s['gpu_hours_per_million_output_tokens']:.3f}"), END]
    renew(DOCS / "policy.md", "\n".join(table))
    # The library's decode unit is that of the H800.
    per_node = dict(services)["H800"]["output_tokens_per_s_per_node"]
    unit = (f"| a decode unit of DeepSeek's service (18 nodes of H800) | {per_node / 1000:.1f} K tokens/s per node | "
            f"{PUBLISHED_DECODING / 1000:.1f} K | {100 * (per_node / PUBLISHED_DECODING - 1):+.1f} % |")
    page = DOCS.parent / "README.md"
    page.write_text(re.sub(r"\| a decode unit of DeepSeek's service.*", lambda _: unit, page.read_text()))


def outer_svg(figure):
    """Attributes and content of the first picture, which may hold others."""
    begin = re.search(r"<svg class=\"chart\"([^>]*)>", figure)
    depth = 1
    for tag in re.finditer(r"<svg\b|</svg>", figure[begin.end():]):
        depth += 1 if tag[0] == "<svg" else -1
        if depth == 0:
            return begin[1], figure[begin.end():begin.end() + tag.start()]
    raise ValueError("a picture without an end")


def standalone(page, title, width):
    """One picture of a page as a file of its own, with the light palette written out."""
    figures = re.findall(r"<figure>.*?</figure>", page, flags=re.S)
    figure = next(f for f in figures if "<svg" in f and title in re.sub(r"<[^>]*>", "", f))
    style = re.search(r"<style>(.*?)</style>", page, flags=re.S)[1]
    light = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+);", style.split("@media", 1)[0]))
    svg = outer_svg(figure)
    height = float(re.search(r"height=\"([\d.]+)\"", svg[0])[1])
    side = dict(re.findall(r"--([lr]): *([\d.]+)px", svg[0]))
    left, right = float(side.get("l", 0)), float(side.get("r", 0))
    heading = re.sub(r"<[^>]*>", "", re.search(r"<figcaption>\s*<strong[^>]*>(.*?)</strong>", figure, flags=re.S)[1])
    rules = "".join(rule for rule in re.findall(r"svg [^{}]*\{[^{}]*\}", style)) + ".n{display:none}"
    rules = re.sub(r"var\(--([\w-]+)\)", lambda m: light.get(m[1], "#000000"), rules)
    keys = re.findall(r"<i class=\"t-([\w-]+)\"></i>([^<]*)", re.search(r"<p class=\"key\">(.*?)</p>", figure, flags=re.S)[1]) \
        if "class=\"key\"" in figure else []
    key, x = "", left + 8
    for tone, name in keys:
        key += f'<rect x="{x}" y="36" width="11" height="11" fill="{light[tone]}"/><text x="{x + 16}" y="46">{name.strip()}</text>'
        x += 30 + 7.2 * len(name)
    top = 56 if keys else 34
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height + top + 8}" '
            f'font-family="system-ui, sans-serif" font-size="13"><style>{rules}</style>'
            f'<rect width="100%" height="100%" fill="{light["paper"]}"/>'
            f'<text x="{8}" y="20" font-weight="600" font-size="15">{heading}</text>{key}'
            f'<svg class="chart" x="{left + 8}" y="{top}" width="{width - left - right - 24}" height="{height}" overflow="visible">{svg[1]}</svg></svg>\n')


def pictures(program):
    subprocess.run([program, "run", "deepseek_v3_2048_h800", "--quiet", "--picture", DOCS / "pipeline.svg"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (command, title) in PICTURES.items():
            page = pathlib.Path(folder) / f"{name}.html"
            subprocess.run([program, *command, "--html", page], check=True, stdout=subprocess.DEVNULL)
            (DOCS / f"{name}.svg").write_text(standalone(page.read_text(), title, 900))


def main():
    if sys.argv[1] == "--check":
        sys.exit(check(sys.argv[2]))
    program, wanted = sys.argv[1], sys.argv[2:] or ["trust", "readme", "pictures", "decoding"]
    for what in wanted:
        {"trust": trust, "readme": readme, "pictures": pictures, "decoding": decoding}[what](program)


if __name__ == "__main__":
    main()
