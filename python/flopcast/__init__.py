"""Forecasts the time, energy and cost of work on GPU clusters, operation by operation.

    import flopcast
    report = flopcast.run("deepseek_v3_2048_h800", set={"training.batch.sequences": 7680})
    report.training.step_time_s            # any field of the JSON report
    report.metrics()["projection.days"]    # the same as a flat dictionary

run()       a scenario, by name, file or text, to a Report
check()     the same without a replay: what is wrong with it, or whether it fits
resolve()   the scenario alone, to be run several times or extended
sweep()     all candidates of a study, on every core, to a pandas.DataFrame; read_sweep() reads what one has left
plan(), size(), compare(), explain(), curve(), cost(), fleet(), policy_classify(), policy_answer(), validate()
            the studies of the command line, as what their JSON says
deploy(), import_model()  what these commands write, as text
Environment the libraries and calibrations that the others read; one is made when none is given

Faults of an input raise InputError, whose `diagnostics` have file, line, column, path, found, expected, nearest and
remedy. A schedule, a router or a batching policy may be a Python function: see run(). Several threads may call
anything here at once. docs/python.md has a worked example.
"""
from __future__ import annotations

import atexit
import os
import threading
from typing import Any, Callable, Iterable, Mapping, Optional, Sequence, Union

from . import _flopcast
from ._flopcast import (Diagnostic, Environment as _Environment, InputError, Interrupted, Iteration, PipelineSizes,
                        Progress, Replica, Request, Scenario)
from ._report import Columns, Metric, Part, Report
from ._studies import (compare, cost, curve, deploy, explain, fleet, import_model, plan, policy_answer, policy_classify,
                       size, validate)
from ._sweep import read as read_sweep, sweep

__all__ = [
    "Columns", "Diagnostic", "Environment", "InputError", "Interrupted", "Iteration", "Metric", "Part",
    "PipelineSizes", "Progress", "Replica", "Report", "Request", "Scenario", "check", "compare", "cost", "curve", "deploy",
    "explain", "fleet", "import_model", "plan", "policy_answer", "policy_classify", "read_sweep", "resolve", "run",
    "schedule_text", "size", "sweep", "validate",
]
atexit.register(_flopcast.end)
__version__ = _flopcast.version().split()[-1]

Source = Union[str, "os.PathLike[str]", Scenario]
Orders = Union[str, Sequence[Union[str, Sequence[str]]]]
Schedule = Callable[[PipelineSizes], Orders]
Router = Callable[[Request, Sequence[Replica]], Optional[int]]
Batching = Callable[[Iteration], None]


class Environment(_Environment):
    __doc__ = _Environment.__doc__

    def __init__(self, folders: Iterable[Union[str, "os.PathLike[str]"]] = ()) -> None:
        """Looks in `folders`, then in those of $FLOPCAST_LIBRARY, then in the data that came with this library."""
        if isinstance(folders, (str, bytes, os.PathLike)):
            raise TypeError("folders is a list of folders, not one")
        super().__init__([os.fspath(folder) for folder in folders])

    def __repr__(self) -> str:
        return f"<Environment {':'.join(self.folders)}>"


_lock = threading.Lock()
_default: tuple[Optional[str], Optional[Environment]] = (None, None)  # $FLOPCAST_LIBRARY, and what was found with it


def _environment(given: Optional[Environment]) -> Environment:
    if given is not None:
        return given
    global _default
    searched = os.environ.get("FLOPCAST_LIBRARY")
    with _lock:
        if _default[1] is None or _default[0] != searched:
            _default = (searched, Environment())
        return _default[1]


def _value(value: Any) -> str:
    if hasattr(value, "item") and not isinstance(value, str):
        value = value.item()  # of NumPy
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_value(entry) for entry in value) + "]"
    return str(value)


def _overrides(set: Union[Mapping[str, Any], Iterable[str], None]) -> list[str]:
    if set is None:
        return []
    if isinstance(set, str):
        return [set]
    if isinstance(set, Mapping):
        return [f"{path}={_value(value)}" for path, value in set.items()]
    return list(set)


def _order_text(orders: Any) -> str:
    """A line per rank, from what a schedule function returned."""
    if isinstance(orders, str):
        return orders
    if not isinstance(orders, Iterable) or isinstance(orders, Mapping):
        raise TypeError(f"a schedule returned {orders!r}, expected an order of passes per rank, such as "
                        "[\"F0 F1 B0 B1\", ...]")
    lines = []
    for rank, order in enumerate(orders):
        lines.append(f"{rank}: {order if isinstance(order, str) else ' '.join(order)}\n")
    return "".join(lines)


def _by_pool(functions: Any) -> dict[str, Any]:
    """"" stands for every pool."""
    if functions is None:
        return {}
    return dict(functions) if isinstance(functions, Mapping) else {"": functions}


def _router(function: Router) -> Router:
    def route(request: Request, replicas: Sequence[Replica]) -> Optional[int]:
        chosen = function(request, replicas)
        if chosen is None:
            return None
        index = chosen.__index__() if hasattr(chosen, "__index__") else None
        if index is None:
            raise TypeError(f"a router returned {chosen!r}, expected the index of a replica, or None")
        if index < 0:
            raise ValueError(f"a router returned {index}, expected the index of a replica from 0, or None")
        return index

    return route


def _batching(policy: Any) -> tuple[Batching, bool]:
    return policy, bool(getattr(policy, "decodes_beside_prompts", True))


def _callable(what: str, functions: Iterable[Any]) -> None:
    for function in functions:
        if not callable(function):
            raise TypeError(f"{what} is {function!r}, expected a function; a row of the library is chosen by set=")


def _extended(scenario: Scenario, schedule: Optional[Schedule], router: Any, batching: Any) -> Scenario:
    if schedule is None and router is None and batching is None:
        return scenario
    routers, policies = _by_pool(router), _by_pool(batching)
    _callable("schedule", [] if schedule is None else [schedule])
    _callable("router", routers.values())
    _callable("batching", policies.values())
    return _flopcast.extend(
        scenario, None if schedule is None else (lambda sizes: _order_text(schedule(sizes))),
        {pool: _router(function) for pool, function in routers.items()},
        {pool: _batching(function) for pool, function in policies.items()})


def resolve(source: Optional[Source] = None, *, text: Optional[str] = None, label: str = "text.textproto",
            set: Union[Mapping[str, Any], Iterable[str], None] = None, environment: Optional[Environment] = None,
            schedule: Optional[Schedule] = None, router: Union[Router, Mapping[str, Router], None] = None,
            batching: Union[Batching, Mapping[str, Batching], None] = None) -> Scenario:
    """A scenario, looked up, checked and complete. Raises InputError with everything that is wrong with it.

    source       name of a scenario of the libraries, or a file; a resolved Scenario is taken as it is
    text         instead of `source`: the scenario itself. `label` stands for the file in diagnostics, gives the
                 scenario its name, and files that the text names are looked for in its folder
    set          {"training.batch.sequences": 7680}, or a list of "path=value", as --set of the command line
    environment  where names are looked up; None: an Environment() that all calls share
    schedule, router, batching
                 functions, see run()
    """
    if (source is None) == (text is None):
        raise TypeError("either a source or a text is needed, and not both")
    if isinstance(source, Scenario):
        if set:
            raise TypeError("a scenario that is resolved cannot be changed: give set= where it is resolved")
        found = source
    elif text is not None:
        found = _flopcast.resolve_text(text, label, _environment(environment), _overrides(set))
    else:
        found = _flopcast.resolve(os.fspath(source), _environment(environment), _overrides(set))
    return _extended(found, schedule, router, batching)


def check(source: Optional[Source] = None, **how: Any) -> str:
    """Builds what would be replayed and looks whether it fits, without replaying it. Arguments as those of resolve().

    Returns a few words, such as "60 micro-batches per step, 70.1 GB of 80.0 GB on the fullest GPU". Raises InputError,
    whose `diagnostics` say what is wrong, each at its place.
    """
    return _flopcast.check(resolve(source, **how))


def run(source: Optional[Source] = None, *, text: Optional[str] = None, label: str = "text.textproto",
        set: Union[Mapping[str, Any], Iterable[str], None] = None, environment: Optional[Environment] = None,
        schedule: Optional[Schedule] = None, router: Union[Router, Mapping[str, Router], None] = None,
        batching: Union[Batching, Mapping[str, Batching], None] = None, ideal_network: bool = False,
        allow_oom: bool = False, unfolded: bool = False, project: bool = True, timeline: bool = False,
        timeline_gpus: Sequence[int] = (), requests: bool = False,
        progress: Optional[Callable[[Progress], Optional[bool]]] = None) -> Report:
    """Runs a scenario. The first six arguments are those of resolve().

    ideal_network  flows never share a link: a lower bound
    allow_oom      replay a plan that does not fit into memory
    unfolded       replay every GPU, not one per group of identical ones
    project        from the step to the whole run
    timeline       keep every operation for Report.timeline(); of `timeline_gpus` only, where that is given
    requests       keep every request for Report.requests()
    progress       called with a Progress now and then, at most 20 times a second and at the start of each stage.
                   Returning False stops the run, which raises Interrupted; what it raises comes out of run()

    An idea of your own, as a function. They are slower than what the library has built in, as each call waits for the
    interpreter:

    schedule   called with PipelineSizes; returns the order of passes per rank, as strings such as "F0 F1 B0 B1" or
               lists of "F0", "F1", ...; or all of it as one text (schedule_text() shows the notation). Called once,
               for the sizes of the step; a batch ramp and phases of other sizes are not replayed with it, and the
               report's notes say what became of them
    router     called with a Request and the Replicas of a pool; returns the index of one that is accepting, or None to
               turn the request away. A dictionary gives pools their own: {"prefill": function}
    batching   called with an Iteration; says which prompts go beside the requests that decode, by continue_prompts()
               and admit_waiting(). Asked when something about the batch changes, not at every iteration. Where the
               function has an attribute `decodes_beside_prompts` that is False, answers stand still in iterations
               with prompts. A dictionary gives pools their own

    Ctrl-C ends the run with KeyboardInterrupt. Equal inputs give equal reports, in any number of threads at once.
    """
    scenario = resolve(source, text=text, label=label, set=set, environment=environment, schedule=schedule,
                       router=router, batching=batching)
    return Report(_flopcast.run(scenario, _environment(environment), ideal_network, allow_oom, unfolded, project,
                                timeline, list(timeline_gpus), requests, progress))


def schedule_text(schedule: str, ranks: int, micro_batches: int, chunks: int = 1) -> str:
    """The order of passes of one of the library's schedules, in the notation that a function may return: a start for
    one's own. Environment().names("schedules") lists them."""
    return _flopcast.order_of_passes(schedule, ranks, micro_batches, chunks)
