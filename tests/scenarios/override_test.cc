// Is what an override or a scale makes of an entry held to the same rules as an entry that is written out?
#include <fmt/format.h>
#include <google/protobuf/descriptor.h>

#include "scenarios/policy/chip.h"
#include "scenarios/proto/rules.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;

std::string with_cluster(const std::string& more) {
  return replaced(kSmall, "fabric: \"mpft\"", "fabric: \"mpft\" " + more);
}

struct Incomplete {
  const char* text;
  const char* diagnostic;
};

TEST_CASE("a scale says what it multiplies and by what, wherever it stands") {
  const Incomplete c = GENERATE(
      Incomplete{"gpu_override { scale { field: \"hbm_bandwidth\" } }",
                 "cluster.gpu_override.scale[0].by: found nothing, expected a value"},
      Incomplete{"gpu_override { scale { by: 2 } }",
                 "cluster.gpu_override.scale[0].field: found nothing, expected a value"},
      Incomplete{"node_override { scale { field: \"gpus\" } }", "cluster.node_override.scale[0].by: found nothing"},
      Incomplete{"fabric_override { scale { field: \"port_bandwidth\" } }",
                 "cluster.fabric_override.scale[0].by: found nothing"},
      Incomplete{"gpu_override { sources { date: \"2026\" } }", "cluster.gpu_override.sources[0].text: found nothing"},
      Incomplete{"slow { gpu: 1 }", "cluster.slow[0].speed: found nothing"});
  CAPTURE(c.text);
  CHECK_THAT(faults_of(with_cluster(c.text)), ContainsSubstring(c.diagnostic));
}

TEST_CASE("a variant in a library, and a chip changed for a rule, keep the same rules") {
  const TemporaryFolder folder;
  const auto fault = [&](const std::string& text) -> std::string {
    folder.write("gpus/mine.textproto", "base: \"h100-sxm\" title: \"mine\" " + text);
    try {
      Libraries({folder.path(), flopcast::testing::source_dir()}).gpu("mine");
      return "";
    } catch (const InputError& error) {
      return error.what();
    }
  };
  CHECK(fault("scale { field: \"hbm_bandwidth\" by: 0.5 }").empty());
  CHECK_THAT(fault("scale { field: \"hbm_bandwidth\" }"), ContainsSubstring("scale[0].by: found nothing"));
  CHECK_THAT(fault("scale { field: \"hbm_bandwidth\" by: 1e9 }"), ContainsSubstring("scale[0].by: found 1000000000"));
  CHECK_THAT(fault("scale { field: \"hbm_bandwidth\" by: 1e6 }"), ContainsSubstring("from 10 GB/s to 1000 TB/s"));
  const auto chip = [](std::vector<std::string> sets) { return load_chip(libraries(), "h100-sxm", sets); };
  CHECK_NOTHROW(chip({"scale[0].field=hbm_bandwidth", "scale[0].by=0.5"}));
  CHECK_THROWS_AS(chip({"scale[0].field=hbm_bandwidth"}), InputError);
  CHECK_THROWS_AS(chip({"scale[0].field=sms", "scale[0].by=1e-6"}), InputError);
}

TEST_CASE("a part that an override adds is whole") {
  const std::string dense = replaced(replaced(kSmall, "deepseek-v3", "llama-3.1-8b"), " expert: 8", "");
  const auto with = [&](const std::string& text) { return faults_of(dense + "model_override { " + text + " }"); };
  CHECK(with("moe { experts: 8 experts_per_token: 2 expert_width: 1024 }").empty());
  CHECK_THAT(with("moe { experts: 8 }"),
             ContainsSubstring("scenario.textproto:10:18: model_override.moe.experts_per_token: found nothing") &&
                 ContainsSubstring("model_override.moe.expert_width: found nothing"));
  CHECK_THAT(with("attention { type: \"latent\" }"), ContainsSubstring("attention.kv_lora_rank: found nothing"));
  // Another kind goes without what its base's kind reads; what is stated and not read is refused.
  const auto attention = [&](const std::string& text) {
    const std::string whole = dense + "model_override { attention { " + text + " } }";
    return load_scenario_text(whole, "scenario.textproto", {}, libraries()).training->model.attention;
  };
  CHECK(attention("type: \"multi_head\"").kv_heads == 32);
  CHECK(attention("kv_heads: 4").kv_heads == 4);
  CHECK_THAT(with("attention { kv_lora_rank: 512 }"),
             ContainsSubstring("attention.kv_lora_rank: found a value, expected none: grouped_query attention"));
  CHECK_THAT(with("attention { type: \"multi_head\" kv_heads: 4 }"),
             ContainsSubstring("attention.kv_heads: found a value"));
  CHECK_THAT(with("attention { type: \"grouped\" }"), ContainsSubstring("grouped_query"));
}

/// Every figure of the kind that can be multiplied.
std::vector<std::string> figures(const google::protobuf::Descriptor& type) {
  std::vector<std::string> out;
  for (int i = 0; i < type.field_count(); ++i) {
    const auto* f = type.field(i);
    const bool whole = f->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_INT32;
    const bool real = f->cpp_type() == google::protobuf::FieldDescriptor::CPPTYPE_DOUBLE;
    if (!f->is_repeated() && (whole || real || f->options().GetExtension(proto::rule).unit() != proto::TEXT))
      out.push_back(f->name());
  }
  return out;
}

TEST_CASE("a price that is stated for a chip is said to be that chip's when another takes its place") {
  const std::string& text = kSmall;
  const std::string chip = load_text(text).cluster.node.gpu.name;
  CHECK(load_text(text).priced_for.empty());
  CHECK(load_text(text, {"cluster.nodes=4", "training.plan.data=16"}).priced_for.empty());
  const Scenario other = load_text(text, {"cluster.node=hgx-b200"});
  CHECK(other.priced_for == chip);
  CHECK_THAT(other.notes.back(), ContainsSubstring("is what the scenario states for " + chip));
  CHECK(load_text(text, {"cluster.node_override.gpu=h20"}).priced_for == chip);
  CHECK(load_text(text, {"cluster.node=hgx-b200", "price.gpu=4 USD/h"}).priced_for.empty());
  const std::string free = replaced(text, "price { gpu: \"2 USD/h\" }", "");
  CHECK(load_text(free, {"cluster.node=hgx-b200"}).priced_for.empty());
}

TEST_CASE("no factor takes a figure out of its bounds unnoticed") {
  const struct {
    const char* part;
    const google::protobuf::Descriptor* type;
  } kinds[] = {
      {"gpu", proto::Gpu::descriptor()}, {"node", proto::Node::descriptor()}, {"fabric", proto::Fabric::descriptor()}};
  int refused = 0;
  for (const auto& kind : kinds) {
    for (const std::string& figure : figures(*kind.type)) {
      for (const char* by : {"1e-6", "1e6"}) {
        CAPTURE(kind.part, figure, by);
        const std::string faults = faults_of(
            with_cluster(fmt::format("{}_override {{ scale {{ field: \"{}\" by: {} }} }}", kind.part, figure, by)));
        if (!faults.empty()) {
          ++refused;
          CHECK_THAT(faults, ContainsSubstring(figure));
        }
      }
    }
  }
  CHECK(refused > 50);
}

TEST_CASE("texts that are no plain text are refused where they stand, also from --set and in libraries") {
  CHECK_THAT(faults_of(replaced(kSmall, "\"small\"", "\"\\x1b[31mred\"")),
             ContainsSubstring("scenario.textproto:1:1: name: found \"\\x1b[31mred\", expected text in UTF-8"));
  CHECK_THAT(faults_of(kSmall, {"title=\x1b[31m"}), ContainsSubstring("--set: title: found \"\\x1b[31m\""));
  CHECK_THAT(faults_of(kSmall, {"price.source=\xff"}), ContainsSubstring("price.source: found \"\\xff\""));
  CHECK_THAT(faults_of("# gr\xf6\xdf"
                       "er\n" +
                       kSmall),
             ContainsSubstring("scenario.textproto:1:5: found the byte \\xf6"));
  CHECK_THAT(faults_of("# \xc2\x9b\n" + kSmall), ContainsSubstring("scenario.textproto:1:3: found the byte \\xc2"));
  CHECK(faults_of("# größer\n" + replaced(kSmall, "\"small\"", "\"größer 模型\"")).empty());

  const TemporaryFolder folder;
  folder.write("models/a\x1b[31m.textproto", "title: \"x\"");
  const Libraries with({folder.path(), flopcast::testing::source_dir()});
  CHECK(with.names(LibraryKind::models) == libraries().names(LibraryKind::models));
}

}  // namespace
}  // namespace flopcast::test
