// Is a condition over figures read as a person means it, and refused where it means nothing?
#include <map>

#include "analysis/studies/constraints.h"
#include "flopcast/errors.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;

std::optional<NamedValue> example(std::string_view name) {
  static const std::map<std::string, NamedValue, std::less<>> kValues{
      {"training.step_time_s", {19.5, "s"}},
      {"training.peak_memory_bytes", {70e9, "bytes"}},
      {"projection.days", {57.5, "days"}},
      {"projection.gpu_hours", {2.8e6, "GPU-hours"}},
      {"projection.phases[pre-training].days", {55.0, "days"}},
      {"cost.total_usd", {5.65e6, "USD"}},
      {"training.mfu", {0.4, "1"}},
      {"serving.tokens_per_s", {1e5, "tokens/s"}},
      {"training.tflops", {385.0, "TFLOPS"}},
      {"plan", {8.0, "count"}},
      {"schedule", {std::string("dualpipe"), "text"}},
      {"folded", {true, "yes/no"}},
      {"missing", {{}, "s"}},
      {"hbm", {80e9, "bytes"}}};
  const auto found = kValues.find(name);
  return found == kValues.end() ? std::nullopt : std::optional(found->second);
}

std::optional<bool> holds(const std::string& text) { return MetricExpression(text).holds(example); }
double number_in(const std::string& text) { return MetricExpression(text).number(example).value(); }

std::string refusal(const std::string& text) {
  try {
    const MetricExpression expression(text);
    const auto faults = faults_of(expression, example, {"training.step_time_s", "hbm"});
    return faults.empty() ? ""
                          : faults.front().found + " | " + faults.front().expected + " | " + faults.front().suggestion;
  } catch (const InputError& error) {
    return error.diagnostics().front().found + " | " + error.diagnostics().front().expected;
  }
}

std::optional<std::pair<std::size_t, std::size_t>> contradicts(const std::vector<std::string>& texts) {
  std::vector<MetricExpression> conditions(texts.begin(), texts.end());
  return contradiction(conditions, example);
}

TEST_CASE("Units beside figures of other scales mean the same amount", "[constraints]") {
  CHECK(holds("training.peak_memory_bytes < 0.9 hbm") == true);
  CHECK(holds("training.peak_memory_bytes < 0.8 hbm") == false);
  CHECK(holds("training.peak_memory_bytes == 70 GB") == true);
  CHECK(holds("projection.days < 60 days") == true);
  CHECK(holds("projection.days < 1000 h") == false);
  CHECK(holds("projection.days < 60 s") == false);
  CHECK(holds("cost.total_usd < $8 M and training.mfu >= 40 %") == true);
  CHECK(holds("cost.total_usd < 5 M USD") == false);
  CHECK(holds("serving.tokens_per_s >= 100 k tokens/s") == true);
  CHECK(holds("serving.tokens_per_s > 5 M tokens/min") == true);
  CHECK(holds("training.tflops > 300 TFLOPS") == true);
  CHECK(holds("training.tflops > 0.4 PFLOPS") == false);
  CHECK(holds("projection.gpu_hours < 3 M GPU-hours") == true);
  CHECK(holds("projection.gpu_hours > 3 M GPU-hours and plan > 1") == false);
  CHECK(holds("projection.phases[pre-training].days < projection.days") == true);
  CHECK(holds("10 s < training.step_time_s < 20 s") == true);
  CHECK(holds("10 s < training.step_time_s < 19 s") == false);
}

TEST_CASE("Logic, texts, arithmetic", "[constraints]") {
  CHECK(holds("schedule == 'dualpipe' or plan > 100") == true);
  CHECK(holds("not (schedule != 'dualpipe') and folded") == true);
  CHECK(holds("mod(plan, 2) == 0 and plan * 2 >= 16") == true);
  CHECK(number_in("projection.days * 24") == Approx(57.5 * 24));
  CHECK(number_in("-training.step_time_s + 1 min") == Approx(40.5));
  CHECK_FALSE(MetricExpression("training.step_time_s / (plan - 8)").number(example).has_value());
  CHECK_FALSE(holds("plan / (plan - 8) > 1").has_value());
  CHECK(number_in("max(training.step_time_s, 0.5 min) / 2") == Approx(15));
  CHECK(number_in("log2(plan)") == Approx(3));
  CHECK(number_in("projection.gpu_hours / plan") == Approx(3.5e5));
  CHECK(MetricExpression("a.b < c and a.b > d").names() == std::vector<std::string>{"a.b", "c", "d"});
}

TEST_CASE("What has no value decides nothing, unless the rest decides", "[constraints]") {
  CHECK_FALSE(holds("missing < 3 s").has_value());
  CHECK(holds("missing < 3 s and plan > 100") == false);
  CHECK(holds("missing < 3 s or plan < 100") == true);
  CHECK_FALSE(holds("not (missing < 3 s)").has_value());
  CHECK_FALSE(MetricExpression("missing * 2").number(example).has_value());
}

TEST_CASE("What cannot be meant is refused with its place", "[constraints]") {
  CHECK_THAT(refusal("training.step_time_s < 80 GB"), ContainsSubstring("s beside bytes"));
  CHECK_THAT(refusal("schedule < 3"), ContainsSubstring("a text < a plain number"));
  CHECK_THAT(refusal("folded + 1 > 2"), ContainsSubstring("yes or no"));
  CHECK_THAT(refusal("training.step_tine_s < 3"), ContainsSubstring("training.step_time_s"));
  CHECK_THAT(refusal("plan < "), ContainsSubstring("which ends there"));
  CHECK_THAT(refusal("plan < 3 4"), ContainsSubstring("an operator"));
  CHECK_THAT(refusal("plan ! 3"), ContainsSubstring("an operator"));
  CHECK_THAT(refusal("plan + 1 and 3"), ContainsSubstring("conditions on both sides"));
  CHECK_THAT(refusal("sqrt(plan) > 1"), ContainsSubstring("one of the functions"));
  CHECK_THAT(refusal("a[b < 3"), ContainsSubstring("closing bracket"));
  CHECK_THAT(refusal(std::string(200, '(')), ContainsSubstring("fewer parentheses"));
  CHECK_THAT(refusal("plan / 0 > 1"), ContainsSubstring("something other than 0 to divide by"));
  CHECK(refusal("training.step_time_s < 20 s") == "");
}

TEST_CASE("A quantity with a unit is compared with one that says its own", "[constraints]") {
  CHECK(refusal("hbm < 80") == "80 without a unit beside bytes | a number with its unit | 80 GB");
  CHECK_THAT(refusal("projection.days < 60"), ContainsSubstring("| 60 days"));
  CHECK_THAT(refusal("60 > projection.gpu_hours"), ContainsSubstring("| 60 GPU-hours"));
  CHECK_THAT(refusal("serving.tokens_per_s > 5 k"), ContainsSubstring("| 5000 tokens/s"));
  CHECK_THAT(refusal("max(training.step_time_s, 3) > 4 s"), ContainsSubstring("3 without a unit beside s"));
  CHECK_THAT(refusal("training.step_time_s + 1 > 4 s"), ContainsSubstring("1 without a unit"));
  CHECK_THAT(refusal("hbm / training.step_time_s > 4"), ContainsSubstring("4 without a unit beside bytes / s"));
  // Zero is zero of everything; factors, shares and what is counted have none.
  for (const char* plain : {"training.step_time_s > 0", "hbm * 2 > 1 GB", "training.mfu > 0.4", "plan >= 8",
                            "hbm / (80 GB) > 0.5", "training.tflops > 400 TFLOPS"})
    CHECK(refusal(plain) == "");
}

TEST_CASE("Conditions that leave nothing are found, those that leave a point are not", "[constraints]") {
  CHECK(contradicts({"plan > 8", "hbm > 3 GB", "plan < 4"}) == std::pair<std::size_t, std::size_t>(0, 2));
  CHECK(contradicts({"plan > 8 and plan < 4"}) == std::pair<std::size_t, std::size_t>(0, 0));
  CHECK(contradicts({"plan >= 8", "plan < 8"}).has_value());
  CHECK_FALSE(contradicts({"plan >= 8", "plan <= 8"}).has_value());
  CHECK(contradicts({"projection.days > 3 d", "48 h > projection.days"}).has_value());
  CHECK_FALSE(contradicts({"projection.days > 3 d", "100 h > projection.days"}).has_value());
  CHECK(contradicts({"schedule == 'a'", "schedule == 'b'"}).has_value());
  CHECK_FALSE(contradicts({"plan > 8 or hbm > 3 GB", "plan < 4"}).has_value());
}

}  // namespace
}  // namespace flopcast
