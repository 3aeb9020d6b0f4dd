#!/usr/bin/env python3
"""Renews what the documentation shows of the current program: the table of docs/trust.md, the report that README.md begins
with, the pictures of README.md and docs/gallery.md, and the figures of decoding in docs/policy.md and README.md.

docs/figures.py PROGRAM [trust|readme|pictures|decoding ...]     (from the project's folder; without words: all)"""

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

# Pages of which one picture each is shown: name of the file, command, a word of the picture's title.
PICTURES = {
    "planner": (["plan", "h100_llama_3_1_8b_bf16_64", "--open", "all"], "plans were replayed"),
    "analyst": (["compare", "deepseek_v3_2048_h800", "deepseek_v3_2048_h20"], "most of it is"),
    "serving": (["curve", "deepseek_v3_serving_h800", "deepseek_v3_serving_h20"], ""),
}


def trust(program):
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "validate.json"
        subprocess.run([program, "validate", "--json", file], check=True, stdout=subprocess.DEVNULL)
        found = json.loads(file.read_text())
    groups = collections.OrderedDict()
    for check in found["checks"]:
        groups.setdefault(check["group"], []).append(check)
    rows = ["| what | rows | median error | largest | within what was promised |", "|---|---|---|---|---|"]
    for name, checks in groups.items():
        single = [c for c in checks if not c.get("upper_bound") and c["published"] and c["unit"] != "%"]
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
        rows.append(f"| {name} | {len(single) or len(bounds)} | {middle} | {largest} | {within} |")
    table = "\n".join([BEGIN, f"As `{found['program']} validate` gave it on {datetime.date.today()}:", ""] + rows + [END])
    renew(DOCS / "trust.md", table)


def renew(page, text):
    """Puts a text with its marks in place of what stands between them."""
    page.write_text(re.sub(re.escape(BEGIN) + ".*?" + re.escape(END), lambda _: text, page.read_text(), flags=re.S))


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
    program, wanted = sys.argv[1], sys.argv[2:] or ["trust", "readme", "pictures", "decoding"]
    for what in wanted:
        {"trust": trust, "readme": readme, "pictures": pictures, "decoding": decoding}[what](program)


if __name__ == "__main__":
    main()
