"""Does Python get what the program's studies find, loops of reinforcement learning among them?"""
import json
import pickle

import flopcast
import pytest

SMALL_STEP = "h100_llama_3_1_8b_bf16_8"
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


def test_one_scenario_is_compared_with_itself_changed_and_asked_why_not_another_plan():
    step = {"training.batch.sequences": 64}
    longer = flopcast.compare("llama_3_1_8b_64_h100", set=step, to={"training.recompute.full_layer": True}, workers=1)
    assert longer.waterfalls[0].end > longer.waterfalls[0].start
    found = flopcast.plan("llama_3_1_8b_64_h100", open=["plan.tensor", "plan.data", "plan.pipeline"],
                          why=["plan.tensor=8"], set=step, workers=1)
    assert found.why[0].verdict == "slower"


def test_money_rules_curves_and_texts(tmp_path):
    chip = flopcast.policy_classify("h20", date="2024-06-01").chips[0]
    assert chip.chip == "h20"
    ledger = flopcast.fleet("deepseek_fleet", draws=100)
    assert ledger.title
    priced = flopcast.cost("deepseek_r1_published", date="2025-01-20", price_model="stated", draws=0)
    assert priced.models[0].model == "stated"
    served = flopcast.curve("deepseek_r1_distill_llama_8b_one_gpu", users=[1, 4], set={"serving.traffic.requests": 8})
    assert len(served.curves[0].rungs) == 2
    assert "vllm serve" in flopcast.deploy("llama_3_1_70b_serving_8_h100", set={"serving.replicas.engine": "vllm-0.18"})
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
        "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256,
        "max_position_embeddings": 8192, "hidden_act": "silu", "rms_norm_eps": 1e-5, "tie_word_embeddings": False}))
    assert "layers: 32" in flopcast.import_model(config)
    with pytest.raises(flopcast.InputError):
        flopcast.policy_answer("R1999_01", ["deepseek_v3_2048_h800"])


def test_faults_of_a_study_are_input_errors():
    with pytest.raises(flopcast.InputError, match="rl.run.steps"):
        flopcast.size("rl_llama_8b_16_h100", deadline="10d")
    with pytest.raises(flopcast.InputError, match="some of placement"):
        flopcast.plan("rl_llama_8b_16_h100", keep=["tensor"])


def test_faults_of_a_study_are_data_and_name_the_text_that_was_given():
    text = """title: "x"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" }
model: "deepseek-v2-lite"
training { plan { pipeline: 2 data: 16 expert: 16 } schedule: "dualpip" batch { sequences: 128 sequence_length: 4096 } }
"""
    for study in (flopcast.plan, flopcast.explain):
        with pytest.raises(flopcast.InputError) as refused:
            study(text)
        [fault] = refused.value.diagnostics
        assert (fault.file, fault.line, fault.path, fault.nearest) == \
            ("scenario_1.textproto", 4, "training.schedule", "dualpipe")
        assert pickle.loads(pickle.dumps(refused.value)).diagnostics[0].found == fault.found
    with pytest.raises(flopcast.InputError) as refused:
        flopcast.sweep("nothing of that name")
    assert refused.value.diagnostics
    with pytest.raises(flopcast.InputError):
        flopcast.explain("--help")


def test_lists_are_lists():
    for call in (lambda: flopcast.plan("x", open="all"), lambda: flopcast.compare("x", causes="ppo"),
                 lambda: flopcast.sweep("x", folders="/")):
        with pytest.raises(TypeError, match="is a list"):
            call()


class Scalar:
    """As a number of NumPy gives its value."""

    def __init__(self, value):
        self.value = value

    def item(self):
        return self.value


def test_numbers_of_numpy_are_values_of_fields():
    off = flopcast.run(SMALL_STEP, set={"training.plan.overlap_gradients": Scalar(False)})
    assert off.json() == flopcast.run(SMALL_STEP, set={"training.plan.overlap_gradients": False}).json()
