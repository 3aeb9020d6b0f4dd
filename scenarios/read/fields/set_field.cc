#include "scenarios/read/fields/set_field.h"

#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

namespace flopcast {
namespace {

namespace pb = google::protobuf;
using Field = pb::FieldDescriptor;

constexpr const char* kOrigin = "--set";

struct Step {
  std::string name;
  std::optional<int> index;
};

/// "slow[0]" -> slow, 0. Nothing when the index is not a small number in brackets at the end.
std::optional<Step> parse_step(std::string_view text) {
  const auto open = text.find('[');
  if (open == std::string_view::npos) return Step{std::string(text), std::nullopt};
  if (text.back() != ']') return std::nullopt;
  const std::string_view digits = text.substr(open + 1, text.size() - open - 2);
  int index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc() || end != digits.data() + digits.size() || index < 0) return std::nullopt;
  return Step{std::string(text.substr(0, open)), index};
}

std::string_view next_part(std::string_view& rest, char separator) {
  const auto cut = rest.find(separator);
  const std::string_view part = rest.substr(0, cut);
  rest = cut == std::string_view::npos ? std::string_view() : rest.substr(cut + 1);
  return part;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> parse_switch(std::string_view text) {
  if (text == "true" || text == "on" || text == "yes" || text == "1") return true;
  if (text == "false" || text == "off" || text == "no" || text == "0") return false;
  return std::nullopt;
}

std::string_view without_quotes(std::string_view text) {
  const bool quoted = text.size() >= 2 && (text[0] == '"' || text[0] == '\'') && text.back() == text[0];
  return quoted ? text.substr(1, text.size() - 2) : text;
}

/// Adds the paths of fields below a message that end in `tail`, those nearest the root first.
void find_tails(const pb::Descriptor& root, const std::string& tail, std::vector<std::string>& found) {
  constexpr std::size_t kDeepest = 5;
  std::vector<std::pair<const pb::Descriptor*, std::string>> level{{&root, ""}};
  for (std::size_t depth = 0; depth < kDeepest && !level.empty(); ++depth) {
    std::vector<std::pair<const pb::Descriptor*, std::string>> next;
    for (const auto& [message, path] : level) {
      for (int i = 0; i < message->field_count(); ++i) {
        const Field& field = *message->field(i);
        const std::string full = path + field.name();
        if (full.ends_with("." + tail)) found.push_back(full);
        if (field.message_type() != nullptr)
          next.emplace_back(field.message_type(), full + (field.is_repeated() ? "[0]." : "."));
      }
    }
    level = std::move(next);
  }
}

class Setter {
 public:
  Setter(pb::Message& root, Places& places, Diagnostics& faults) : root_(root), places_(places), faults_(faults) {}

  void apply(std::string_view path, std::string_view value) {
    pb::Message* message = &root_;
    std::string walked;
    for (std::string_view rest = path; message;) {
      const std::string_view part = next_part(rest, '.');
      const auto step = parse_step(part);
      if (!step)
        return fault(walked + std::string(part), quoted(std::string(part)), "a field with an index such as slow[0]");
      const Field* field = message->GetDescriptor()->FindFieldByName(step->name);
      if (!field) return unknown(walked, step->name, *message, path);
      walked += std::string(part);
      if (!index_fits(*message, field, *step, walked)) return;
      if (rest.empty()) return assign(*message, field, *step, value, walked);
      message = enter(*message, field, *step, walked);
      walked += ".";
    }
  }

 private:
  /// Who gives a switch a word may mean a switch beside it: those that share the last word of its name.
  static std::string kindred_switches(const Field* field) {
    const auto last_word = [](std::string name) {
      name = name.substr(name.rfind('_') + 1);
      if (!name.empty() && name.back() == 's') name.pop_back();
      return name;
    };
    std::string kindred;
    for (int i = 0; i < field->containing_type()->field_count(); ++i) {
      const Field* other = field->containing_type()->field(i);
      if (other == field || other->cpp_type() != Field::CPPTYPE_BOOL ||
          last_word(other->name()) != last_word(field->name()))
        continue;
      kindred += (kindred.empty() ? "; beside it there is " : ", ") + other->name();
    }
    return kindred;
  }

  /// @param path all of it. Of one without its first steps, such as plan.tensor, the whole one is known.
  void unknown(const std::string& walked, const std::string& name, const pb::Message& message, std::string_view path) {
    std::vector<std::string> names, whole;
    if (walked.empty()) find_tails(*message.GetDescriptor(), std::string(path), whole);
    if (!whole.empty()) return fault(std::string(path), kUnknownField, "the whole path of a field", whole.front());
    for (int i = 0; i < message.GetDescriptor()->field_count(); ++i)
      names.push_back(message.GetDescriptor()->field(i)->name());
    fault(walked + name, kUnknownField, one_of(name, names), nearest_name(name, names));
  }

  bool index_fits(const pb::Message& m, const Field* field, const Step& step, const std::string& path) {
    if (!step.index) return true;
    if (!field->is_repeated()) {
      fault(path, "an index", "none, " + step.name + " is a single field");
      return false;
    }
    const int size = m.GetReflection()->FieldSize(m, field);
    if (*step.index > size)
      fault(path, fmt::format("index {}", *step.index), fmt::format("an index from 0 to {}", size));
    return *step.index <= size;
  }

  pb::Message* enter(pb::Message& m, const Field* field, const Step& step, const std::string& path) {
    const auto* r = m.GetReflection();
    if (field->cpp_type() != Field::CPPTYPE_MESSAGE) {
      fault(path, "a field within a value", "nothing after " + step.name);
      return nullptr;
    }
    if (!field->is_repeated()) return r->MutableMessage(&m, field);
    if (!step.index) {
      fault(path, "a list without an index", step.name + "[0] for its first entry");
      return nullptr;
    }
    return *step.index == r->FieldSize(m, field) ? r->AddMessage(&m, field)
                                                 : r->MutableRepeatedMessage(&m, field, *step.index);
  }

  void assign(pb::Message& m, const Field* field, const Step& step, std::string_view value, const std::string& path) {
    if (value.empty()) {
      m.GetReflection()->ClearField(&m, field);
    } else if (field->cpp_type() == Field::CPPTYPE_MESSAGE) {
      return fault(
          path, quoted(std::string(value)),
          "a value for one of its fields, such as " + path + "." + field->message_type()->field(0)->name() + "=...");
    } else if (field->is_repeated() && !step.index) {
      m.GetReflection()->ClearField(&m, field);
      const bool bracketed = value.front() == '[' && value.back() == ']';
      std::string_view rest = bracketed ? value.substr(1, value.size() - 2) : value;
      const std::size_t before = faults_.size();
      for (int i = 0; !rest.empty() && faults_.size() == before; ++i) scalar(m, field, i, next_part(rest, ','), path);
    } else {
      scalar(m, field, step.index, value, path);
    }
    places_.set(path, {kOrigin, 0, 0});
  }

  /// Sets the field, or the `index`-th entry of a list (added when it is one past the last).
  void scalar(pb::Message& m, const Field* f, std::optional<int> index, std::string_view value,
              const std::string& path) {
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    const auto* r = m.GetReflection();
    const bool add = index && *index == r->FieldSize(m, f);
    const int at = index.value_or(0);
    const bool number = f->cpp_type() == Field::CPPTYPE_INT32 || f->cpp_type() == Field::CPPTYPE_INT64 ||
                        f->cpp_type() == Field::CPPTYPE_DOUBLE;
    if (number && misleading_zeros(value))
      return fault(path, quoted(std::string(value)), kPlainNumber, without_zeros(value));
    switch (f->cpp_type()) {
      case Field::CPPTYPE_STRING: {
        const std::string text(without_quotes(value));
        if (!index)
          r->SetString(&m, f, text);
        else if (add)
          r->AddString(&m, f, text);
        else
          r->SetRepeatedString(&m, f, at, text);
        break;
      }
      case Field::CPPTYPE_BOOL: {
        const auto on = parse_switch(value);
        if (!on) return fault(path, quoted(std::string(value)), "true or false" + kindred_switches(f));
        r->SetBool(&m, f, *on);
        break;
      }
      case Field::CPPTYPE_INT32: {
        const auto n = parse_number<std::int32_t>(value);
        if (!n) return fault(path, quoted(std::string(value)), "a whole number");
        if (!index)
          r->SetInt32(&m, f, *n);
        else if (add)
          r->AddInt32(&m, f, *n);
        else
          r->SetRepeatedInt32(&m, f, at, *n);
        break;
      }
      case Field::CPPTYPE_INT64: {
        const auto n = parse_number<std::int64_t>(value);
        if (!n) return fault(path, quoted(std::string(value)), "a whole number");
        r->SetInt64(&m, f, *n);
        break;
      }
      default: {
        const auto n = parse_number<double>(value);
        if (!n) return fault(path, quoted(std::string(value)), "a number");
        if (!index)
          r->SetDouble(&m, f, *n);
        else if (add)
          r->AddDouble(&m, f, *n);
        else
          r->SetRepeatedDouble(&m, f, at, *n);
      }
    }
  }

  void fault(const std::string& path, std::string found, std::string expected, std::string suggestion = "") {
    faults_.push_back({kOrigin, 0, 0, path, std::move(found), std::move(expected), std::move(suggestion)});
  }

  pb::Message& root_;
  Places& places_;
  Diagnostics& faults_;
};

}  // namespace

void set_field(const std::string& assignment, pb::Message& message, Places& places, Diagnostics& faults) {
  const auto equals = assignment.find('=');
  if (equals == std::string::npos || equals == 0) {
    faults.push_back({kOrigin, 0, 0, "", quoted(assignment), "path=value, such as training.plan.data=64", ""});
    return;
  }
  Setter(message, places, faults)
      .apply(std::string_view(assignment).substr(0, equals), std::string_view(assignment).substr(equals + 1));
}

}  // namespace flopcast
