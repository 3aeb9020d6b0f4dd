// Is every field of a file explained, and found by its path?
#include "scenarios/read/fields/field_reference.h"

#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

TEST_CASE("every field of a file is explained, with its values and default") {
  const std::vector<FieldReference> fields = fields_below("");
  CHECK(fields.size() > 400);
  for (const FieldReference& f : fields) {
    INFO(f.path);
    CHECK_FALSE(f.meaning.empty());
    CHECK(f.unit.empty() == (f.type != "quantity"));
  }
  const auto one = [](const std::string& path) { return fields_at(path).section.fields.front(); };
  CHECK(one("training.plan.context_exchange").allowed == std::vector<std::string>{"ring", "all_gather", "all_to_all"});
  CHECK(one("training.plan.context_exchange").default_value == "\"ring\"");
  CHECK(one("training.plan.pipeline").least == "1");
  CHECK(one("run.phase[3].tokens").path == "run.phase[].tokens");
  CHECK(one("run.phase.tokens").unit.find("14.8T") != std::string::npos);
  CHECK(one("gpus.sms").required);
  CHECK(one("model").library == "models");
  CHECK(fields_at("training.plan").section.fields.size() == 18);
}

TEST_CASE("a path that leads nowhere names the nearest that does") {
  CHECK_THROWS_WITH(fields_at("training.plan.tensr"), ContainsSubstring("did you mean \"training.plan.tensor\"?"));
  CHECK_THROWS_WITH(fields_at("tensor_overlap"), ContainsSubstring("did you mean \"training.plan.tensor_overlap\"?"));
  CHECK_THROWS_WITH(fields_at("training.plan.data.x"), ContainsSubstring("an unknown field"));
  CHECK_THROWS_WITH(fields_at("gpu.sms"), ContainsSubstring("gpus"));
  CHECK_THROWS_WITH(fields_at(".."), ContainsSubstring("an unknown field"));
}

}  // namespace
}  // namespace flopcast::test
