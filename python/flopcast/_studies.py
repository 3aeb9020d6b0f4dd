"""Studies of one scenario or a few: the program runs them, this gives back what its JSON says."""
from __future__ import annotations

import os
from typing import Any, Iterable, Mapping, Optional, Union

from ._report import Part
from ._sweep import _changes, _faults, _program, _source, _streams, _texts

Source = Union[str, "os.PathLike[str]"]
Sets = Union[Mapping[str, Any], Iterable[str], None]


def _study(command: str, sources: Iterable[Source], options: Iterable[tuple[str, Any]], set: Sets,
           folders: Iterable[str]) -> Part:
    import json  # importing the package stays quick
    import subprocess
    import tempfile
    with tempfile.TemporaryDirectory(prefix="flopcast-") as scratch:
        words = [_program(), command]
        for number, source in enumerate(sources):
            words.append(_source(source, scratch, f"scenario_{number + 1}"))
        for name, value in options:
            if value is not None:
                words += [name, str(value)]
        words += _changes(set, folders)
        answer = os.path.join(scratch, "answer.json")
        done = subprocess.run(words + ["--json", answer], **_streams(scratch))
        if done.returncode == 2:
            raise _faults(done.stderr, scratch)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip() or f"flopcast {command} ended with status {done.returncode}")
        with open(answer, encoding="utf-8") as file:
            return json.load(file, object_hook=Part)


def _listed(name: str, values: Iterable[str]) -> Optional[str]:
    return ",".join(_texts(name, values)) or None


def plan(source: Source, *, open: Iterable[str] = (), keep: Iterable[str] = (), slo: Optional[str] = None,
         set: Sets = None, folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """The best plan of a training step, deployment of a service, or layout of a loop, as `flopcast plan --json`.

    source: a file, a name of the libraries, or the text of a scenario. open, keep: what is varied though it is stated,
    and what is not varied. slo: of a service. Faults raise InputError, and so does a space in which nothing fits.
    """
    options = [("--open", _listed("open", open)), ("--keep", _listed("keep", keep)), ("--slo", slo), ("-j", workers)]
    return _study("plan", [source], options, set, folders)


def size(source: Source, *, deadline: Optional[str] = None, budget: Optional[float] = None,
         nodes: Iterable[str] = (), date: Optional[str] = None, slo: Optional[str] = None, set: Sets = None,
         folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """The smallest cluster for a run of training or RL, or deployment of a service, as `flopcast size --json`.

    deadline: "60d", budget: US dollars, nodes: kinds to try, date: of rents. slo: of a service. Where nothing does,
    InputError says what is missing.
    """
    options = [("--deadline", deadline), ("--budget", budget), ("--nodes", _listed("nodes", nodes)), ("--date", date),
               ("--slo", slo), ("-j", workers)]
    return _study("size", [source], options, set, folders)


def compare(*sources: Source, causes: Iterable[str] = (), measure: Optional[str] = None, set: Sets = None,
            folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """Scenarios side by side, their difference attributed to causes, as `flopcast compare --json`.

    sources: two or more scenarios, or one with causes by name, or one study.
    """
    options = [("--cause", cause) for cause in _texts("causes", causes)]
    options += [("--measure", measure), ("--workers", workers)]
    return _study("compare", sources, options, set, folders)


def explain(source: Source, *, set: Sets = None, folders: Iterable[str] = ()) -> Part:
    """What each mechanism, part or phase takes, as `flopcast explain --json`."""
    return _study("explain", [source], [], set, folders)
