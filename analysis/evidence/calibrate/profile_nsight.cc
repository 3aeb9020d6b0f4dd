// Nsight Systems' export (`nsys export --type sqlite`): kernels by their launch, launches by the NVTX range round them.
#include <algorithm>
#include <cctype>
#include <map>
#include <set>

#include "analysis/evidence/calibrate/profile_rows.h"
#include "analysis/studies/sweep/store/sqlite.h"
#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

/// "aten::mm, op_id = 7, sizes = [[4096, 4096], [4096, 4096]]", as emit_nvtx(record_shapes=True) names ranges.
void read_range_name(const std::string& text, LaunchedKernel& kernel) {
  kernel.operation = text.substr(0, text.find(','));
  const std::size_t sizes = text.find("sizes = [");
  if (sizes == std::string::npos) return;
  int depth = 0;
  std::int64_t number = -1;
  for (std::size_t at = sizes + 8; at < text.size(); ++at) {
    const char c = text[at];
    if (std::isdigit(static_cast<unsigned char>(c)) != 0) {
      constexpr std::int64_t kMost = std::int64_t{1} << 50;
      number = std::min(kMost, std::max<std::int64_t>(number, 0) * 10 + (c - '0'));
      continue;
    }
    if (number >= 0 && depth >= 2) kernel.sizes.back().push_back(number);
    number = -1;
    if (c == '[' && ++depth == 2) kernel.sizes.emplace_back();
    if (c == ']' && --depth == 0) return;
  }
}

struct Range {
  std::int64_t start, end;
  std::uint64_t id;
  std::string text;
};

std::set<std::string> tables_of(const SqliteFile& file) {
  std::set<std::string> tables;
  SqliteStatement rows = file.prepare("SELECT name FROM sqlite_master WHERE type = 'table'");
  while (rows.step()) tables.insert(rows.text(0));
  return tables;
}

/// Ranges of operators by thread, in order of their starts.
std::map<std::int64_t, std::vector<Range>> operator_ranges(const SqliteFile& file) {
  std::map<std::int64_t, std::vector<Range>> ranges;
  SqliteStatement rows = file.prepare(
      "SELECT n.start, n.end, n.globalTid, COALESCE(n.text, s.value) FROM NVTX_EVENTS n LEFT JOIN StringIds s ON s.id "
      "= "
      "n.textId WHERE n.end IS NOT NULL AND COALESCE(n.text, s.value) LIKE '%::%' ORDER BY n.start, n.end DESC");
  for (std::uint64_t id = 1; rows.step(); ++id)
    ranges[rows.whole(2)].push_back({rows.whole(0), rows.whole(1), id, rows.text(3)});
  return ranges;
}

/// The innermost range round a moment: the last that has begun and not ended.
const Range* range_at(const std::vector<Range>& ranges, std::int64_t moment) {
  auto next = std::upper_bound(ranges.begin(), ranges.end(), moment,
                               [](std::int64_t when, const Range& range) { return when < range.start; });
  constexpr int kFurthest = 10'000;  // ranges that began before and are over
  for (int looked = 0; next != ranges.begin() && looked < kFurthest; ++looked)
    if ((--next)->end >= moment) return &*next;
  return nullptr;
}

}  // namespace

Launches read_nsight_export(const std::filesystem::path& path) {
  const SqliteFile file(path.string(), SqliteFile::Access::read);
  const std::set<std::string> tables = tables_of(file);
  for (const char* needed : {"CUPTI_ACTIVITY_KIND_KERNEL", "CUPTI_ACTIVITY_KIND_RUNTIME", "StringIds"}) {
    if (tables.contains(needed)) continue;
    Diagnostic fault;
    fault.file = path.string();
    fault.found = std::string("no table ") + needed;
    fault.expected = "an export of Nsight Systems with CUDA traced: nsys export --type sqlite";
    throw InputError(fault);
  }
  std::map<std::int64_t, std::vector<Range>> ranges;
  if (tables.contains("NVTX_EVENTS")) ranges = operator_ranges(file);
  Launches launches;
  SqliteStatement rows = file.prepare(
      "SELECT k.end - k.start, COALESCE(s.value, ''), r.start, r.globalTid FROM CUPTI_ACTIVITY_KIND_KERNEL k LEFT JOIN "
      "StringIds s ON s.id = k.demangledName LEFT JOIN CUPTI_ACTIVITY_KIND_RUNTIME r ON r.correlationId = "
      "k.correlationId ORDER BY k.start");
  while (rows.step()) {
    LaunchedKernel kernel;
    kernel.microseconds = 1e-3 * rows.number(0);
    kernel.kernel = rows.text(1);
    if (kernel.microseconds < 0) {
      Diagnostic fault;
      fault.file = path.string();
      fault.field = "CUPTI_ACTIVITY_KIND_KERNEL";
      fault.found = "a kernel that ends before it starts, " + kernel.kernel;
      fault.expected = "ends behind starts";
      throw InputError(fault);
    }
    if (kernel.kernel.find("nccl") != std::string::npos) {
      LaunchedCollective collective;  // its size is not recorded
      collective.name = kernel.kernel.substr(0, kernel.kernel.find('('));
      collective.microseconds = kernel.microseconds;
      launches.collectives.push_back(std::move(collective));
      continue;
    }
    if (!rows.null(2)) {
      const auto thread = ranges.find(rows.whole(3));
      const Range* const range = thread == ranges.end() ? nullptr : range_at(thread->second, rows.whole(2));
      if (range != nullptr) {
        read_range_name(range->text, kernel);
        kernel.call = range->id;
      }
    }
    launches.kernels.push_back(std::move(kernel));
  }
  return launches;
}

}  // namespace flopcast
