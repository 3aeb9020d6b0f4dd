#include "scenarios/imports/chakra_import.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <optional>
#include <set>

#include "scenarios/read/text/json_file.h"
#include "workloads/chakra/et_file.h"

namespace flopcast {
namespace {

namespace fs = std::filesystem;

Diagnostic chakra_fault(const std::string& file, const std::string& found, const std::string& expected,
                        const std::string& remedy = "") {
  Diagnostic fault;
  fault.file = file;
  fault.found = found;
  fault.expected = expected;
  fault.remedy = remedy;
  return fault;
}

constexpr int kMostRanks = 10'000'000;

/// "NAME.12.et" as NAME and 12.
std::optional<std::pair<std::string, int>> of_rank(const std::string& name) {
  if (!name.ends_with(".et")) return std::nullopt;
  const std::string stem = name.substr(0, name.size() - 3);
  const std::size_t dot = stem.rfind('.');
  if (dot == std::string::npos) return std::nullopt;
  const std::string digits = stem.substr(dot + 1);
  if (digits.empty() || digits.size() > 8 || digits.find_first_not_of("0123456789") != std::string::npos)
    return std::nullopt;
  return std::pair(stem.substr(0, dot), std::stoi(digits));
}

/// The files of a workload by rank, and where its groups may stand.
struct RankFiles {
  std::map<int, std::string> files;
  std::string prefix;  ///< with folder
};

RankFiles with_prefix(const fs::path& folder, const std::string& prefix) {
  RankFiles found;
  found.prefix = (folder / prefix).string();
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, ignored)) {
    const auto rank = of_rank(entry.path().filename().string());
    if (rank && rank->first == prefix) found.files[rank->second] = entry.path().string();
  }
  return found;
}

RankFiles in_folder(const std::string& path) {
  std::set<std::string> prefixes;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path, ignored))
    if (const auto rank = of_rank(entry.path().filename().string())) prefixes.insert(rank->first);
  if (prefixes.empty())
    throw InputError(chakra_fault(path, "a folder without traces", "files NAME.0.et, NAME.1.et, ..., one per rank"));
  if (prefixes.size() > 1) {
    throw InputError(chakra_fault(
        path,
        fmt::format("traces of {} workloads: {}", prefixes.size(), fmt::join(prefixes.begin(), prefixes.end(), ", ")),
        "one of them", (fs::path(path) / *prefixes.begin()).string()));
  }
  return with_prefix(path, *prefixes.begin());
}

RankFiles with_pattern(const std::string& path) {
  const std::size_t at = path.find("%d");
  const std::string before = path.substr(0, at), after = path.substr(at + 2);
  const fs::path folder = fs::path(before).parent_path();
  const std::string first = fs::path(before).filename().string();
  RankFiles found;
  found.prefix = before.ends_with('.') ? before.substr(0, before.size() - 1) : before;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.size() <= first.size() + after.size() || !name.starts_with(first) || !name.ends_with(after)) continue;
    const auto rank = of_rank("x." + name.substr(first.size(), name.size() - first.size() - after.size()) + ".et");
    if (rank) found.files[rank->second] = entry.path().string();
  }
  return found;
}

RankFiles find_files(const std::string& path) {
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) return in_folder(path);
  if (fs::exists(path, ignored)) {
    RankFiles one;
    const auto rank = of_rank(path);
    one.files[rank ? rank->second : 0] = path;
    one.prefix = rank ? rank->first : path;
    return one;
  }
  RankFiles found = path.find("%d") != std::string::npos
                        ? with_pattern(path)
                        : with_prefix(fs::path(path).parent_path(), fs::path(path).filename().string());
  if (found.files.empty())
    throw InputError(chakra_fault(path, "no such file, and no files that begin so",
                                  "a folder of traces, a trace, or the beginning of names NAME.0.et, NAME.1.et, ..."));
  return found;
}

class ChakraLoader {
 public:
  explicit ChakraLoader(const ChakraSource& source) : source_(source), files_(find_files(source.path)) {}

  ChakraJob load() && {
    for (const auto& [rank, file] : files_.files) {
      if (job_.traces.empty() && source_.alike > 0) check_ranks();
      job_.traces.push_back(read_et_file(file, rank, job_.texts));
      if (job_.traces.size() == 1 && !job_.traces[0].folded) check_ranks();
    }
    job_.alike = source_.alike > 0;
    job_.ranks = job_.alike ? source_.alike : static_cast<int>(job_.traces.size());
    check_versions();
    check_company();
    number_ranks();
    read_groups();
    resolve_groups();
    if (!faults_.empty()) throw InputError(std::move(faults_));
    add_notes();
    return std::move(job_);
  }

 private:
  void check_ranks() {
    const auto& files = files_.files;
    if (source_.alike > 0) {
      if (files.size() == 1) return;
      throw InputError(chakra_fault(source_.path, fmt::format("traces of {} ranks beside --alike", files.size()),
                                    "one trace, which all ranks run", files.begin()->second));
    }
    const int ranks = files.rbegin()->first + 1;
    if (static_cast<int>(files.size()) == ranks) return;
    std::string missing;
    int shown = 0;
    constexpr int kShown = 8;
    for (int rank = 0; rank < ranks && shown <= kShown; ++rank) {
      if (files.contains(rank)) continue;
      missing += shown == kShown ? ", ..." : fmt::format("{}{}", shown > 0 ? ", " : "", rank);
      ++shown;
    }
    throw InputError(chakra_fault(
        source_.path, fmt::format("traces of {} ranks up to rank {}; missing: {}", files.size(), ranks - 1, missing),
        "a file for every rank, from 0", "--alike N, should all N ranks run one of them"));
  }

  void check_versions() {
    const RankTrace& first = job_.traces[0];
    for (const RankTrace& other : job_.traces) {
      if (other.schema == first.schema && other.version == first.version) continue;
      const auto version = [](const RankTrace& trace) {
        return trace.version.empty() ? fmt::format("of version {}", name(trace.schema))
                                     : fmt::format("that states version {}", trace.version);
      };
      faults_.push_back(chakra_fault(other.file, "a trace " + version(other),
                                     fmt::format("one {}, as {} is", version(first), first.file)));
      break;
    }
  }

  // Where ranks are left out those that are there are numbered anew.
  void number_ranks() {
    total_ranks_ = job_.ranks;
    if (!job_.traces[0].folded || job_.alike) return;
    for (std::size_t i = 0; i < job_.traces.size(); ++i) index_of_[job_.traces[i].rank] = static_cast<int>(i);
    total_ranks_ = std::max(job_.traces[0].job_ranks, files_.files.rbegin()->first + 1);
    for (RankTrace& trace : job_.traces) {
      for (TraceNode& node : trace.nodes) {
        if (node.kind != NodeKind::send && node.kind != NodeKind::receive) continue;
        const auto found = index_of_.find(node.peer);
        if (found == index_of_.end()) {
          Diagnostic fault =
              chakra_fault(trace.file, fmt::format("a message with rank {}, whose trace is missing", node.peer),
                           "the ranks that were written together");
          fault.field = fmt::format("node {} (byte {})", node.id, node.offset);
          throw InputError(fault);
        }
        node.peer = found->second;
      }
    }
    job_.notes.push_back(
        fmt::format("{} of {} ranks: the others do as they do, at the same times", job_.ranks, total_ranks_));
  }

  // A rank on its own that talks to others.
  void check_company() {
    if (job_.ranks > 1 || job_.traces[0].folded) return;
    for (const TraceNode& node : job_.traces[0].nodes) {
      if (node.kind != NodeKind::collective && node.kind != NodeKind::send && node.kind != NodeKind::receive) continue;
      Diagnostic fault = chakra_fault(job_.traces[0].file, "a node that talks to other ranks, whose traces are missing",
                                      "a file for every rank, from 0", "--alike N: all N ranks run this trace");
      fault.field = fmt::format("node {} (byte {})", node.id, node.offset);
      throw InputError(fault);
    }
  }

  void add_group(const std::string& name, std::vector<int> ranks, const std::string& file) {
    const std::size_t listed = ranks.size();
    std::sort(ranks.begin(), ranks.end());
    ranks.erase(std::unique(ranks.begin(), ranks.end()), ranks.end());
    const auto refuse = [&](const std::string& found, const std::string& expected) {
      Diagnostic fault = chakra_fault(file, found, expected);
      fault.field = "group " + name;
      faults_.push_back(std::move(fault));
    };
    if (ranks.empty()) return refuse("no ranks", "the ranks of the group");
    if (ranks.size() < listed) return refuse("a rank that stands twice", "each rank once");
    if (ranks.front() < 0 || ranks.back() >= total_ranks_) {
      return refuse(fmt::format("rank {}", ranks.front() < 0 ? ranks.front() : ranks.back()),
                    fmt::format("ranks from 0 to {}, of which there are traces", total_ranks_ - 1));
    }
    if (!index_of_.empty()) {
      std::vector<int> present;
      for (const int rank : ranks)
        if (const auto found = index_of_.find(rank); found != index_of_.end()) present.push_back(found->second);
      ranks = std::move(present);
      if (ranks.empty()) return;
    }
    if (job_.alike && static_cast<int>(ranks.size()) != job_.ranks) {
      return refuse(fmt::format("{} of {} ranks", ranks.size(), job_.ranks),
                    "all ranks, where one trace stands for every one of them");
    }
    const auto [found, fresh] = named_.try_emplace(name, static_cast<std::int32_t>(job_.groups.size()));
    if (fresh) {
      job_.groups.push_back({name, std::move(ranks)});
    } else if (job_.groups[static_cast<std::size_t>(found->second)].ranks != ranks) {
      refuse("other ranks than before", "one meaning of a group's name on all ranks");
    }
  }

  void read_groups() {
    CommGroup all;
    for (int rank = 0; rank < job_.ranks; ++rank) all.ranks.push_back(rank);
    job_.groups.push_back(std::move(all));
    std::string file = source_.groups;
    if (file.empty()) {
      std::error_code ignored;
      const std::string beside[] = {(fs::path(files_.prefix).parent_path() / "comm_group.json").string(),
                                    files_.prefix + ".json"};
      for (const std::string& path : beside)
        if (file.empty() && fs::is_regular_file(path, ignored)) file = path;
      if (!file.empty()) job_.notes.push_back(fmt::format("communicators from {}", file));
    }
    if (!file.empty()) read_group_file(file);
    for (const RankTrace& trace : job_.traces)
      for (const std::string& text : trace.process_groups) read_process_groups(text, trace.file);
  }

  void read_group_file(const std::string& file) {
    constexpr std::size_t kLargest = std::size_t{256} << 20;
    const JsonObject object = parse_json_object(read_text_file(file, {"with communicators as JSON", kLargest}), file);
    for (const auto& [name, value] : object.fields) {
      if (const auto ranks = ranks_of(value))
        add_group(name, *ranks, file);
      else
        faults_.push_back(object.places.fault(name, "no list of ranks", "a list, such as [0, 1, 2, 3]"));
    }
  }

  static std::optional<std::vector<int>> ranks_of(const google::protobuf::Value& value) {
    if (value.kind_case() != google::protobuf::Value::kListValue) return std::nullopt;
    std::vector<int> ranks;
    for (const auto& rank : value.list_value().values()) {
      const double number = rank.number_value();
      if (rank.kind_case() != google::protobuf::Value::kNumberValue || number != std::floor(number) ||
          std::abs(number) > kMostRanks)
        return std::nullopt;
      ranks.push_back(static_cast<int>(number));
    }
    return ranks;
  }

  /// A list in JSON within a list of Python's: `['[{"pg_name": "0", "ranks": [0, 1]}]']`.
  void read_process_groups(const std::string& text, const std::string& file) {
    const std::size_t begin = text.find("[{"), end = text.rfind("}]");
    if (begin == std::string::npos || end == std::string::npos || end < begin) return;
    const JsonObject object =
        parse_json_object("{\"groups\": " + text.substr(begin, end + 2 - begin) + "}", file + ", process groups");
    for (const auto& value : object.fields.at("groups").list_value().values()) {
      const auto& fields = value.struct_value().fields();
      const auto name = fields.find("pg_name"), ranks = fields.find("ranks");
      if (name == fields.end() || ranks == fields.end()) continue;
      const auto listed = ranks_of(ranks->second);
      if (!listed) {
        faults_.push_back(chakra_fault(file, "a process group whose ranks are no list of numbers", "a list"));
      } else if (!listed->empty()) {
        add_group(name->second.string_value(), *listed, file);
      }
    }
  }

  // ASTRA-sim and PyTorch call the group of all ranks "0", where nothing else is said of it.
  void resolve_groups() {
    job_.group_of.assign(job_.texts.size(), -1);
    job_.group_of[0] = 0;
    std::set<std::uint32_t> refused, assumed;
    for (const RankTrace& trace : job_.traces) {
      for (const TraceNode& node : trace.nodes) {
        if (node.kind != NodeKind::collective || job_.group_of[node.group] >= 0) continue;
        const std::string& called = job_.texts.text(node.group);
        if (const auto found = named_.find(called); found != named_.end()) {
          job_.group_of[node.group] = found->second;
        } else if (called == "0" || called == "default_pg") {
          job_.group_of[node.group] = 0;
        } else if (job_.alike) {
          job_.group_of[node.group] = 0;
          assumed.insert(node.group);
        } else if (refused.insert(node.group).second) {
          Diagnostic fault =
              chakra_fault(trace.file, fmt::format("a collective of group \"{}\", whose ranks nothing states", called),
                           "a group of the file of communicators, or of the trace's metadata", "--groups FILE.json");
          fault.field = fmt::format("node {} (byte {})", node.id, node.offset);
          faults_.push_back(std::move(fault));
        }
      }
    }
    for (const std::uint32_t group : assumed) {
      job_.notes.push_back(fmt::format("group \"{}\" is taken to be all {} ranks: nothing states it",
                                       job_.texts.text(group), job_.ranks));
    }
  }

  void add_notes() {
    if (job_.alike) {
      job_.notes.insert(job_.notes.begin(), fmt::format("all {} ranks run the trace of rank {} ({})", job_.ranks,
                                                        job_.traces[0].rank, job_.traces[0].file));
    }
    const auto calls = [](const RankTrace& trace) { return trace.control_is_call; };
    if (std::any_of(job_.traces.begin(), job_.traces.end(), calls)) {
      job_.notes.emplace_back(
          "recorded with PyTorch: its control dependencies say which operator called which, and are passed over; what "
          "waits for what are the data dependencies");
    }
  }

  const ChakraSource& source_;
  RankFiles files_;
  ChakraJob job_;
  int total_ranks_ = 0;          // of the job, those left out included
  std::map<int, int> index_of_;  // by rank, where some are left out
  std::map<std::string, std::int32_t> named_;
  std::vector<Diagnostic> faults_;
};

}  // namespace

ChakraJob load_chakra(const ChakraSource& source) { return ChakraLoader(source).load(); }

}  // namespace flopcast
