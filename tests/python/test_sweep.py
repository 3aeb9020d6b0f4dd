"""Does Python get what a sweep of the program leaves?"""
import os
import subprocess

import flopcast
import pytest

STUDY = """title: "Batches"
scenario: "h100_llama_3_1_8b_bf16_8"
axis { path: "training.batch.sequences" value: ["128", "256", "250"] }
keep: ["training.step_time_s", "scenario.schedule"]
"""


def column(frame, name):
    return list(frame[name])


def test_a_study_becomes_a_frame(tmp_path):
    study = tmp_path / "batches.textproto"
    study.write_text(STUDY)
    frame = flopcast.sweep(study, tmp_path / "out.sqlite", workers=1)
    assert column(frame, "number") == [1, 2, 3]
    assert column(frame, "status")[:2] == ["ok", "ok"]
    assert column(frame, "scenario.schedule")[0] == "1f1b"
    assert column(frame, "training.step_time_s")[0] < column(frame, "training.step_time_s")[1]
    assert "wall_s" not in frame
    again = flopcast.read_sweep(tmp_path / "out.sqlite", wall=True)
    assert column(again, "training.step_time_s")[:2] == column(frame, "training.step_time_s")[:2]
    assert "wall_s" in again
    program = [os.environ["FLOPCAST_PROGRAM"], "sweep", "export", str(tmp_path / "out.sqlite")]
    lines = subprocess.run(program, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].split(",") == list(again)[:-1]


def test_a_text_is_a_study_too_and_faults_are_input_errors():
    frame = flopcast.sweep(STUDY, workers=1, set={"training.batch.sequence_length": 4096})
    assert len(column(frame, "number")) == 3
    with pytest.raises(flopcast.InputError, match="did you mean"):
        flopcast.sweep(STUDY.replace("batch.sequences", "batch.sequence"))
