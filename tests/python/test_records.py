"""Are timelines and requests right as arrays, and safe whatever becomes of the report?"""
import gc
import json
import threading

import flopcast
import numpy
import pytest

from scenarios import SERVING, TRAINING


def test_a_timeline_agrees_with_its_report():
    report = flopcast.run(text=TRAINING, timeline=True)
    t = report.timeline()
    assert t.size == len(t.start_s) > 0 and set(len(t[c]) for c in t if not c.endswith("_names")) == {t.size}
    assert (t.end_s >= t.start_s).all() and (numpy.diff(t.end_s) >= 0).all()
    assert t.end_s.max() == pytest.approx(report.training.step_time_s)
    assert set(t.gpu) == {rank.gpu for rank in report.training.ranks} or len(set(t.gpu)) == report.run.replayed_gpus
    assert t.kind.max() < len(t.kind_names) and t.lane.max() < len(t.lane_names)
    assert "rows" in repr(t) and "start_s" in dir(t) and "start_s" in t
    first = int(t.gpu[0])
    only = flopcast.run(text=TRAINING, timeline=True, timeline_gpus=[first]).timeline()
    assert set(only.gpu) == {first} and only.size == (t.gpu == first).sum()


def test_requests_agree_with_their_report():
    report = flopcast.run(text=SERVING, requests=True)
    r = report.requests()
    assert r.size == 300 and (numpy.diff(r.arrival_s) >= 0).all() and r.class_names == ("chat",)
    done = r.outcome == 0
    assert done.sum() == report.serving.completed
    assert (r.first_token_s[done] > r.arrival_s[done]).all() and (r.finish_s[done] >= r.first_token_s[done]).all()
    with pytest.raises(AttributeError, match="arrival_s"):
        r.arrivals_s


def test_what_was_not_kept_is_refused_in_words():
    report = flopcast.run(text=TRAINING)
    with pytest.raises(ValueError, match="timeline=True"):
        report.timeline()
    with pytest.raises(ValueError, match="requests=True"):
        report.requests()


def test_arrays_are_views_that_keep_the_record():
    report = flopcast.run(text=TRAINING, timeline=True)
    one, two = report.timeline().start_s, report.timeline().start_s
    assert numpy.shares_memory(one, two) and not one.flags.owndata and not one.flags.writeable
    with pytest.raises(ValueError):
        one[0] = 1
    copy = one.copy()
    del report, two
    gc.collect()
    flopcast.run(text=TRAINING, timeline=True)
    assert (one == copy).all()


def test_a_report_freed_while_others_read_it():
    for _ in range(3):
        box = [flopcast.run(text=TRAINING, timeline=True)]
        expected = json.loads(box[0].json())["training"]["step_time_s"]
        found, begun = [], threading.Barrier(4)

        def read():
            begun.wait()
            try:
                report = box[0]
                times = report.timeline().end_s
                found.append((json.loads(report.json())["training"]["step_time_s"], float(times.max())))
            except IndexError:  # gone before we came
                pass

        readers = [threading.Thread(target=read) for _ in range(3)]
        for reader in readers:
            reader.start()
        begun.wait()
        box.clear()
        gc.collect()
        for reader in readers:
            reader.join()
        assert all(step == expected for step, _ in found)


def test_frames_where_pandas_is_there():
    pytest.importorskip("pandas")
    frame = flopcast.run(text=SERVING, requests=True).requests().frame()
    assert len(frame) == 300 and set(frame.request_class) == {"chat"}
    frame = flopcast.run(text=TRAINING, timeline=True).timeline().frame()
    assert {"kind", "lane", "start_s"} <= set(frame.columns) and "kind_names" not in frame


def test_frames_where_pandas_is_not_there(monkeypatch):
    import sys
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="python3-pandas"):
        flopcast.run(text=SERVING, requests=True).requests().frame()
