"""Is the table of metrics the JSON report, flat?"""
import csv
import os
import subprocess

import flopcast
import pytest

from scenarios import SERVING, TRAINING


def test_metrics_are_fields_of_the_report():
    for text, name in ((TRAINING, "training.step_time_s"), (SERVING, "serving.output_tokens")):
        report = flopcast.run(text=text)
        metrics = report.metrics()
        tree, path = report.to_dict(), name.split(".")
        assert metrics[name] == tree[path[0]][path[1]]
        assert None not in metrics.values()
        assert list(metrics) == [row.name for row in report.metrics_table() if row.value is not None]
        assert len({row.name for row in report.metrics_table()}) == len(report.metrics_table())
        for row in report.metrics_table():
            assert (row.value is None) == bool(row.absent)
            assert row.name and row.unit and row.title and row.meaning, row


def test_metrics_are_what_the_program_writes_as_csv(tmp_path):
    file, out = tmp_path / "s.textproto", tmp_path / "s.csv"
    file.write_text(TRAINING)
    subprocess.run([os.environ["FLOPCAST_PROGRAM"], "run", str(file), "--csv", str(out)], check=True, capture_output=True)
    rows = list(csv.reader(out.open()))[1:]
    table = flopcast.run(file).metrics_table()
    assert [row[0] for row in rows] == [metric.name for metric in table]
    assert [row[2] for row in rows] == [metric.unit for metric in table]


def test_a_frame_where_pandas_is_there():
    pytest.importorskip("pandas")
    report = flopcast.run(text=TRAINING)
    frame = report.frame()
    assert frame.loc["training.step_time_s", "value"] == report.training.step_time_s
    assert frame.loc["training.step_time_s", "unit"] == "s"


def test_a_frame_where_pandas_is_not_there(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="python3-pandas"):
        flopcast.run(text=TRAINING).frame()
