// PyTorch's profiler: a Chrome trace of events, read one at a time so that a file of gigabytes takes the memory of its
// kernels.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <unordered_map>
#include <utility>

#include "analysis/evidence/calibrate/profile_rows.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// A value of JSON. Texts are kept as they stand between their quotes.
struct JsonNode {
  enum class Type { nothing, number, text, list, object } type = Type::nothing;
  double number = 0;
  std::string text;
  std::vector<JsonNode> items;
  std::vector<std::pair<std::string, JsonNode>> fields;

  const JsonNode* find(std::string_view name) const {
    for (const auto& [key, value] : fields)
      if (key == name) return &value;
    return nullptr;
  }
  std::string text_of(std::string_view name) const {
    const JsonNode* const field = find(name);
    return field != nullptr && field->type == Type::text ? field->text : std::string();
  }
  double number_of(std::string_view name) const {
    const JsonNode* const field = find(name);
    if (field == nullptr) return 0;
    return field->type == Type::text ? std::strtod(field->text.c_str(), nullptr) : field->number;
  }
};

/// Reads JSON from a file, value by value.
class JsonStream {
 public:
  explicit JsonStream(const std::filesystem::path& path)
      : path_(path.string()), file_(std::fopen(path_.c_str(), "rb")), buffer_(std::size_t{1} << 16, '\0') {
    if (!file_) fail("a file that cannot be read", "a profile");
    if (peek() == 0x1f) fail("a packed file", "the trace itself: gunzip it first");
  }

  int peek() {
    if (at_ == end_) {
      base_ += end_;
      end_ = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
      at_ = 0;
      if (end_ == 0) return -1;
    }
    return static_cast<unsigned char>(buffer_[at_]);
  }
  int next() {
    const int c = peek();
    if (c >= 0) ++at_;
    return c;
  }
  int peek_word() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') ++at_;
    return peek();
  }
  void expect(char c) {
    if (peek_word() != c) fail(found(), fmt::format("`{}`", c));
    ++at_;
  }
  /// Whether the separator goes on, or the closing bracket ends, what is being read.
  bool another(char close) {
    const int c = peek_word();
    if (c != ',' && c != close) fail(found(), fmt::format("`,` or `{}`", close));
    ++at_;
    return c == ',';
  }

  std::string text() {
    expect('"');
    std::string out;
    for (int c = next(); c != '"'; c = next()) {
      if (c < 0) fail("the end of the file", "the end of a text");
      if (c == '\\') {
        c = next();
        if (c == 'n' || c == 't' || c == 'r') c = ' ';
        if (c == 'u') {
          for (int i = 0; i < 4; ++i) next();
          c = '?';
        }
      }
      out += static_cast<char>(c);
    }
    return out;
  }

  JsonNode value(int depth = 0) {
    constexpr int kDeepest = 64;
    if (depth > kDeepest) fail("values within values, more than 64 deep", "a profile");
    JsonNode node;
    const int c = peek_word();
    if (c == '"') {
      node.type = JsonNode::Type::text;
      node.text = text();
    } else if (c == '[') {
      node.type = JsonNode::Type::list;
      ++at_;
      if (peek_word() == ']') {
        ++at_;
        return node;
      }
      do node.items.push_back(value(depth + 1));
      while (another(']'));
    } else if (c == '{') {
      node.type = JsonNode::Type::object;
      ++at_;
      if (peek_word() == '}') {
        ++at_;
        return node;
      }
      do {
        std::string key = (peek_word(), text());
        expect(':');
        node.fields.emplace_back(std::move(key), value(depth + 1));
      } while (another('}'));
    } else {
      bare(node);
    }
    return node;
  }

  [[noreturn]] void fail(const std::string& what, const std::string& expected) const {
    Diagnostic fault;
    fault.file = path_;
    fault.field = fmt::format("byte {}", base_ + at_);
    fault.found = what;
    fault.expected = expected;
    throw InputError(fault);
  }
  std::uint64_t byte() const { return base_ + at_; }
  std::string found() {
    const int c = peek();
    return c < 0                  ? std::string("the end of the file")
           : c < 0x20 || c > 0x7e ? fmt::format("byte {:#04x}", c)
                                  : fmt::format("`{}`", static_cast<char>(c));
  }

 private:
  // A number, or true, false, null, NaN.
  void bare(JsonNode& node) {
    std::string word;
    constexpr std::size_t kLongest = 64;
    for (int c = peek(); c >= 0 && c != ',' && c != ']' && c != '}' && c > ' ' && word.size() < kLongest; c = peek())
      word += static_cast<char>(next());
    if (word == "true" || word == "false") {
      node.type = JsonNode::Type::text;
      node.text = word;
    } else if (word != "null") {
      char* end = nullptr;
      node.type = JsonNode::Type::number;
      node.number = std::strtod(word.c_str(), &end);
      if (word.empty() || *end != '\0')
        fail(word.empty() ? found() : "`" + word.substr(0, 20) + "`", "a value of JSON");
    }
  }

  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  std::string path_;
  std::unique_ptr<std::FILE, Close> file_;
  std::string buffer_;
  std::size_t at_ = 0, end_ = 0;
  std::uint64_t base_ = 0;
};

/// An operator of the host, by its external id.
struct Operation {
  std::string name;
  std::vector<std::vector<std::int64_t>> sizes;
  std::vector<std::string> types, values;
};

std::vector<std::string> texts(const JsonNode* list) {
  std::vector<std::string> out;
  if (list != nullptr)
    for (const JsonNode& item : list->items) out.push_back(item.type == JsonNode::Type::text ? item.text : "");
  return out;
}

Operation operation_of(const JsonNode& event, const JsonNode& arguments) {
  Operation operation;
  operation.name = event.text_of("name");
  if (const JsonNode* const sizes = arguments.find("Input Dims")) {
    for (const JsonNode& input : sizes->items) {
      operation.sizes.emplace_back();
      for (const JsonNode& size : input.items) operation.sizes.back().push_back(static_cast<std::int64_t>(size.number));
    }
  }
  operation.types = texts(arguments.find("Input type"));
  operation.values = texts(arguments.find("Concrete Inputs"));
  return operation;
}

/// "[0, 1, 2, 3]", in a text; what is shortened with dots is not known.
std::vector<int> ranks_in(const std::string& text) {
  std::vector<int> ranks;
  if (text.find("...") != std::string::npos) return ranks;
  const char* at = text.c_str();
  while (*at != '\0') {
    char* end = nullptr;
    const long rank = std::strtol(at, &end, 10);
    if (end == at) {
      ++at;
    } else {
      ranks.push_back(static_cast<int>(rank));
      at = end;
    }
  }
  return ranks;
}

LaunchedCollective collective_of(const JsonNode& arguments, double microseconds) {
  LaunchedCollective collective;
  collective.name = arguments.text_of("Collective name");
  collective.type = arguments.text_of("dtype");
  collective.in = arguments.number_of("In msg nelems");
  collective.out = arguments.number_of("Out msg nelems");
  collective.group = static_cast<int>(arguments.number_of("Group size"));
  collective.ranks = ranks_in(arguments.text_of("Process Group Ranks"));
  collective.microseconds = microseconds;
  return collective;
}

class ProfileReader {
 public:
  /// @param byte where the event ends in its file.
  void take(const JsonNode& event, std::uint64_t byte) {
    const JsonNode* const arguments = event.find("args");
    if (arguments == nullptr) return;
    const std::string kind = event.text_of("cat");
    const auto id = static_cast<std::uint64_t>(std::max(0.0, arguments->number_of("External id")));
    if (kind == "cpu_op" && id > 0) operations_.insert_or_assign(id, operation_of(event, *arguments));
    if (kind != "kernel") return;
    const double microseconds = event.number_of("dur");
    const std::string name = event.text_of("name");
    if (!(microseconds >= 0 && std::isfinite(microseconds))) {
      constexpr std::size_t kShown = 20;
      if (faults_.size() < kShown)
        faults_.push_back({"", 0, 0, fmt::format("event before byte {}", byte),
                           fmt::format("a kernel of {:g} us, {}", microseconds, name), "a duration of 0 or more", ""});
      return;
    }
    if (name.starts_with("nccl")) {
      launches_.collectives.push_back(collective_of(*arguments, microseconds));
      return;
    }
    LaunchedKernel kernel;
    kernel.kernel = name;
    kernel.call = id;
    kernel.microseconds = microseconds;
    launches_.kernels.push_back(std::move(kernel));
  }

  /// @throws InputError with every kernel whose duration is none.
  Launches finish(const std::filesystem::path& file) && {
    for (Diagnostic& fault : faults_) fault.file = file.string();
    if (!faults_.empty()) throw InputError(std::move(faults_));
    for (LaunchedKernel& kernel : launches_.kernels) {
      const auto found = operations_.find(kernel.call);
      if (kernel.call == 0 || found == operations_.end()) continue;
      kernel.operation = found->second.name;
      kernel.sizes = found->second.sizes;
      kernel.types = found->second.types;
      kernel.values = found->second.values;
    }
    return std::move(launches_);
  }

 private:
  std::unordered_map<std::uint64_t, Operation> operations_;
  Launches launches_;
  std::vector<Diagnostic> faults_;
};

void read_events(JsonStream& json, ProfileReader& reader) {
  json.expect('[');
  if (json.peek_word() == ']') {
    json.next();
    return;
  }
  do {
    const JsonNode event = json.value();
    reader.take(event, json.byte());
  } while (json.another(']'));
}

}  // namespace

Launches read_pytorch_profile(const std::filesystem::path& path) {
  JsonStream json(path);
  ProfileReader reader;
  if (json.peek_word() == '[') {  // the events alone
    read_events(json, reader);
    return std::move(reader).finish(path);
  }
  json.expect('{');
  bool events = false;
  if (json.peek_word() == '}') json.fail("an empty object", "\"traceEvents\"");
  do {
    const std::string key = (json.peek_word(), json.text());
    json.expect(':');
    if (key == "traceEvents") {
      events = true;
      json.peek_word();
      read_events(json, reader);
    } else {
      json.value();
    }
  } while (json.another('}'));
  if (!events) json.fail("an object without \"traceEvents\"", "a Chrome trace of PyTorch's profiler");
  return std::move(reader).finish(path);
}

}  // namespace flopcast
