"""Studies of one scenario or a few: the program runs them, this gives back what its JSON says."""
from __future__ import annotations

import os
from typing import Any, Iterable, Mapping, Optional, Union

from ._report import Part
from ._sweep import _changes, _faults, _program, _source, _streams, _texts

Source = Union[str, "os.PathLike[str]"]
Sets = Union[Mapping[str, Any], Iterable[str], None]


def _words(command: str, sources: Iterable[Source], options: Iterable[tuple[str, Any]], set: Sets,
           folders: Iterable[str], scratch: str) -> list[str]:
    words = [_program(), *command.split()]
    for number, source in enumerate(sources):
        words.append(_source(source, scratch, f"scenario_{number + 1}"))
    for name, value in options:
        if value is True:
            words.append(name)
        elif value is not None and value is not False:
            words += [name, str(value)]
    return words + _changes(set, folders)


def _run(command: str, words: list[str], scratch: str, **streams: Any) -> str:
    import subprocess  # here and below: importing the package stays quick
    done = subprocess.run(words, **{**_streams(scratch), **streams})
    if done.returncode == 2:
        raise _faults(done.stderr, scratch)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"flopcast {command} ended with status {done.returncode}")
    return done.stdout or ""


def _study(command: str, sources: Iterable[Source], options: Iterable[tuple[str, Any]], set: Sets,
           folders: Iterable[str]) -> Part:
    import json
    import tempfile
    with tempfile.TemporaryDirectory(prefix="flopcast-") as scratch:
        answer = os.path.join(scratch, "answer.json")
        _run(command, _words(command, sources, options, set, folders, scratch) + ["--json", answer], scratch)
        with open(answer, encoding="utf-8") as file:
            return json.load(file, object_hook=Part)


def _text(command: str, sources: Iterable[Source], options: Iterable[tuple[str, Any]], set: Sets,
          folders: Iterable[str]) -> str:
    """What a command writes that is no JSON."""
    import subprocess
    import tempfile
    with tempfile.TemporaryDirectory(prefix="flopcast-") as scratch:
        return _run(command, _words(command, sources, options, set, folders, scratch), scratch,
                    stdout=subprocess.PIPE)


def _listed(name: str, values: Iterable[str]) -> Optional[str]:
    return ",".join(_texts(name, values)) or None


def plan(source: Source, *, open: Iterable[str] = (), keep: Iterable[str] = (), slo: Optional[str] = None,
         why: Iterable[str] = (), set: Sets = None, folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """The best plan of a training step, deployment of a service, or layout of a loop, as `flopcast plan --json`.

    source: a file, a name of the libraries, or the text of a scenario. open, keep: what is varied though it is stated,
    and what is not varied. slo: of a service. why: "plan.tensor=8", ...: what becomes of plans with it. Faults raise
    InputError, and so does a space in which nothing fits.
    """
    options = [("--open", _listed("open", open)), ("--keep", _listed("keep", keep)), ("--slo", slo), ("-j", workers)]
    options += [("--why", value) for value in _texts("why", why)]
    return _study("plan", [source], options, set, folders)


def size(source: Source, *, deadline: Optional[str] = None, budget: Optional[float] = None,
         nodes: Iterable[str] = (), allowed_for: Optional[str] = None, date: Optional[str] = None,
         slo: Optional[str] = None, ratio: bool = False, set: Sets = None, folders: Iterable[str] = (),
         workers: Optional[int] = None) -> Part:
    """The smallest cluster for a run of training or RL, or deployment of a service, as `flopcast size --json`.

    deadline: "60d", budget: US dollars, nodes: kinds to try, allowed_for: "china", chips that may be sold there, date:
    of rents, rules and launches. slo: of a service; ratio: instead its best ratio of prefill to decode replicas. Where
    nothing does, InputError says what is missing.
    """
    options = [("--deadline", deadline), ("--budget", budget), ("--nodes", _listed("nodes", nodes)),
               ("--allowed-for", allowed_for), ("--date", date), ("--slo", slo), ("--ratio", ratio), ("-j", workers)]
    return _study("size", [source], options, set, folders)


def compare(*sources: Source, causes: Iterable[str] = (), measure: Optional[str] = None, set: Sets = None,
            to: Sets = None, folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """Scenarios side by side, their difference attributed to causes, as `flopcast compare --json`.

    sources: two or more scenarios, or one with causes by name, or one study. set: changes in all of them, to: in all but
    the first, or, of one scenario, what it is compared with.
    """
    from . import _overrides
    options = [("--cause", cause) for cause in _texts("causes", causes)]
    options += [("--to", assignment) for assignment in _overrides(to)]
    options += [("--measure", measure), ("--workers", workers)]
    return _study("compare", sources, options, set, folders)


def explain(source: Source, *, set: Sets = None, folders: Iterable[str] = ()) -> Part:
    """What each mechanism, part or phase takes, as `flopcast explain --json`."""
    return _study("explain", [source], [], set, folders)


def curve(*sources: Source, users: Iterable[int] = (), set: Sets = None, folders: Iterable[str] = (),
          workers: Optional[int] = None) -> Part:
    """Throughput against speed of services, from one user to full batches, as `flopcast curve --json`."""
    users = ",".join(str(count) for count in _texts("users", users)) or None
    return _study("curve", sources, [("--users", users), ("-j", workers)], set, folders)


def cost(source: Source, *, price_model: Optional[str] = None, date: Optional[str] = None, slo: Optional[str] = None,
         draws: Optional[int] = None, rent_quantile: Optional[float] = None, set: Sets = None,
         folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """What a run, a programme or a service costs, and how sure that is, as `flopcast cost --json`.

    price_model: "stated", "rental", "owned", "amortised" or "all". date: the day whose prices hold.
    """
    options = [("--price-model", price_model), ("--date", date), ("--slo", slo), ("--draws", draws),
               ("--rent-quantile", rent_quantile), ("-j", workers)]
    return _study("cost", [source], options, set, folders)


def fleet(source: Source, *, draws: Optional[int] = None, set: Sets = None, folders: Iterable[str] = ()) -> Part:
    """The ledger of a fleet of GPUs, as `flopcast fleet --json`. source: a file, a name such as "deepseek_fleet", or
    the text of a fleet."""
    return _study("fleet", [source], [("--draws", draws)], set, folders)


def policy_classify(*chips: str, date: Optional[str] = None, rule: Optional[str] = None, set: Sets = None,
                    folders: Iterable[str] = ()) -> Part:
    """Which export rules catch chips, as `flopcast policy classify --json`. No chips: all of the libraries. date: only
    the rules of that day. set: figures of the chips, changed."""
    return _study("policy classify", chips, [("--date", date), ("--rule", rule)], set, folders)


def policy_answer(asked: str, work: Iterable[Source], *, chips: Iterable[str] = (), sweep: Iterable[str] = (),
                  tpot: Optional[str] = None, folders: Iterable[str] = (), workers: Optional[int] = None) -> Part:
    """What a rule, or the rules of a day, leave of some work, as `flopcast policy answer --json`.

    asked: the rule or the day. work: files or names of scenarios with training or serving. chips: put it on these
    alone. sweep: limits of the scenario's chip to cut and raise ("nvlink", "hbm", "flops", "nic").
    """
    options = [("--for", os.fsdecode(one)) for one in _texts("work", work)]
    options += [("--chips", _listed("chips", chips))]
    options += [("--sweep", limit) for limit in _texts("sweep", sweep)]
    return _study("policy answer", [asked], options + [("--tpot", tpot), ("-j", workers)], None, folders)


def validate(*, rl: bool = True, runs: bool = False, folders: Iterable[str] = (),
             workers: Optional[int] = None) -> Part:
    """Predictions beside what was measured and published, as `flopcast validate --json`. rl: loops of reinforcement
    learning too. runs: every published training run, not only their summary."""
    return _study("validate", [], [("--without-rl", not rl), ("--runs", runs), ("-j", workers)], None, folders)


def deploy(source: Source, *, model: Optional[str] = None, kubernetes: bool = False, set: Sets = None,
           folders: Iterable[str] = ()) -> str:
    """What starts a serving scenario, as `flopcast deploy` writes it: command lines, or a Kubernetes manifest. model:
    what the engine loads."""
    return _text("deploy", [source], [("--model", model), ("--kubernetes", kubernetes)], set, folders)


def import_model(config: Source, *, name: Optional[str] = None, architecture: Optional[str] = None) -> str:
    """A model file from a Hugging Face config.json, or from its folder, as `flopcast import-model` writes it: a folder
    models/ with it, named in `folders`, makes it a model of the libraries."""
    return _text("import-model", [config], [("--name", name), ("--as", architecture)], None, [])
