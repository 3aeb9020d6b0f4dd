// Reading stores: what is in them, as CSV, several as one.
#include <algorithm>
#include <filesystem>
#include <map>

#include <fmt/format.h>

#include "analysis/render/text/csv.h"
#include "analysis/studies/sweep/store/store_layout.h"
#include "sim/base/diagnostic.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

SweepStatus status_of(const std::string& word) {
  for (const SweepStatus status : {SweepStatus::ok, SweepStatus::refused, SweepStatus::failed})
    if (name_of(status) == word) return status;
  return SweepStatus::failed;
}

std::vector<std::string> texts(SqliteStatement statement) {
  std::vector<std::string> out;
  while (statement.step()) out.push_back(statement.text(0));
  return out;
}

std::vector<std::string> names_of_role(const SqliteFile& file, const std::string& sweep, std::string_view role) {
  SqliteStatement rows =
      file.prepare("SELECT name FROM flopcast_columns WHERE sweep = ? AND role = ? ORDER BY position");
  rows.bind(1, sweep).bind(2, role);
  return texts(std::move(rows));
}

/// As SQL lists them, each with `before` it.
std::string column_list(const std::vector<std::string>& names, const std::string& before = "") {
  std::vector<std::string> out;
  for (const std::string& name : names) out.push_back(before + sql_name(name));
  return fmt::format("{}", fmt::join(out, ", "));
}

/// All that has to be equal in two runs of one candidate.
std::vector<std::string> canonical_columns(const StoredSweep& sweep) {
  std::vector<std::string> out{"number", "fingerprint", "status", "error", "feasible"};
  for (const StoredColumn& column : sweep.columns) out.push_back(column.name);
  return out;
}

}  // namespace

void set_rows_aside(const SqliteFile& file, const std::string& sweep) {
  const std::vector<std::string> metrics = names_of_role(file, sweep, "metric");
  const std::string layout = fmt::format("{}", fmt::join(metrics, "\n"));
  file.prepare("INSERT OR IGNORE INTO flopcast_layouts (columns) VALUES (?)").bind(1, layout).run();
  SqliteStatement id = file.prepare("SELECT id FROM flopcast_layouts WHERE columns = ?");
  id.bind(1, layout).step();
  SqliteStatement rows = file.prepare(fmt::format("SELECT fingerprint, status, error, wall_s{}{} FROM {}",
                                                  metrics.empty() ? "" : ", ", column_list(metrics), sql_name(sweep)));
  SqliteStatement keep = file.prepare("INSERT OR REPLACE INTO flopcast_earlier VALUES (?, ?, ?)");
  while (rows.step()) {
    SweepOutcome outcome{status_of(rows.text(1)), rows.text(2), {}, rows.number(3)};
    if (outcome.status == SweepStatus::ok)
      for (int at = 4; at < rows.columns(); ++at) outcome.cells.push_back(rows.cell(at));
    keep.bind(1, rows.text(0)).bind(2, id.whole(0)).bind_bytes(3, packed(outcome)).run();
  }
}

std::vector<int> places_in(const std::string& layout, const std::vector<std::string>& columns) {
  std::map<std::string, int, std::less<>> at;
  int count = 0;
  for (std::size_t from = 0; from <= layout.size();) {
    const std::size_t end = std::min(layout.find('\n', from), layout.size());
    at.emplace(layout.substr(from, end - from), count++);
    from = end + 1;
  }
  std::vector<int> out;
  for (const std::string& column : columns) {
    const auto found = at.find(column);
    out.push_back(found == at.end() ? -1 : found->second);
  }
  return out;
}

StoreCounts counts_of(const SqliteFile& file, const std::string& sweep) {
  StoreCounts out;
  SqliteStatement rows = file.prepare(fmt::format("SELECT status, count(*) FROM {} GROUP BY status", sql_name(sweep)));
  while (rows.step()) {
    const auto count = static_cast<std::uint64_t>(rows.whole(1));
    switch (status_of(rows.text(0))) {
      case SweepStatus::ok:
        out.ok = count;
        break;
      case SweepStatus::refused:
        out.refused = count;
        break;
      case SweepStatus::failed:
        out.failed = count;
        break;
    }
  }
  return out;
}

std::vector<StoredSweep> stored_sweeps(const SqliteFile& file) {
  std::vector<StoredSweep> out;
  SqliteStatement rows =
      file.prepare("SELECT name, title, program, product, wanted FROM flopcast_sweeps ORDER BY name");
  while (rows.step()) {
    StoredSweep sweep{rows.text(0),
                      rows.text(1),
                      rows.text(2),
                      static_cast<std::uint64_t>(rows.whole(3)),
                      static_cast<std::uint64_t>(rows.whole(4)),
                      {},
                      {},
                      {},
                      counts_of(file, rows.text(0))};
    SqliteStatement columns =
        file.prepare("SELECT name, role, unit FROM flopcast_columns WHERE sweep = ? ORDER BY position");
    columns.bind(1, sweep.name);
    while (columns.step()) {
      const ColumnRole role = columns.text(1) == "input" ? ColumnRole::input : ColumnRole::metric;
      sweep.columns.push_back({columns.text(0), role, columns.text(2)});
    }
    for (auto [kind, list] : {std::pair{"goal", &sweep.goals}, {"constraint", &sweep.constraints}}) {
      SqliteStatement goals =
          file.prepare("SELECT text FROM flopcast_goals WHERE sweep = ? AND kind = ? ORDER BY position");
      goals.bind(1, sweep.name).bind(2, std::string_view(kind));
      *list = texts(std::move(goals));
    }
    out.push_back(std::move(sweep));
  }
  return out;
}

StoredSweep stored_sweep(const SqliteFile& file, const std::string& name) {
  std::vector<StoredSweep> sweeps = stored_sweeps(file);
  std::vector<std::string> names;
  for (StoredSweep& sweep : sweeps) {
    if (sweep.name == name || (name.empty() && sweeps.size() == 1)) return std::move(sweep);
    names.push_back(sweep.name);
  }
  throw InputError(Diagnostic{file.path(), 0, 0, "--sweep",
                              name.empty() ? fmt::format("{} sweeps in one file", names.size()) : sql_name(name),
                              names.empty() ? "a file with a sweep" : fmt::format("one of {}", fmt::join(names, ", ")),
                              nearest_name(name, names)});
}

std::string to_csv(const SqliteFile& file, const StoredSweep& sweep) {
  const std::vector<std::string> columns = canonical_columns(sweep);
  std::string out = csv_line(columns);
  SqliteStatement rows =
      file.prepare(fmt::format("SELECT {} FROM {} ORDER BY number", column_list(columns), sql_name(sweep.name)));
  std::vector<std::string> cells(columns.size());
  while (rows.step()) {
    for (std::size_t i = 0; i < cells.size(); ++i) cells[i] = text_of(rows.cell(static_cast<int>(i)));
    out += csv_line(cells);
  }
  return out;
}

std::vector<StoredFault> stored_faults(const SqliteFile& file, const StoredSweep& sweep, int at_most) {
  std::vector<StoredFault> out;
  SqliteStatement rows =
      file.prepare(fmt::format("SELECT number, status, error FROM {} WHERE status != 'ok' ORDER BY number LIMIT {}",
                               sql_name(sweep.name), at_most));
  while (rows.step()) out.push_back({static_cast<std::uint64_t>(rows.whole(0)), rows.text(1), rows.text(2)});
  return out;
}

namespace {

void copy_description(const SqliteFile& file, const std::string& sweep) {
  SqliteStatement made = file.prepare("SELECT sql FROM part.sqlite_master WHERE type = 'table' AND name = ?");
  made.bind(1, sweep).step();
  file.execute(made.text(0));
  for (const char* table : {"flopcast_sweeps", "flopcast_columns", "flopcast_goals"}) {
    const char* const key = std::string_view(table) == "flopcast_sweeps" ? "name" : "sweep";
    file.prepare(fmt::format("INSERT INTO main.{0} SELECT * FROM part.{0} WHERE {1} = ?", table, key))
        .bind(1, sweep)
        .run();
  }
}

void refuse_other_study(const SqliteFile& file, const std::string& sweep, const std::string& part) {
  const auto digest = [&](const char* schema) {
    SqliteStatement row = file.prepare(fmt::format("SELECT digest FROM {}.flopcast_sweeps WHERE name = ?", schema));
    return row.bind(1, sweep).step() ? row.text(0) : std::string();
  };
  if (digest("main") == digest("part")) return;
  throw InputError(Diagnostic{part, 0, 0, "", "another definition of the study " + sql_name(sweep),
                              "shards of one study, under the same data", ""});
}

void refuse_other_results(const SqliteFile& file, const StoredSweep& sweep, const std::string& part) {
  std::vector<std::string> differ;
  for (const std::string& column : canonical_columns(sweep))
    differ.push_back(fmt::format("a.{0} IS NOT b.{0}", sql_name(column)));
  const std::int64_t number =
      file.whole(fmt::format("SELECT a.number FROM main.{0} a JOIN part.{0} b USING (number) WHERE a.status != "
                             "'failed' AND b.status != 'failed' AND "
                             "({1}) LIMIT 1",
                             sql_name(sweep.name), fmt::join(differ, " OR ")));
  if (number == 0) return;
  throw InputError(Diagnostic{part, 0, 0, "",
                              fmt::format("another result for number {} of {}", number, sql_name(sweep.name)),
                              "results of one build of the program", ""});
}

}  // namespace

MergeResult merge_stores(const std::string& into, const std::vector<std::string>& from) {
  MergeResult result;
  for (const std::string& path : from)
    open_store(path, SqliteFile::Access::read);  // all faults before anything is written
  const SqliteFile file = open_store(into, SqliteFile::Access::write);
  for (const std::string& path : from) {
    std::error_code error;
    if (std::filesystem::equivalent(path, into, error))
      throw InputError(Diagnostic{path, 0, 0, "", "the file that is merged into", "other files", ""});
    const std::vector<StoredSweep> sweeps = stored_sweeps(open_store(path, SqliteFile::Access::read));
    file.prepare("ATTACH ? AS part").bind(1, path).run();
    {
      SqliteTransaction transaction(file);
      for (const StoredSweep& sweep : sweeps) {
        const std::string table = sql_name(sweep.name);
        if (!file.has_table(sweep.name)) copy_description(file, sweep.name);
        refuse_other_study(file, sweep.name, path);
        refuse_other_results(file, sweep, path);
        // A fault of ours is no result where another shard has one.
        file.execute(fmt::format(
            "DELETE FROM main.{0} WHERE status = 'failed' AND number IN (SELECT number FROM part.{0})", table));
        const std::int64_t before = file.whole("SELECT count(*) FROM main." + table);
        file.execute(fmt::format("INSERT OR IGNORE INTO main.{0} SELECT * FROM part.{0}", table));
        result.rows += static_cast<std::uint64_t>(file.whole("SELECT count(*) FROM main." + table) - before);
      }
      transaction.commit();
    }
    file.execute("DETACH part");
    ++result.files;
  }
  return result;
}

}  // namespace flopcast
