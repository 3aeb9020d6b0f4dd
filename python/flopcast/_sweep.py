"""Sweeps: the program runs them, on every core; this reads what they leave."""
from __future__ import annotations

import os
from typing import Any, Iterable, Mapping, Optional, Union

from . import _flopcast

Study = Union[str, "os.PathLike[str]"]


def _program() -> str:
    """The program that belongs to this package: of the same build, of the same prefix, or on the path."""
    import pathlib  # here and below: importing the package stays quick
    import shutil
    here = pathlib.Path(_flopcast.__file__).resolve().parent
    candidates = [here.parents[1] / "flopcast"] if len(here.parents) > 1 else []
    candidates += [folder / "bin" / "flopcast" for folder in list(here.parents)[2:6]]
    for candidate in candidates:
        if candidate.is_file() and os.access(candidate, os.X_OK):
            return str(candidate)
    found = shutil.which("flopcast")
    if found is None:
        raise RuntimeError("the program flopcast, which runs sweeps, is neither beside this package nor on the path")
    return found


def _failed(*diagnostics: _flopcast.Diagnostic, told: str = "") -> Exception:
    error = _flopcast.InputError("\n".join(map(str, diagnostics)) or told)
    error.diagnostics = diagnostics
    return error


def _faults(told: str, scratch: str) -> Exception:
    """What the program refused, from the file that it was told to leave beside its inputs. A text that was given is
    called by its label, not by the file that it went through."""
    import json
    try:
        with open(os.path.join(scratch, "faults.json"), encoding="utf-8") as file:
            faults = json.load(file)
    except FileNotFoundError:  # a fault of the command line
        return _failed(told=told.strip())
    for fault in faults:
        if os.path.dirname(fault["file"]) == scratch:
            fault["file"] = os.path.basename(fault["file"])
    return _failed(*(_flopcast.Diagnostic(**fault) for fault in faults))


def _source(source: Any, scratch: str, label: str) -> str:
    """A word for the program's command line; a text (one with a line break in it) goes through a file."""
    import pathlib
    word = os.fsdecode(source)
    if "\n" in word:
        file = pathlib.Path(scratch) / f"{label}.textproto"
        file.write_bytes(word.encode("utf-8", "surrogateescape"))
        return str(file)
    return os.path.join(os.curdir, word) if word.startswith("-") else word  # no option


def _changes(set: Any, folders: Iterable[Any]) -> list[str]:
    """--set and --library of every command."""
    from . import _overrides
    words = []
    for assignment in _overrides(set):
        words += ["--set", assignment]
    for folder in _texts("folders", folders):
        words += ["--library", os.fspath(folder)]
    return words


def _streams(scratch: str) -> dict[str, Any]:
    """How the program is started: silent, its faults as text on stderr and as data for _faults()."""
    import subprocess
    return {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE,
            "encoding": "utf-8", "errors": "replace",
            "env": {**os.environ, "FLOPCAST_DIAGNOSTICS": os.path.join(scratch, "faults.json")}}


def _texts(name: str, values: Iterable[Any]) -> list[Any]:
    if isinstance(values, (str, bytes, os.PathLike)):
        raise TypeError(f"{name} is a list, not one text")
    return list(values)


def read(file: Union[str, "os.PathLike[str]"], name: Optional[str] = None, wall: bool = False) -> Any:
    """The results in a file that a sweep has left, a row per candidate in the order of their numbers.

    A pandas.DataFrame where pandas is installed, else a dict of columns: NumPy arrays, or lists without NumPy.
    name: which study, where the file holds several. wall: with the column wall_s, which differs between runs.
    """
    import pathlib
    import sqlite3
    if not os.path.isfile(file):
        raise FileNotFoundError(os.fspath(file))
    connection = sqlite3.connect(pathlib.Path(file).resolve().as_uri() + "?mode=ro", uri=True)
    try:
        names = [row[0] for row in connection.execute("SELECT name FROM flopcast_sweeps ORDER BY name")]
        if name is None and len(names) == 1:
            name = names[0]
        if name not in names:
            raise KeyError(f"found {name!r}, expected one of {', '.join(names)}")
        quoted = '"' + name.replace('"', '""') + '"'
        cursor = connection.execute(f"SELECT * FROM {quoted} ORDER BY number")
        header = [column[0] for column in cursor.description]
        rows = cursor.fetchall()
    except sqlite3.DatabaseError as error:
        raise _failed(_flopcast.Diagnostic(file=os.fspath(file), found=str(error),
                                           expected="the results of a sweep")) from None
    finally:
        connection.close()
    columns = {title: [row[i] for row in rows] for i, title in enumerate(header) if wall or title != "wall_s"}
    try:
        import pandas
    except ImportError:
        return _arrays(columns)
    return pandas.DataFrame(columns)


def _arrays(columns: dict[str, list[Any]]) -> dict[str, Any]:
    try:
        import numpy
    except ImportError:
        return columns
    out: dict[str, Any] = {}
    for title, values in columns.items():
        numbers = all(value is None or isinstance(value, (int, float)) for value in values)
        if numbers and any(value is None or isinstance(value, float) for value in values):
            out[title] = numpy.array([float("nan") if value is None else value for value in values], dtype=float)
        else:
            out[title] = numpy.array(values, dtype=None if numbers else object)
    return out


def sweep(study: Study, output: Optional[Union[str, "os.PathLike[str]"]] = None, *, workers: Optional[int] = None,
          set: Union[Mapping[str, Any], Iterable[str], None] = None, folders: Iterable[str] = (),
          retry: bool = False, fresh: bool = False) -> Any:
    """Runs all candidates of a study and returns their results as read() does.

    study: a file, a name of the libraries, or the text of a study (one with a line break in it).
    output: the SQLite file that keeps the results; what it has already is not run again. None: they are not kept.
    workers: processes at a time, one per core if None. set: as of run(), in every candidate.
    retry: what gave no result is run again. fresh: everything is.
    Faults of the study raise InputError; candidates that give no result are rows with a `status` and an `error`.
    """
    import signal
    import subprocess
    import tempfile
    with tempfile.TemporaryDirectory(prefix="flopcast-") as scratch:
        source = _source(study, scratch, "study")
        store = os.fspath(output) if output is not None else os.path.join(scratch, "results.sqlite")
        command = [_program(), "sweep", source, "--output", store]
        if workers is not None:
            command += ["--workers", str(workers)]
        command += _changes(set, folders)
        command += ["--retry"] * retry + ["--fresh"] * fresh
        child = subprocess.Popen(command, **_streams(scratch))
        try:
            _, told = child.communicate()
        except BaseException:
            child.send_signal(signal.SIGINT)
            child.wait()
            raise
        if child.returncode == 2:
            raise _faults(told, scratch)
        if child.returncode != 0:
            raise RuntimeError(told.strip() or f"flopcast sweep ended with status {child.returncode}")
        return read(store, os.path.splitext(os.path.basename(source))[0])
