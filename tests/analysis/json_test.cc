// Does every report leave as JSON that a reader of JSON takes, whatever types its fields have?
#include "analysis/render/text/json.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/message_differencer.h>

#include <memory>

#include "scenarios/proto/chakra_report.pb.h"
#include "scenarios/proto/cost_report.pb.h"
#include "scenarios/proto/fleet_report.pb.h"
#include "scenarios/proto/plan_report.pb.h"
#include "scenarios/proto/policy_report.pb.h"
#include "scenarios/proto/report.pb.h"
#include "scenarios/proto/trace_stats.pb.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using pb::FieldDescriptor;

/// Every field of a message set once, a repeated one twice; messages within it to a depth of `deep`.
void fill_fields(pb::Message& message, int deep) {
  const pb::Reflection& reflection = *message.GetReflection();
  for (int i = 0; i < message.GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* const field = message.GetDescriptor()->field(i);
    const bool list = field->is_repeated();
    for (int again = list ? 2 : 1; again > 0; --again) {
      switch (field->cpp_type()) {
        case FieldDescriptor::CPPTYPE_MESSAGE:
          if (deep == 0) break;
          fill_fields(list ? *reflection.AddMessage(&message, field) : *reflection.MutableMessage(&message, field),
                      deep - 1);
          break;
        case FieldDescriptor::CPPTYPE_STRING:
          list ? reflection.AddString(&message, field, "a \"b\"\n")
               : reflection.SetString(&message, field, "a \"b\"\n");
          break;
        case FieldDescriptor::CPPTYPE_DOUBLE:
          list ? reflection.AddDouble(&message, field, 1.0 / 3.0) : reflection.SetDouble(&message, field, 1.0 / 3.0);
          break;
        case FieldDescriptor::CPPTYPE_FLOAT:
          list ? reflection.AddFloat(&message, field, 0.5F) : reflection.SetFloat(&message, field, 0.5F);
          break;
        case FieldDescriptor::CPPTYPE_BOOL:
          list ? reflection.AddBool(&message, field, true) : reflection.SetBool(&message, field, true);
          break;
        case FieldDescriptor::CPPTYPE_INT32:
          list ? reflection.AddInt32(&message, field, -7) : reflection.SetInt32(&message, field, -7);
          break;
        case FieldDescriptor::CPPTYPE_UINT32:
          list ? reflection.AddUInt32(&message, field, 7) : reflection.SetUInt32(&message, field, 7);
          break;
        case FieldDescriptor::CPPTYPE_INT64:
          list ? reflection.AddInt64(&message, field, -9) : reflection.SetInt64(&message, field, -9);
          break;
        case FieldDescriptor::CPPTYPE_UINT64:
          list ? reflection.AddUInt64(&message, field, 9) : reflection.SetUInt64(&message, field, 9);
          break;
        case FieldDescriptor::CPPTYPE_ENUM:
          list ? reflection.AddEnumValue(&message, field, 0) : reflection.SetEnumValue(&message, field, 0);
          break;
      }
    }
  }
}

std::unique_ptr<pb::Message> new_message(const pb::Descriptor* type) {
  return std::unique_ptr<pb::Message>(pb::MessageFactory::generated_factory()->GetPrototype(type)->New());
}

TEST_CASE("whatever a report holds comes back from its JSON", "[analysis]") {
  for (const pb::FileDescriptor* file :
       {report::Report::descriptor()->file(), report::PlanStudy::descriptor()->file(),
        report::PolicyReport::descriptor()->file(), report::CostReport::descriptor()->file(),
        report::FleetReport::descriptor()->file(), report::Chakra::descriptor()->file(),
        report::TraceStats::descriptor()->file()}) {
    for (int i = 0; i < file->message_type_count(); ++i) {
      const pb::Descriptor* const type = file->message_type(i);
      INFO(type->full_name());
      const auto sent = new_message(type), received = new_message(type);
      fill_fields(*sent, 3);
      const pb::util::Status status = pb::util::JsonStringToMessage(to_json(*sent), received.get());
      CHECK(status.ok());
      CHECK(pb::util::MessageDifferencer::Equals(*sent, *received));
    }
  }
}

}  // namespace
}  // namespace flopcast
