#include "sim/base/diagnostic.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <compare>
#include <set>
#include <tuple>
#include <utility>

#include "sim/base/fault_text.h"
#include "sim/base/plain_text.h"

namespace flopcast {
namespace {

std::string place(const Diagnostic& diagnostic) {
  if (diagnostic.file.empty()) return {};
  std::string text = diagnostic.file;
  if (diagnostic.line > 0) {
    text += ':' + std::to_string(diagnostic.line);
    if (diagnostic.column > 0) text += ':' + std::to_string(diagnostic.column);
  }
  return text;
}

/// Whatever of it came from outside can be printed, and stays on its line.
Diagnostic shown_safely(Diagnostic d) {
  for (std::string* text : {&d.file, &d.field}) *text = visible(*text);
  for (std::string* text : {&d.found, &d.expected, &d.suggestion, &d.remedy}) *text = visible(*text, LineEnds::allowed);
  return d;
}

/// File by file as they came, each from its first line to its last, and behind them what has no line; each once.
std::vector<Diagnostic> in_order(std::vector<Diagnostic> diagnostics) {
  std::vector<std::string> files;
  for (const Diagnostic& d : diagnostics)
    if (std::find(files.begin(), files.end(), d.file) == files.end()) files.push_back(d.file);
  const auto rank = [&](const Diagnostic& d) {
    const auto file = std::find(files.begin(), files.end(), d.file) - files.begin();
    return std::tuple(file, d.line <= 0, d.line, d.column);
  };
  std::stable_sort(diagnostics.begin(), diagnostics.end(),
                   [&](const Diagnostic& a, const Diagnostic& b) { return rank(a) < rank(b); });
  std::set<std::string> said;
  std::erase_if(diagnostics, [&](const Diagnostic& d) { return !said.insert(to_string(d)).second; });
  return diagnostics;
}

std::string joined(const std::vector<Diagnostic>& diagnostics) {
  std::string text;
  for (const Diagnostic& diagnostic : diagnostics) {
    if (!text.empty()) text += '\n';
    text += to_string(diagnostic);
  }
  return text;
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b` (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), current(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    current[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      current[j] = std::min({last[j] + 1, current[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) current[j] = std::min(current[j], before_last[j - 2] + 1);
    }
    std::swap(before_last, last);
    std::swap(last, current);
  }
  return last[b.size()];
}

/// "vllm-#.#" of "vllm-0.99": names of one series have the same.
std::string without_numbers(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const bool digit = c >= '0' && c <= '9';
    if (!digit || out.empty() || out.back() != '#') out += digit ? '#' : c;
  }
  return out;
}

/// How a known name is like one that somebody wrote, the likeliest first: it goes on where that one ends, it differs in
/// its numbers alone, or it is spelt much the same.
enum class Likeness { beginning, numbers, spelling };
Likeness likeness(std::string_view wanted, std::string_view stem, std::string_view candidate) {
  constexpr std::size_t kTelling = 3;  // letters
  if (wanted.size() >= kTelling && candidate.starts_with(wanted)) return Likeness::beginning;
  return without_numbers(candidate) == stem ? Likeness::numbers : Likeness::spelling;
}

/// The words of a name, in small letters: "deepseek", "v3", "2048", "h800".
std::vector<std::string> words_of(std::string_view name) {
  std::vector<std::string> words(1);
  for (const char c : lower(name)) {
    if (std::isalnum(static_cast<unsigned char>(c)) != 0) {
      words.back() += c;
    } else if (!words.back().empty()) {
      words.emplace_back();
    }
  }
  if (words.back().empty()) words.pop_back();
  return words;
}

/// "vllm-0.13": 0 and 13.
std::vector<double> numbers_in(std::string_view name) {
  constexpr std::size_t kMostDigits = 15;  // exact in a double
  std::vector<double> numbers;
  for (std::size_t i = 0; i < name.size();) {
    std::size_t end = i;
    double number = 0;
    for (; end < name.size() && end - i < kMostDigits && name[end] >= '0' && name[end] <= '9'; ++end)
      number = number * 10 + (name[end] - '0');
    if (end > i) numbers.push_back(number);
    i = std::max(end, i + 1);
  }
  return numbers;
}

/// Whether the numbers in `a` are nearer to those in `name` than those in `b`, the first that differs deciding.
bool nearer_in_numbers(std::string_view name, std::string_view a, std::string_view b) {
  const std::vector<double> wanted = numbers_in(name), first = numbers_in(a), second = numbers_in(b);
  if (first.size() != wanted.size() || second.size() != wanted.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const double of_first = std::abs(first[i] - wanted[i]), of_second = std::abs(second[i] - wanted[i]);
    if (of_first != of_second) return of_first < of_second;
  }
  return false;
}

/// The `count` candidates that share most words with `name`; of equals those with the smallest edit distance.
std::vector<std::string> nearest_names(std::string_view name, const std::vector<std::string>& candidates,
                                       std::size_t count) {
  constexpr std::size_t kLongestName = 200;
  const std::string wanted = lower(name.substr(0, kLongestName));
  const std::vector<std::string> words = words_of(wanted);
  struct Rank {
    std::size_t foreign, distance, index;
    auto operator<=>(const Rank&) const = default;
  };
  std::vector<Rank> ranks;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const std::string candidate = lower(candidates[i]);
    const auto foreign = [&](const std::string& word) { return candidate.find(word) == std::string::npos; };
    ranks.push_back({static_cast<std::size_t>(std::count_if(words.begin(), words.end(), foreign)),
                     edit_distance(wanted, candidate), i});
  }
  std::sort(ranks.begin(), ranks.end());
  std::vector<std::string> nearest;
  for (std::size_t i = 0; i < std::min(count, ranks.size()); ++i) nearest.push_back(candidates[ranks[i].index]);
  return nearest;
}

}  // namespace

std::string to_string(const Diagnostic& as_found) {
  const Diagnostic diagnostic = shown_safely(as_found);
  std::string text = place(diagnostic);
  if (!diagnostic.field.empty()) text += (text.empty() ? "" : ": ") + diagnostic.field;
  if (!text.empty()) text += ": ";
  text += "found " + (diagnostic.found.empty() ? "nothing" : diagnostic.found);
  if (!diagnostic.expected.empty()) text += ", expected " + diagnostic.expected;
  if (!diagnostic.suggestion.empty()) text += " (did you mean \"" + diagnostic.suggestion + "\"?)";
  if (!diagnostic.remedy.empty()) text += " (try " + diagnostic.remedy + ")";
  return text;
}

Diagnostic with_remedy(Diagnostic diagnostic, std::string remedy) {
  diagnostic.remedy = std::move(remedy);
  return diagnostic;
}

InputError::InputError(std::vector<Diagnostic> diagnostics)
    : std::runtime_error(joined(in_order(diagnostics))), diagnostics_(in_order(std::move(diagnostics))) {
  for (Diagnostic& diagnostic : diagnostics_) diagnostic = shown_safely(std::move(diagnostic));
}

std::string brief(const Diagnostic& diagnostic) {
  std::string text = diagnostic.field;
  if (!diagnostic.found.empty()) text += (text.empty() ? "" : ": ") + diagnostic.found;
  if (!diagnostic.expected.empty()) text += (text.empty() ? "expected " : ", expected ") + diagnostic.expected;
  return text;
}

std::string brief(const InputError& error) { return brief(error.diagnostics().front()); }

std::string first_of(const InputError& error) { return to_string(error.diagnostics().front()); }

InputError::InputError(Diagnostic diagnostic) : InputError(std::vector{std::move(diagnostic)}) {}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  // A binary or overlong word resembles nothing, and comparing it would take time for no good.
  constexpr std::size_t kLongestName = 200;
  if (name.empty() || name.size() > kLongestName) return {};
  const std::string wanted = lower(name);
  const std::string stem = without_numbers(wanted);
  // A third of the letters may differ; beyond that a suggestion confuses more than it helps.
  const std::size_t most = std::max<std::size_t>(1, name.size() / 3);
  const std::string* nearest = nullptr;
  Likeness best = Likeness::spelling;
  std::size_t smallest = 0;
  for (const std::string& candidate : candidates) {
    if (candidate == name) continue;
    const std::string other = lower(candidate);
    const std::size_t distance = edit_distance(wanted, other);
    const Likeness like = likeness(wanted, stem, other);
    if (like != Likeness::beginning && (distance > most || distance >= candidate.size())) continue;
    const bool same = nearest && like == best;
    // hgx-h1000 is a slip of hgx-h100; versions, which have a dot, are near as numbers are.
    const bool slips = wanted.find('.') == std::string::npos;
    const bool one_slip = slips && distance == 1, known_slip = slips && smallest == 1;
    const bool nearer_numbers = same && nearer_in_numbers(wanted, other, lower(*nearest));
    const bool nearer =
        !nearest || like < best ||
        (same && (like == Likeness::numbers ? (one_slip != known_slip ? one_slip : nearer_numbers)
                                            : distance < smallest || (distance == smallest && nearer_numbers)));
    if (!nearer) continue;
    nearest = &candidate;
    best = like;
    smallest = distance;
  }
  return nearest ? *nearest : std::string();
}

std::string one_of(std::string_view found, const std::vector<std::string>& candidates, std::string_view list) {
  constexpr std::size_t kReadable = 400, kShown = 5;  // characters; names
  std::size_t length = 0;
  for (const std::string& candidate : candidates) length += candidate.size() + 2;
  const std::vector<std::string> shown = length > kReadable ? nearest_names(found, candidates, kShown) : candidates;
  std::string text = shown.empty() ? "nothing: there are none" : "one of ";
  for (std::size_t i = 0; i < shown.size(); ++i) text += (i == 0 ? "" : ", ") + shown[i];
  if (shown.size() == candidates.size()) return text;
  text += " and " + std::to_string(candidates.size() - shown.size()) + " others";
  return list.empty() ? text : text + " (`" + std::string(list) + "` shows all)";
}

}  // namespace flopcast
