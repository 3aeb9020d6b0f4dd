"""Does Python get what the command line gives: the same reports, every fault as data?"""
import inspect
import json
import os
import pathlib
import re
import subprocess
import sys

import flopcast
import pytest

from scenarios import SERVING, TRAINING


def program(*arguments):
    return subprocess.run([os.environ["FLOPCAST_PROGRAM"], *arguments], capture_output=True, text=True)


def test_a_file_gives_the_bytes_of_the_program(tmp_path):
    for text in (TRAINING, SERVING):
        file = tmp_path / "s.textproto"
        file.write_text(text)
        expected = program("run", str(file), "--json", "-").stdout
        assert flopcast.run(file).json() == expected
        assert flopcast.run(str(file)).json() == expected
        assert flopcast.run(text=text, label=str(file)).json() == expected


def test_names_and_overrides():
    report = flopcast.run("h100_llama_3_1_8b_bf16_8", set={"training.batch.sequences": 64})
    again = flopcast.run("h100_llama_3_1_8b_bf16_8", set=["training.batch.sequences=64"])
    assert report.json() == again.json()
    assert report.json() != flopcast.run("h100_llama_3_1_8b_bf16_8").json()
    scenario = flopcast.resolve("h100_llama_3_1_8b_bf16_8", set={"training.batch.sequences": 64})
    assert scenario.work == "training" and scenario.gpus == 8 and "Scenario" in repr(scenario)
    assert flopcast.run(scenario).json() == report.json()


def test_values_of_every_kind_can_be_set():
    scenario = flopcast.resolve(text=TRAINING, set={
        "title": "Another", "training.plan.overlap_gradients": False, "training.plan.stage_layers": [14, 13],
        "cluster.gpu_override.hbm_capacity": "79 GB"})
    assert scenario.title == "Another"
    with pytest.raises(TypeError):
        flopcast.resolve(scenario, set={"title": "x"})
    with pytest.raises(TypeError):
        flopcast.resolve()


def test_fields_are_attributes():
    report = flopcast.run(text=TRAINING, label="small.textproto")
    tree = json.loads(report.json())
    assert report.to_dict() == tree
    assert report.training.step_time_s == tree["training"]["step_time_s"]
    assert report.scenario.name == "small" and report.resolved.name == "small"
    assert report.training.ranks[0].bubble_s == tree["training"]["ranks"][0]["bubble_s"]
    assert "step_time_s" in dir(report.training) and "training" in dir(report)
    with pytest.raises(AttributeError, match="did you mean 'step_time_s'"):
        report.training.step_times_s
    for part in (report, report.training):
        with pytest.raises(AttributeError, match="what a report says is not set"):
            part.step_time_s = 3
    with pytest.raises(AttributeError, match="serving"):
        report.serving
    assert report.text() == str(report) and "<pre>" in report._repr_html_() and "small" in repr(report)


SLIPS = [
    (TRAINING.replace("dualpipe", "dualpip"), {}),
    (TRAINING.replace("pipeline: 2", "pipelin: 2").replace('"mpft"', '"mpfd"'), {}),
    (TRAINING.replace("sequences: 128", "sequences: 17"), {}),
    (TRAINING.replace("training {", "training {{"), {}),
    (TRAINING, {"training.plan.dat": 16}),
    (TRAINING.replace("deepseek-v2-lite", "deepseek-v3"), {}),  # does not fit into memory
    (SERVING.replace("max_batch: 32", 'max_batch: 32 router: "round_robbin"'), {}),
]


@pytest.mark.parametrize("text,set", SLIPS)
def test_every_diagnostic_of_the_command_line_is_data(tmp_path, text, set):
    file = tmp_path / "s.textproto"
    file.write_text(text)
    said = program("check", str(file), *(f"--set={k}={v}" for k, v in set.items())).stderr.strip().splitlines()
    with pytest.raises(flopcast.InputError) as caught:
        flopcast.check(file, set=set)
    faults = caught.value.diagnostics
    assert len(faults) >= 1 and str(caught.value) == "\n".join(str(fault) for fault in faults)
    for fault in faults:
        assert any(str(fault) in line for line in said), (str(fault), said)
    assert sum(": found " in line for line in said) == sum(bool(fault.found) for fault in faults)


def test_a_diagnostic_has_its_parts():
    with pytest.raises(flopcast.InputError) as caught:
        flopcast.run(text=TRAINING.replace("dualpipe", "dualpip"), label="mine.textproto")
    (fault,) = caught.value.diagnostics
    assert (fault.file, fault.line, fault.path) == ("mine.textproto", 6, "training.schedule")
    assert fault.column > 0 and "dualpip" in fault.found and "1f1b" in fault.expected and fault.nearest == "dualpipe"
    assert isinstance(caught.value, ValueError)
    assert flopcast.InputError.diagnostics == ()


def test_names_that_do_not_exist():
    with pytest.raises(flopcast.InputError, match="deepseek_v3_2048_h800"):
        flopcast.run("deepseek_v3_2048_h80")
    with pytest.raises(flopcast.InputError):
        flopcast.Environment(["/nowhere/at/all"])
    with pytest.raises(TypeError):
        flopcast.Environment("/nowhere")


def test_an_environment_of_ones_own(tmp_path):
    own = flopcast.Environment([tmp_path])
    assert str(tmp_path) in own.folders and "h800-sxm" in own.names("gpus") and "h800-sxm" in own.show("h800-sxm")
    assert "MiB" in own.show("h800-sxm") or "GB" in own.show("h800-sxm")
    assert flopcast.run(text=TRAINING, environment=own).json() == flopcast.run(text=TRAINING).json()


def test_check_says_whether_it_fits():
    assert re.search(r"micro-batches per step, .* GB", flopcast.check(text=TRAINING))


def test_import_brings_neither_numpy_nor_pandas():
    code = "import sys, flopcast; print(sorted({'numpy', 'pandas', 'json'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_help_helps():
    for thing in (flopcast, flopcast.run, flopcast.resolve, flopcast.check, flopcast.Environment, flopcast.Report,
                  flopcast.InputError, flopcast.Diagnostic, flopcast.Iteration, flopcast.schedule_text):
        assert inspect.getdoc(thing)
    for name, method in inspect.getmembers(flopcast.Report, inspect.isfunction):
        assert name.startswith("_") or inspect.getdoc(method), name
    assert (pathlib.Path(flopcast.__file__).parent / "py.typed").exists()


def test_stubs_tell_of_everything_there_is():
    stubs = (pathlib.Path(flopcast.__file__).parent / "_flopcast.pyi").read_text()
    for name in dir(flopcast._flopcast):
        if name.startswith("_"):
            continue
        assert re.search(rf"^(class|def) {name}\b", stubs, re.M), name
        thing = getattr(flopcast._flopcast, name)
        for member in vars(thing) if isinstance(thing, type) else ():
            assert member.startswith("_") or re.search(rf"^    (def )?{member}\b", stubs, re.M), f"{name}.{member}"
