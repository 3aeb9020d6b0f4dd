// Does a fingerprint tell scenarios apart by what they say?
#include "scenarios/resolve/fingerprint.h"

#include <set>

#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

TEST_CASE("a fingerprint stands for what a scenario says, not for where or in what words it says it") {
  const auto of = [](const std::string& text, const std::vector<std::string>& sets = {}) {
    return fingerprint_text(load_text(text, sets));
  };
  const std::string small = of(kSmall);
  CHECK(small.size() == 16);
  CHECK(of(kSmall) == small);  // another file
  CHECK(of(kSmall, {"name=other", "title=Other words"}) == small);
  CHECK(of(kSmall, {"training.plan.tensor_overlap=true"}) == small);  // the default, stated
  std::set<std::string> seen{small};
  for (const char* set :
       {"training.plan.tensor_overlap=false", "training.mechanisms.gpu_speed_spread=0", "price.gpu=3 USD/h",
        "cluster.node_override.nic_bandwidth=25 GB/s per direction", "training.precision.linear=fp32",
        "training.attention_kernel=flash2", "cluster.slow[0].gpu=3", "training.batch.sequences=128"}) {
    INFO(set);
    std::vector<std::string> sets{set};
    if (sets[0].find("slow") != std::string::npos) sets.push_back("cluster.slow[0].speed=0.5");
    CHECK(seen.insert(of(kSmall, sets)).second);
  }
}

}  // namespace
}  // namespace flopcast::test
