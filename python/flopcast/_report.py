"""Reports, as Python likes to look at them."""
from __future__ import annotations

from typing import Any, Iterator, Mapping, NamedTuple, Optional, TYPE_CHECKING

from . import _flopcast

if TYPE_CHECKING:
    import pandas


class Metric(NamedTuple):
    """One row of the table of metrics."""

    name: str
    """Path of the field: "training.step_time_s"."""
    value: Any
    """float, int, bool or str; None: there is none, and `absent` says why."""
    unit: str
    """ "s", "bytes", "tokens/s"; "1" of shares and ratios, "count", "text", "yes/no"."""
    title: str
    meaning: str
    absent: str


class Part(dict):
    """A part of a report: a dictionary whose keys are attributes too. Entries of lists are parts where they are
    dictionaries. A field named as a dictionary's own method, such as `items`, is reached by part["items"] alone."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(_no_such("part", name, self)) from None

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(_READ_ONLY)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]


_READ_ONLY = "what a report says is not set; another input is another run: run(..., set={...})"


def _no_such(what: str, name: str, names: Any) -> str:
    import difflib
    near = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"this {what} of a report has no {name!r}, only {', '.join(names)}{hint}"


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("a frame needs pandas, which is not installed (Debian: python3-pandas)") from error
    return pandas


class Columns(Mapping[str, Any]):
    """A record with a NumPy array per property, all of the same length, also as attributes. Arrays are read-only views
    of the library's memory, without a copy, and keep it alive. Properties that end in `_names` are tuples of texts,
    which others index: `t.kind_names[t.kind[0]]`."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self._columns = columns

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_columns":
            raise AttributeError(name)
        try:
            return self._columns[name]
        except KeyError:
            raise AttributeError(_no_such("record", name, self._columns)) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        """How many properties; `size` says how many rows."""
        return len(self._columns)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._columns]

    def __repr__(self) -> str:
        return f"<Columns of {self.size} rows: {', '.join(self._columns)}>"

    @property
    def size(self) -> int:
        """Rows."""
        return len(next(iter(self._columns.values())))

    def frame(self) -> "pandas.DataFrame":
        """A pandas frame, a row per operation or request; names stand for what indexes them."""
        pandas = _pandas()
        data = {}
        for name, column in self._columns.items():
            if name.endswith("_names"):
                continue
            names = self._columns.get(name.removeprefix("request_") + "_names")
            data[name] = pandas.Categorical.from_codes(column.astype("int64"), _distinct(names)) if names else column
        return pandas.DataFrame(data)


def _distinct(names: tuple[str, ...]) -> list[str]:
    """Categories have to differ; lanes of several GPUs may share a name."""
    seen: dict[str, int] = {}
    out = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        out.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return out


class Report:
    """What a run found. The fields of the JSON report are attributes: `report.training.step_time_s`. Immutable; may be
    read by several threads at once."""

    _report: _flopcast.Report
    _tree: Optional[Part]

    def __init__(self, report: _flopcast.Report) -> None:
        object.__setattr__(self, "_report", report)
        object.__setattr__(self, "_tree", None)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(_READ_ONLY)

    def json(self) -> str:
        """What `flopcast run --json` writes."""
        return self._report.json()

    def text(self, colours: bool = False, width: int = 80) -> str:
        """What `flopcast run` prints. colours: emphasis by escape sequences of terminals. width: columns of a line."""
        return self._report.text(colours, width)

    def to_dict(self) -> Part:
        """The JSON report as nested dictionaries, whose keys are attributes too. Made when it is first asked for."""
        if self._tree is None:
            import json
            object.__setattr__(self, "_tree", json.loads(self.json(), object_pairs_hook=Part))
        return self._tree

    def metrics(self) -> dict[str, Any]:
        """Every number and word of the report by its name: {"training.step_time_s": 19.9, ...}. Those without a value
        are left out; metrics_table() has them too."""
        return {metric.name: metric.value for metric in self.metrics_table() if metric.value is not None}

    def metrics_table(self) -> list[Metric]:
        """Every metric with unit and meaning, in the order of the report."""
        return [Metric(name, value, unit, title, meaning, absent)
                for name, value, unit, title, meaning, absent in self._report.metrics()]

    def frame(self) -> "pandas.DataFrame":
        """metrics_table() as a pandas frame, indexed by name. Raises ImportError where pandas is not installed."""
        return _pandas().DataFrame(self.metrics_table(), columns=Metric._fields).set_index("name")

    def timeline(self) -> Columns:
        """Operations of the replayed step in the order in which they ended: start_s, end_s, gpu, lane, kind, stage,
        micro_batch, layer, transfer (1: moves bytes), with lane_names and kind_names. Raises ValueError where none was
        kept: run(..., timeline=True)."""
        return self._kept(self._report.timeline(), "timeline", "a step")

    def requests(self) -> Columns:
        """Requests in the order in which they arrived: id, request_class (with class_names), outcome (0: completed,
        1: rejected, 2: lost, 3: dropped at its deadline), input_tokens, cached_tokens, output_tokens, and arrival_s,
        scheduled_s, first_token_s, finish_s in seconds (0: did not happen). Raises ValueError where none were kept:
        run(..., requests=True)."""
        return self._kept(self._report.requests(), "requests", "requests")

    @staticmethod
    def _kept(columns: Optional[dict[str, Any]], what: str, work: str) -> Columns:
        if columns is None:
            raise ValueError(f"nothing was kept: run(..., {what}=True) does, of a scenario with {work}")
        return Columns(columns)

    @property
    def resolved(self) -> _flopcast.Scenario:
        """The scenario that was run."""
        return self._report.scenario

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        tree = self.to_dict()
        try:
            return tree[name]
        except KeyError:
            raise AttributeError(_no_such("part", name, tree)) from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self.to_dict()]

    def __reduce__(self) -> Any:
        raise TypeError("a Report cannot be pickled, as it holds the whole run: send its metrics() or to_dict()")

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Report of {self.resolved.name}: {self.resolved.title}>"

    def _repr_html_(self) -> str:
        import html
        return f"<pre>{html.escape(self.text())}</pre>"
