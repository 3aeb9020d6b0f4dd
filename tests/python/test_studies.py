"""Does Python get what the program's studies find, loops of reinforcement learning among them?"""
import flopcast
import pytest

SMALL = {"rl.prompts": 16, "rl.replayed_steps": 1}


def test_a_loop_is_run_planned_sized_compared_and_explained():
    name = "rl_llama_8b_16_h100"
    step = flopcast.run(name, set=SMALL).metrics()["rl.step_time_s"]
    found = flopcast.plan(name, keep=["trainer", "batch"], set=SMALL, workers=1)
    assert any(plan.get("own") and plan.step_s == pytest.approx(step) for plan in found.plans)
    assert found.plans[0].step_s <= step
    sized = flopcast.size(name, deadline="10d", set={**SMALL, "rl.run.steps": 1000}, workers=1)
    assert sized.met[0].days <= 10
    compared = flopcast.compare(name, causes=["ppo"], set=SMALL, workers=1)
    assert compared.waterfalls[0].causes[0].id == "ppo"
    assert compared.waterfalls[0].start == pytest.approx(step)
    assert flopcast.explain(name, set=SMALL)


def test_faults_of_a_study_are_input_errors():
    with pytest.raises(flopcast.InputError, match="rl.run.steps"):
        flopcast.size("rl_llama_8b_16_h100", deadline="10d")
    with pytest.raises(flopcast.InputError, match="some of placement"):
        flopcast.plan("rl_llama_8b_16_h100", keep=["tensor"])
