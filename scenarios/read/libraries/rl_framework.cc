#include "scenarios/read/libraries/rl_framework.h"

#include <fmt/format.h>
#include <google/protobuf/text_format.h>

#include "scenarios/proto/rl.pb.h"
#include "scenarios/read/libraries/library_entries.h"

namespace flopcast {
namespace {

namespace habits_pb = google::protobuf;

/// A line per single habit that nothing which is stated stands in place of.
void note_habits(const habits_pb::Message& habits, const habits_pb::Message& stated, const std::string& path,
                 const std::string& whose, std::vector<std::string>& used) {
  std::vector<const habits_pb::FieldDescriptor*> fields;
  habits.GetReflection()->ListFields(habits, &fields);
  for (const auto* field : fields) {
    const std::string at = path + "." + field->name();
    if (field->cpp_type() == habits_pb::FieldDescriptor::CPPTYPE_MESSAGE) {
      note_habits(habits.GetReflection()->GetMessage(habits, field), stated.GetReflection()->GetMessage(stated, field),
                  at, whose, used);
    } else if (!stated.GetReflection()->HasField(stated, field)) {
      std::string text;
      habits_pb::TextFormat::PrintFieldValueToString(habits, field, -1, &text);
      used.push_back(fmt::format("{} = {} ({})", at, text, whose));
    }
  }
}

}  // namespace

std::string lay_over_framework(proto::Rl& rl, const Libraries& libraries, std::vector<std::string>& used) {
  const auto profile = load_entry<proto::RlFramework>(libraries, rl.framework());
  proto::Rl habits = profile.message.habits();
  lay_over(habits, rl.placement() == "separate" ? profile.message.apart() : profile.message.in_turn());
  // What has no engine has no habits of one.
  if (!rl.has_rollout()) habits.clear_rollout();
  note_habits(habits, rl, "rl", rl.framework(), used);
  lay_over(habits, rl);
  rl = std::move(habits);
  return profile.message.software();
}

}  // namespace flopcast
