"""Do functions of the user's own replace schedules, routers and batching policies, exactly, and fail in the open?"""
import threading
from concurrent.futures import ThreadPoolExecutor

import flopcast
import pytest

from scenarios import APART, SERVING, TRAINING


def measured(report, part):
    """What was found, without what it is called."""
    return {key: value for key, value in report.to_dict()[part].items()}


def test_a_schedule_that_copies_one_of_the_librarys_gives_its_times():
    asked = []

    def dualpipe(sizes):
        asked.append((sizes.ranks, sizes.micro_batches, sizes.chunks, sizes.stages))
        return flopcast.schedule_text("dualpipe", sizes.ranks, sizes.micro_batches)

    own = flopcast.run(text=TRAINING, schedule=dualpipe)
    assert asked == [(2, 8, 1, 2)]
    assert own.training == flopcast.run(text=TRAINING).training


def one_forward_one_backward(sizes):
    orders = []
    for rank in range(sizes.ranks):
        warm_up = min(sizes.ranks - rank - 1, sizes.micro_batches)
        order = [f"F{m}" for m in range(warm_up)]
        for m in range(sizes.micro_batches - warm_up):
            order += [f"F{m + warm_up}", f"B{m}"]
        order += [f"B{m}" for m in range(sizes.micro_batches - warm_up, sizes.micro_batches)]
        orders.append(order)
    return orders


def test_a_schedule_may_be_lists():
    expected = flopcast.run(text=TRAINING, set={"training.schedule": "1f1b"})
    assert flopcast.run(text=TRAINING, schedule=one_forward_one_backward).training == expected.training
    lines = flopcast.run(text=TRAINING, schedule=lambda s: [" ".join(o) for o in one_forward_one_backward(s)])
    assert lines.training == expected.training


def test_an_order_that_cannot_be_is_refused_at_its_place():
    with pytest.raises(flopcast.InputError) as caught:
        flopcast.run(text=TRAINING, schedule=lambda sizes: ["F0 B0", "F0 X0"])
    assert any(fault.line == 2 and "X0" in fault.found for fault in caught.value.diagnostics)
    with pytest.raises(flopcast.InputError):
        flopcast.schedule_text("dualpip", 4, 8)
    with pytest.raises(TypeError, match="a schedule returned 3, expected an order of passes per rank"):
        flopcast.run(text=TRAINING, schedule=lambda sizes: 3)
    with pytest.raises(flopcast.InputError):
        flopcast.run(text=SERVING, schedule=one_forward_one_backward)


def round_robin():
    turn = [0]

    def route(request, replicas):
        for i in range(len(replicas)):
            at = (turn[0] + i) % len(replicas)
            if replicas[at].accepting:
                turn[0] = at + 1
                return at
        return None

    return route


def test_a_router_that_copies_one_of_the_librarys_gives_its_report():
    expected = flopcast.run(text=SERVING, set={"serving.replicas.router": "round_robin"})
    assert flopcast.run(text=SERVING, router=round_robin()).serving == expected.serving
    apart = flopcast.run(text=APART, set={"serving.prefill.router": "round_robin"})
    assert flopcast.run(text=APART, router={"prefill": round_robin()}).serving == apart.serving


def test_what_a_router_sees():
    seen = []

    def route(request, replicas):
        seen.append((request.id, request.pool, request.input_tokens, len(replicas), replicas[0].kv_capacity_tokens))
        return 0

    records = flopcast.run(text=SERVING, router=route, requests=True).requests()
    # Two shorter replays behind it find the ranges of latency.
    assert [entry[0] for entry in seen[:300]] == list(range(300)) and {entry[1] for entry in seen} == {"replicas"}
    assert [entry[2] for entry in seen[:300]] == list(records.input_tokens)
    assert all(entry[3] == 2 and entry[4] > 0 for entry in seen)
    assert flopcast.run(text=SERVING, router=lambda *_: None, requests=True).requests().outcome.tolist() == [1] * 300


@pytest.mark.parametrize(
    "answer,error", [(7, flopcast.InputError), (-1, ValueError), ("0", TypeError), (10**30, Exception)])
def test_a_router_that_answers_nonsense(answer, error):
    with pytest.raises(error):
        flopcast.run(text=SERVING, router=lambda request, replicas: answer)


def test_errors_in_functions_come_out():
    def fail(*_):
        raise LookupError("mine")

    for text, how in ((TRAINING, "schedule"), (SERVING, "router"), (SERVING, "batching")):
        with pytest.raises(LookupError, match="mine"):
            flopcast.run(text=text, **{how: fail})
    with pytest.raises(TypeError, match="expected a function"):
        flopcast.run(text=SERVING, router="round_robin")
    with pytest.raises(flopcast.InputError, match="prefill"):
        flopcast.run(text=APART, router={"prefil": fail})
    flopcast.run(text=SERVING)


def mixed(iteration):
    left = iteration.continue_prompts(iteration.token_budget - iteration.decoding_tokens)
    iteration.admit_waiting(left)


def prefill_first(iteration):
    iteration.admit_waiting(iteration.continue_prompts(iteration.token_budget))


prefill_first.decodes_beside_prompts = False


@pytest.mark.parametrize("policy", [mixed, prefill_first])
def test_a_batching_policy_that_copies_one_of_the_librarys_gives_its_report(policy):
    expected = flopcast.run(text=SERVING, set={"serving.replicas.batching": policy.__name__})
    assert flopcast.run(text=SERVING, batching=policy).serving == expected.serving
    assert flopcast.run(text=SERVING, batching={"replicas": policy}).serving == expected.serving


def test_a_policy_that_forgets_its_prompts_is_told():
    with pytest.raises(flopcast.InputError, match="while prompts wait"):
        flopcast.run(text=SERVING, batching=lambda iteration: None)


def test_an_iteration_that_is_over_is_refused():
    kept = []

    def keep(iteration):
        kept.append(iteration)
        mixed(iteration)

    flopcast.run(text=SERVING, batching=keep)
    with pytest.raises(RuntimeError, match="over"):
        kept[0].admit_waiting(1)
    with pytest.raises(RuntimeError, match="over"):
        kept[0].token_budget


def test_functions_are_called_from_several_runs_at_once():
    expected = flopcast.run(text=SERVING, batching=mixed).json()
    scenario = flopcast.resolve(text=SERVING, batching=mixed)
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: flopcast.run(scenario).json(), range(4))) == {expected}


def test_a_report_outlives_what_it_was_made_of():
    report = flopcast.run(text=SERVING, router=round_robin(), batching=mixed)
    expected = report.json()
    dropped = threading.Thread(target=lambda: None)
    dropped.start()
    dropped.join()
    assert report.json() == expected
    again = flopcast.resolve(report.resolved, batching=prefill_first)  # extended twice: the router stays
    assert flopcast.run(again).json() != expected
