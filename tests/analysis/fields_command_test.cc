// Is the reference of fields readable, complete, and the one in docs/?
#include <google/protobuf/util/json_util.h>

#include "analysis/render/text/format.h"
#include "scenarios/proto/field_list.pb.h"
#include "scenarios/read/fields/field_reference.h"
#include "tests/analysis/program.h"

namespace flopcast {
namespace {

using Catch::Matchers::ContainsSubstring;
using testing::Outcome;

TEST_CASE("docs/fields.md is what the program says", "[fields]") {
  const Outcome markdown = testing::flopcast("fields --markdown");
  INFO("./flopcast fields --markdown > docs/fields.md brings it up to date");
  CHECK((markdown.out == testing::contents(testing::source_dir() + "/docs/fields.md")));
}

TEST_CASE("fields explains a section and a field within 80 columns", "[fields]") {
  for (const char* path : {"", "training.plan", "serving.replicas", "cluster.gpu_override", "resilience.source",
                           "training.plan.layer_split", "fabrics.kind"}) {
    const Outcome text = testing::flopcast(std::string("fields ") + path);
    CHECK(text.code == 0);
    std::istringstream lines(text.out);
    for (std::string line; std::getline(lines, line);) {
      INFO(line);
      CHECK(display_width(line) <= 80);
    }
  }
  const std::string field = testing::flopcast("fields training.plan.context_exchange").out;
  for (const char* part : {"training.plan.context_exchange", "one of ring, all_gather", "\"ring\"", "keys and values"})
    CHECK_THAT(field, ContainsSubstring(part));
}

TEST_CASE("fields --json lists every field", "[fields]") {
  report::FieldList list;
  const std::string json = testing::flopcast("fields --json -").out;
  REQUIRE(google::protobuf::util::JsonStringToMessage(json, &list).ok());
  CHECK(static_cast<std::size_t>(list.fields_size()) == fields_below("").size());
  CHECK_THAT(json, ContainsSubstring("\"path\": \"serving.traffic.stream[].slo.ttft\""));
}

TEST_CASE("fields of a path that leads nowhere is bad input with the nearest path", "[fields]") {
  const Outcome wrong = testing::flopcast("fields training.plan.tensr");
  CHECK(wrong.code == 2);
  CHECK_THAT(wrong.err, ContainsSubstring("did you mean \"training.plan.tensor\"?"));
}

}  // namespace
}  // namespace flopcast
