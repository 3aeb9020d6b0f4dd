#include "scenarios/imports/runs/foreign_settings.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "scenarios/read/text/json_file.h"

namespace flopcast {
namespace {

std::string_view stripped(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

/// Without the quotes round it.
std::string plain_value(std::string_view text) {
  text = stripped(text);
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  return std::string(text);
}

[[noreturn]] void refuse_setting(const Place& place, std::string found, std::string expected) {
  throw InputError(Diagnostic{.file = place.file,
                              .line = place.line,
                              .column = place.column,
                              .found = std::move(found),
                              .expected = std::move(expected)});
}

/// Up to a # outside of quotes.
std::string_view without_remark(std::string_view line) {
  char quote = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quote != 0) {
      if (c == quote) quote = 0;
    } else if (c == '"' || c == '\'') {
      quote = c;
    } else if (c == '#' && (i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t')) {
      return line.substr(0, i);
    }
  }
  return line;
}

/// Calls `visit(line, number)` for each line.
template <class Visit>
void for_each_line(std::string_view text, Visit&& visit) {
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    visit(text.substr(0, end), number);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

void add_json(const google::protobuf::Value& value, const std::string& name, const Place& place, int depth,
              std::vector<RunSetting>& out) {
  constexpr int kDeepest = 16;
  using google::protobuf::Value;
  switch (value.kind_case()) {
    case Value::kStructValue: {
      if (depth >= kDeepest) refuse_setting(place, "objects within objects", "fewer of them");
      std::vector<std::string> keys;  // a hash table has no order of its own
      for (const auto& [key, inner] : value.struct_value().fields()) keys.push_back(key);
      std::ranges::sort(keys);
      for (const std::string& key : keys)
        add_json(value.struct_value().fields().at(key), name + "." + run_setting_name(key), place, depth + 1, out);
      return;
    }
    case Value::kListValue:
      out.push_back({name, "[list]", place, name});
      return;
    case Value::kNumberValue:
      out.push_back({name, fmt::format("{:.15g}", value.number_value()), place, name});
      return;
    case Value::kStringValue:
      out.push_back({name, value.string_value(), place, name});
      return;
    case Value::kBoolValue:
      out.push_back({name, value.bool_value() ? "true" : "false", place, name});
      return;
    default:
      out.push_back({name, "null", place, name, true});
      return;
  }
}

}  // namespace

int run_product(std::initializer_list<int> factors) {
  double product = 1;
  for (const int factor : factors) product *= factor;
  return static_cast<int>(std::clamp(product, 0.0, 1e9));
}

std::string run_setting_name(std::string_view written) {
  while (written.starts_with('-')) written.remove_prefix(1);
  std::string name;
  for (const char c : written) name += c == '_' ? '-' : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return name;
}

namespace {

bool is_flag(const std::string& word) {
  return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9') && word[1] != '.';
}

/// Flags of Megatron, vLLM and SGLang that take no value.
bool is_switch(std::string_view name) {
  constexpr std::string_view kSwitches[] = {"trust-remote-code",
                                            "enforce-eager",
                                            "async-scheduling",
                                            "bf16",
                                            "fp16",
                                            "swiglu",
                                            "squared-relu",
                                            "sequence-parallel",
                                            "standalone",
                                            "headless",
                                            "group-query-attention",
                                            "multi-latent-attention",
                                            "untie-embeddings-and-output-weights",
                                            "add-qkv-bias",
                                            "add-bias-linear",
                                            "qk-layernorm",
                                            "apply-layernorm-1p",
                                            "overlap-grad-reduce",
                                            "overlap-param-gather",
                                            "tp-comm-overlap",
                                            "recompute-activations",
                                            "finetune",
                                            "accumulate-allreduce-grads-in-fp32",
                                            "grad-reduce-in-bf16",
                                            "fp8-param-gather",
                                            "first-last-layers-bf16",
                                            "moe-grouped-gemm",
                                            "moe-permute-fusion",
                                            "moe-shared-expert-overlap",
                                            "moe-pad-expert-input-to-capacity",
                                            "moe-router-pre-softmax",
                                            "cross-entropy-loss-fusion",
                                            "external-cuda-graph",
                                            "mock-data",
                                            "async-save",
                                            "eod-mask-loss",
                                            "manual-gc",
                                            "attention-softmax-in-fp32",
                                            "account-for-embedding-in-pipeline-split",
                                            "account-for-loss-in-pipeline-split",
                                            "log-throughput",
                                            "log-params-norm",
                                            "log-num-zeros-in-grad",
                                            "log-timers-to-tensorboard",
                                            "skip-server-warmup",
                                            "reset-position-ids",
                                            "reset-attention-mask",
                                            "adlr-autoresume",
                                            "exit-signal-handler",
                                            "tensorboard",
                                            "ckpt-fully-parallel-save",
                                            "ckpt-fully-parallel-load",
                                            "override-opt-param-scheduler",
                                            "print-iter-log"};
  constexpr std::string_view kTakesOne[] = {"no-rope-freq", "use-tp-pp-dp-mapping-file", "disable-mlp-sync"};
  if (std::ranges::find(kTakesOne, name) != std::end(kTakesOne)) return false;
  for (const std::string_view head : {"no-", "enable-", "disable-", "use-"})
    if (name.starts_with(head)) return true;
  return std::ranges::find(kSwitches, name) != std::end(kSwitches);
}

bool is_truth(const std::string& word) {
  const std::string plain = run_setting_name(word);
  return plain == "true" || plain == "false" || plain == "0" || plain == "1";
}

/// Whether flags may stand in its place: lists, and what people call so.
bool may_hold_flags(const UnknownVariable& variable) {
  if (!variable.may_be_words) return false;
  std::string name = run_setting_name(variable.written);
  if (name.find("[@]") != std::string::npos || name.find("[*]") != std::string::npos || name == "$@" || name == "$*")
    return true;
  for (const char* word : {"args", "opts", "options", "flags", "extra"})
    if (name.find(word) != std::string::npos) return true;
  return false;
}

}  // namespace

ParsedFlags parse_flags(const RunCommand& command, std::size_t first) {
  ParsedFlags out;
  for (std::size_t i = first; i < command.size(); ++i) {
    const std::string& word = command.words[i];
    const auto stranger = [&](std::size_t at, bool alone) {
      for (const UnknownVariable& variable : command.unknown[at])
        if (variable.may_be_words && (!alone || may_hold_flags(variable)))
          return out.strangers.push_back(variable), true;
      return false;
    };
    if (!is_flag(word)) {
      const bool named = out.arguments.empty() && out.settings.empty();  // as in vllm serve $MODEL
      if (!stranger(i, named)) out.arguments.push_back({"", word, command.places[i], word, false, command.unknown[i]});
      continue;
    }
    const std::size_t equals = word.find('=');
    RunSetting setting{run_setting_name(word.substr(0, equals)), "", command.places[i], word.substr(0, equals)};
    const auto take = [&](std::size_t at) {
      setting.value += (setting.value.empty() ? "" : " ") + command.words[at];
      setting.unknown.insert(setting.unknown.end(), command.unknown[at].begin(), command.unknown[at].end());
    };
    if (equals != std::string::npos) {
      setting.value = word.substr(equals + 1);
      setting.unknown = command.unknown[i];
    } else if (is_switch(setting.name)) {
      if (i + 1 < command.size() && is_truth(command.words[i + 1])) take(++i);
    } else {
      for (bool alone = true; i + 1 < command.size() && !is_flag(command.words[i + 1]); alone = false) {
        ++i;
        if (!stranger(i, alone)) take(i);
      }
    }
    out.settings.push_back(std::move(setting));
  }
  return out;
}

namespace {

/// `{a: b, c: {d: e}}` of YAML, key by key; false: it is none.
bool add_flow_mapping(std::string_view text, const std::string& path, const Place& place, int depth,
                      std::vector<RunSetting>& out);

void add_yaml_value(const std::string& path, std::string_view raw, const Place& place, const std::string& key,
                    int depth, std::vector<RunSetting>& out) {
  if (add_flow_mapping(stripped(raw), path, place, depth, out)) return;
  const std::string value = plain_value(raw);
  out.push_back({path, value, place, key, value == "null" || value == "~"});
}

bool add_flow_mapping(std::string_view text, const std::string& path, const Place& place, int depth,
                      std::vector<RunSetting>& out) {
  constexpr int kDeepest = 16;
  if (text.size() < 2 || text.front() != '{' || text.back() != '}' || depth > kDeepest) return false;
  text = text.substr(1, text.size() - 2);
  while (!stripped(text).empty()) {
    int nested = 0;
    std::size_t end = 0;
    char quote = 0;
    for (; end < text.size(); ++end) {
      const char c = text[end];
      if (quote != 0) {
        quote = c == quote ? '\0' : quote;
        continue;
      }
      if (c == '"' || c == '\'') quote = c;
      nested += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      if (c == ',' && nested == 0) break;
    }
    const std::string_view entry = text.substr(0, end);
    const std::size_t colon = entry.find(':');
    if (colon == std::string_view::npos) refuse_setting(place, quoted(std::string(stripped(entry))), "key: value");
    const std::string key = plain_value(entry.substr(0, colon));
    add_yaml_value(path + "." + run_setting_name(key), entry.substr(colon + 1), place, key, depth + 1, out);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return true;
}

/// References of OmegaConf within a file: `${model.length}`, `${.length}`, `${..length}`, within texts too, and what
/// NeMo's launcher registers to reckon with them: `${multiply:4, ${.hidden_size}}`.
class References {
 public:
  explicit References(std::vector<RunSetting>& settings) : settings_(settings) {
    for (std::size_t i = 0; i < settings.size(); ++i) places_[settings[i].name] = i;
  }

  /// Null where it is a reference to null; nothing where the file does not say it.
  struct Said {
    std::string text;
    bool null = false;
  };
  std::optional<Said> value_of(const std::string& written, const std::string& at, int depth) {
    constexpr int kDeepest = 16;
    constexpr std::size_t kLongest = 1 << 16;
    Said out;
    for (std::size_t i = 0; i < written.size();) {
      if (written.compare(i, 2, "${") != 0) {
        out.text += written[i++];
        continue;
      }
      std::size_t end = i + 2;
      for (int open = 1; end < written.size(); ++end) {
        if (written.compare(end, 2, "${") == 0) ++open;
        if (written[end] == '}' && --open == 0) break;
      }
      if (end >= written.size() || depth >= kDeepest) return std::nullopt;
      const auto said = inner(written.substr(i + 2, end - i - 2), at, depth + 1);
      if (!said || out.text.size() + said->text.size() > kLongest) return std::nullopt;
      out.null = said->null && i == 0 && end + 1 == written.size();
      out.text += said->text;
      i = end + 1;
    }
    return out;
  }

 private:
  std::optional<Said> inner(const std::string& text, const std::string& at, int depth) {
    const std::size_t colon = text.find(':');
    if (colon != std::string::npos) {
      const auto values = value_of(text.substr(colon + 1), at, depth);
      return values ? reckoned(text.substr(0, colon), values->text) : std::nullopt;
    }
    std::string name = run_setting_name(text);
    if (name.starts_with('.')) {
      std::string within = at;
      while (name.starts_with('.')) {
        name.erase(0, 1);
        const std::size_t dot = within.rfind('.');
        within = dot == std::string::npos ? "" : within.substr(0, dot);
      }
      name = within.empty() ? name : within + "." + name;
    }
    // A file of the launcher is the part `training` of what it says.
    auto found = places_.find(name);
    if (found == places_.end() && name.starts_with("training.")) found = places_.find(name.substr(9));
    if (found == places_.end()) return std::nullopt;
    const RunSetting& setting = settings_[found->second];
    if (setting.name == at) return std::nullopt;
    auto said = value_of(setting.value, setting.name, depth);
    if (said) said->null = said->null || setting.null;
    return said;
  }

  static std::optional<Said> reckoned(const std::string& how, const std::string& list) {
    std::vector<double> numbers;
    for (std::size_t i = 0; i <= list.size();) {
      const std::size_t end = std::min(list.find(',', i), list.size());
      const std::string_view text = stripped(std::string_view(list).substr(i, end - i));
      double value = 0;
      const auto [last, error] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (error != std::errc() || last != text.data() + text.size()) return std::nullopt;
      numbers.push_back(value);
      i = end + 1;
    }
    double result = numbers[0];
    if (how == "multiply" || how == "add" || how == "sum") {
      for (std::size_t i = 1; i < numbers.size(); ++i)
        result = how == "multiply" ? result * numbers[i] : result + numbers[i];
    } else if ((how == "divide_ceil" || how == "divide_floor" || how == "divide") && numbers.size() == 2 &&
               numbers[1] != 0) {
      result = result / numbers[1];
      result = how == "divide_ceil" ? std::ceil(result) : how == "divide_floor" ? std::floor(result) : result;
    } else {
      return std::nullopt;
    }
    return Said{fmt::format("{:.15g}", result)};
  }

  const std::vector<RunSetting>& settings_;
  std::map<std::string, std::size_t> places_;
};

void resolve_references(std::vector<RunSetting>& settings) {
  std::vector<std::optional<References::Said>> values;
  References references(settings);
  for (const RunSetting& setting : settings) values.push_back(references.value_of(setting.value, setting.name, 0));
  for (std::size_t i = 0; i < settings.size(); ++i) {
    RunSetting& setting = settings[i];
    if (setting.value.find("${") == std::string::npos) continue;
    if (!values[i]) {
      setting.unknown.push_back({setting.value, setting.place, "which this file does not say", false});
      continue;
    }
    setting.value = values[i]->text;
    setting.null = values[i]->null;
  }
}

}  // namespace

std::vector<RunSetting> parse_run_yaml(const std::string& text, const std::string& file) {
  std::vector<RunSetting> out;
  std::vector<std::pair<std::size_t, std::string>> open;  // indentation and path of the mappings round a line
  std::optional<std::size_t> block;                       // a text in block style: passed over while deeper than this
  int unclosed = 0;  // braces and brackets that a value leaves open for the next line
  for_each_line(text, [&](std::string_view raw, int number) {
    const std::string_view line = without_remark(raw);
    const std::string_view content = stripped(line);
    if (content.empty() || content == "---" || content == "..." || content.starts_with('%')) return;
    const std::size_t indent = line.find_first_not_of(' ');
    if (block && indent > *block) return;
    block.reset();
    const Place place{file, number, static_cast<int>(indent) + 1};
    const auto open_braces = [](std::string_view part) {
      int count = 0;
      char quote = 0;
      for (std::size_t i = 0; i < part.size(); ++i) {
        const char c = part[i];
        if (quote != 0)
          quote = c == quote ? '\0' : quote;
        else if ((c == '"' || c == '\'') && (i == 0 || part[i - 1] == ' '))
          quote = c;
        else
          count += c == '{' || c == '[' ? 1 : c == '}' || c == ']' ? -1 : 0;
      }
      return count;
    };
    if (unclosed > 0 && !out.empty()) {
      out.back().value += " " + std::string(content);
      unclosed += open_braces(content);
      return;
    }
    unclosed = 0;
    if (line[indent] == '\t') refuse_setting(place, "a tab", "spaces, by which YAML shows what is inside what");
    if (content.starts_with("- ") || content == "-") {  // elements of a list belong to the key above
      if (!out.empty()) out.back().value += (out.back().value.empty() ? "" : " ") + plain_value(content.substr(1));
      return;
    }
    std::size_t colon = std::string_view::npos;
    for (std::size_t at = 0; (at = content.find(':', at)) != std::string_view::npos; ++at)
      if (at + 1 == content.size() || content[at + 1] == ' ') {
        colon = at;
        break;
      }
    if (colon == std::string_view::npos) refuse_setting(place, quoted(std::string(content)), "key: value");
    while (!open.empty() && open.back().first >= indent) open.pop_back();
    const std::string key = plain_value(content.substr(0, colon));
    const std::string path = (open.empty() ? "" : open.back().second + ".") + run_setting_name(key);
    const std::string_view stated = content.substr(colon + 1);
    const std::string value = plain_value(stated);
    if (value == "|" || value == ">" || value == "|-" || value == ">-") {
      block = indent;
      return;
    }
    if (value.empty() || value.starts_with('&')) open.emplace_back(indent, path);
    add_yaml_value(path, stated, place, key, 0, out);
    const std::string_view scalar = stripped(stated);
    if (scalar.starts_with("${") || scalar.starts_with("[")) unclosed = std::max(0, open_braces(scalar));
  });
  // Names of mappings say nothing of their own.
  std::set<std::string> outer;
  for (const RunSetting& setting : out)
    for (std::size_t dot = setting.name.find('.'); dot != std::string::npos; dot = setting.name.find('.', dot + 1))
      outer.insert(setting.name.substr(0, dot));
  std::erase_if(out, [&](const RunSetting& s) {
    return (s.value.empty() || s.value.starts_with('&')) && outer.contains(s.name);
  });
  resolve_references(out);
  return out;
}

namespace {

/// By how it begins, and a text by how it ends: numbers, dates, lists and tables are not read further here.
bool is_toml_value(std::string_view text) {
  if (text.empty()) return false;
  const char first = text.front();
  if (first == '"' || first == '\'') return text.size() >= 2 && text.back() == first;
  if (first == '[' || first == '{' || (first >= '0' && first <= '9') || first == '+' || first == '-') return true;
  return text == "true" || text == "false" || text == "inf" || text == "nan";
}

}  // namespace

std::vector<RunSetting> parse_run_toml(const std::string& text, const std::string& file) {
  std::vector<RunSetting> out;
  std::string section;
  bool in_list = false, in_array = false;
  for_each_line(text, [&](std::string_view raw, int number) {
    const std::string_view content = stripped(without_remark(raw));
    const Place place{file, number, static_cast<int>(raw.find_first_not_of(" \t") + 1)};
    if (content.empty()) return;
    if (in_list) {
      in_list = content.find(']') == std::string_view::npos;
      out.back().value += " " + std::string(content);
      return;
    }
    if (content.starts_with('[')) {
      const std::size_t begin = content.find_first_not_of('['), end = content.find(']');
      if (end == std::string_view::npos || begin >= end)
        refuse_setting(place, quoted(std::string(content)), "[section]");
      in_array = content.starts_with("[[");  // each of its tables has the keys anew
      section = run_setting_name(stripped(content.substr(begin, end - begin)));
      return;
    }
    const std::size_t equals = content.find('=');
    if (equals == std::string_view::npos || equals == 0)
      refuse_setting(place, quoted(std::string(content)), "key = value");
    const std::string key = plain_value(content.substr(0, equals));
    const std::string_view stated = stripped(content.substr(equals + 1));
    if (!is_toml_value(stated))
      refuse_setting(place, quoted(std::string(content)), "key = value: a number, true, false, or a text in quotes");
    const std::string value = plain_value(stated);
    const std::string name = (section.empty() ? "" : section + ".") + run_setting_name(key);
    const auto before = std::ranges::find(out, name, &RunSetting::name);
    if (before != out.end() && !in_array)
      refuse_setting(
          place, quoted(std::string(content)),
          fmt::format("one {}: it stands in line {} already, and TOML takes a key once", key, before->place.line));
    in_list = value.starts_with('[') && value.find(']') == std::string::npos;
    out.push_back({name, value, place, key});
    out.back().in_quotes = stated.starts_with('"') || stated.starts_with('\'');
  });
  return out;
}

std::vector<RunSetting> parse_run_json(const std::string& text, const std::string& file) {
  const JsonObject object = parse_json_object(text, file);
  std::vector<RunSetting> out;
  for (const auto& [name, value] : object.fields)
    add_json(value, run_setting_name(name), object.places.find(name), 0, out);
  return out;
}

}  // namespace flopcast
