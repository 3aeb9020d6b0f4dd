#!/usr/bin/env python3
"""Does measure_card.py run its sections and write rows, with a stand-in for PyTorch, Triton and the board?

measure_card_test.py SOURCE_DIR [SECTIONS]"""
import csv
import os
import subprocess
import sys
import tempfile

SECTIONS = {  # rows of a smoke run by op
    "gemm": {"gemm_fwd": 31, "gemm_dgrad": 31, "gemm_wgrad": 31},
    "attention": {"attn_fwd_flash": 11, "attn_bwd_cudnn": 11, "attn_decode_flash": 18},
    "memory": {"copy": 5, "rmsnorm_fwd_triton": 4, "moe_argsort": 6, "cross_entropy_bwd": 4},
    "many_experts": {"grouped_gemm_fwd": 18, "grouped_gemm_dgrad": 22},
    "strided": {"silu_of_half": 8, "product_by_row": 8, "moe_unpermute_scatter_add": 8},
    "paged": {"attn_decode_paged_triton": 24, "mla_decode_paged_triton": 16, "attn_fwd_fp8_triton": 4},
    "power": {"power:idle": 1, "power:gemm_bf16": 1, "power:layer_mix_llama8b": 1},
}

WRITTEN_AS = {"many_experts": "grouped", "strided": "memory"}  # the column `section` of others' rows


def main():
    source, here = sys.argv[1], os.path.dirname(os.path.abspath(__file__))
    sections = sys.argv[2].split(",") if len(sys.argv) > 2 else ["gemm", "attention"]
    script = os.path.join(source, "hwmodels/calibration/measure/measure_card.py")
    with tempfile.TemporaryDirectory() as out:
        environment = dict(os.environ, OUT=out, PYTHONPATH=os.path.join(here, "stand_in"), PYTHONDONTWRITEBYTECODE="1")
        command = [sys.executable, script, "--mode", "smoke", "--total", "120", "--sections", ",".join(sections)]
        run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=110)
        if run.returncode != 0 or "FAILED" in run.stdout:
            sys.exit("measure_card.py failed:\n" + run.stdout[-3000:] + run.stderr[-3000:])
        with open(os.path.join(out, "kernels_raw.csv")) as file:
            rows = list(csv.DictReader(file))
    for section in sections:
        for op, expected in SECTIONS[section].items():
            found = [row for row in rows if row["op"] == op]
            if len(found) != expected:
                sys.exit("%s: %d rows of %s, not %d" % (section, len(found), op, expected))
            if any(row["section"] != WRITTEN_AS.get(section, section) or float(row["time_us"]) <= 0 for row in found):
                sys.exit("%s: a row of %s without a time, or of another section" % (section, op))
    refused = subprocess.run([sys.executable, script, "--sections", "a5"], capture_output=True, text=True)
    if refused.returncode != 2 or "no section a5; there are launches, gemm" not in refused.stderr:
        sys.exit("an unknown section is not refused by name: " + refused.stderr)


if __name__ == "__main__":
    main()
