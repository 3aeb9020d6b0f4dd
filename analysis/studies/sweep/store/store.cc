#include "analysis/studies/sweep/store/store.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <fmt/format.h>
#include <unistd.h>

#include "analysis/studies/sweep/store/store_layout.h"
#include "flopcast/environment.h"
#include "sim/base/diagnostic.h"
#include "sim/base/fnv.h"
#include "sim/base/own_file.h"
#include "sim/jobs/packed.h"

namespace flopcast {
namespace {

constexpr std::int64_t kStoreApplication = 0x666c7063;  // "flpc": what SQLite's application_id says whose file it is

/// Results of another build may differ; its bytes say whether it is one.
std::string build_of_program() {
  std::ifstream file(own_file(), std::ios::binary);
  std::uint64_t hash = kFnvStart;
  std::vector<char> space(1 << 20);
  while (file.read(space.data(), static_cast<std::streamsize>(space.size())), file.gcount() > 0) {
    for (std::streamsize i = 0; i + 8 <= file.gcount(); i += 8) {
      std::uint64_t word = 0;
      std::copy_n(space.data() + i, 8, reinterpret_cast<char*>(&word));
      hash = fnv1a(hash, word);
    }
  }
  return fmt::format("{:016x}", hash);
}

/// SQLite's type of a column of an axis.
std::string type_of_column(const SweepAxis& axis, std::size_t column) {
  if (!axis.columns[column].numbers) return "TEXT";
  const bool whole = std::all_of(axis.values.begin(), axis.values.end(), [&](const AxisValue& value) {
    return value.cells[column].find_first_not_of("-0123456789") == std::string::npos && value.cells[column].size() < 18;
  });
  return whole ? "INTEGER" : "REAL";
}

std::string type_of_unit(const std::string& unit) {
  return unit == "text" ? "TEXT" : unit == "yes/no" ? "INTEGER" : "REAL";
}

/// So that several processes may write. Where the file system has no shared memory, one at a time.
void turn_log_on(const SqliteFile& file) {
  // While another program turns it on SQLite refuses at once, whatever patience it was given.
  std::string mode;
  for (int tries = 200; mode.empty(); --tries) {
    try {
      mode = file.text("PRAGMA journal_mode = WAL");
    } catch (const InputError&) {
      if (tries == 0) throw;
      ::usleep(20'000);
    }
  }
  if (mode == "wal") {
    file.execute("PRAGMA synchronous = NORMAL");
    return;
  }
  file.execute("PRAGMA busy_timeout = 0");
  file.execute("PRAGMA locking_mode = EXCLUSIVE");
  try {
    file.execute("BEGIN EXCLUSIVE");
    file.execute("COMMIT");
  } catch (const InputError&) {
    throw InputError(Diagnostic{file.path(), 0, 0, "",
                                "another program that has it open, on a file system without shared memory",
                                "one writer at a time there, or a file on a local disk", ""});
  }
}

void create_description(const SqliteFile& file) {
  file.execute(fmt::format("PRAGMA application_id = {}", kStoreApplication));
  file.execute(fmt::format("PRAGMA user_version = {}", kStoreVersion));
  file.execute(
      "CREATE TABLE IF NOT EXISTS flopcast_sweeps (name TEXT PRIMARY KEY, title TEXT, program TEXT, build TEXT, digest "
      "TEXT, "
      "product INTEGER, wanted INTEGER)");
  file.execute(
      "CREATE TABLE IF NOT EXISTS flopcast_columns (sweep TEXT, position INTEGER, name TEXT, role TEXT, unit TEXT, "
      "PRIMARY KEY (sweep, position))");
  file.execute(
      "CREATE TABLE IF NOT EXISTS flopcast_goals (sweep TEXT, position INTEGER, kind TEXT, text TEXT, "
      "PRIMARY KEY (sweep, kind, position))");
  file.execute("CREATE TABLE IF NOT EXISTS flopcast_layouts (id INTEGER PRIMARY KEY, columns TEXT UNIQUE)");
  file.execute(
      "CREATE TABLE IF NOT EXISTS flopcast_earlier (fingerprint TEXT PRIMARY KEY, layout INTEGER, outcome BLOB)");
}

void check_store(const SqliteFile& file) {
  const std::int64_t application = file.whole("PRAGMA application_id"), version = file.whole("PRAGMA user_version");
  const bool empty = file.whole("SELECT count(*) FROM sqlite_master") == 0;
  if (application != kStoreApplication && !empty)
    throw InputError(Diagnostic{file.path(), 0, 0, "", "a database of another program", "the results of a sweep", ""});
  if (version > kStoreVersion) {
    throw InputError(
        Diagnostic{file.path(), 0, 0, "", fmt::format("version {} of the layout, of a newer flopcast", version),
                   fmt::format("version {} at most", kStoreVersion), "", "a newer flopcast, or another file"});
  }
}

}  // namespace

SqliteFile open_store(const std::string& path, SqliteFile::Access access) {
  SqliteFile file(path, access);
  check_store(file);
  if (access == SqliteFile::Access::read) {
    if (!file.has_table("flopcast_sweeps"))
      throw InputError(Diagnostic{path, 0, 0, "", "an empty file", "the results of a sweep", ""});
    return file;
  }
  turn_log_on(file);
  if (!file.has_table("flopcast_earlier")) {
    SqliteTransaction transaction(file);
    create_description(file);
    transaction.commit();
  }
  return file;
}

SweepStore::SweepStore(const std::string& path, const SweepStudy& study, const SweepFingerprints& fingerprints,
                       bool fresh)
    : study_(study),
      fingerprints_(fingerprints),
      digest_(fingerprints.of_study(study)),
      file_(open_store(path, SqliteFile::Access::write)) {
  adapt(fresh);
  std::vector<std::string> columns{"number", "fingerprint", "status", "error", "feasible", "wall_s"}, marks;
  for (const SweepAxis& axis : study_.axes)
    for (const AxisColumn& column : axis.columns) columns.push_back(column.name);
  columns.insert(columns.end(), study_.keep.begin(), study_.keep.end());
  for (std::string& column : columns) {
    column = sql_name(column);
    marks.emplace_back("?");
  }
  insert_ = file_.prepare(fmt::format("INSERT OR IGNORE INTO {} ({}) VALUES ({})", sql_name(study_.name),
                                      fmt::join(columns, ", "), fmt::join(marks, ", ")));
  find_ = file_.prepare(fmt::format("SELECT 1 FROM {} WHERE number = ?", sql_name(study_.name)));
  if (!study_is_current_) {
    take_back();
    describe_study();
    transaction_->commit();
    transaction_.reset();
  }
}

SweepStore::~SweepStore() = default;

void SweepStore::adapt(bool fresh) {
  transaction_.emplace(file_);
  SqliteStatement known = file_.prepare("SELECT digest, build FROM flopcast_sweeps WHERE name = ?");
  const bool there = known.bind(1, study_.name).step() && file_.has_table(study_.name);
  const std::string build = build_of_program();
  study_is_current_ = there && known.text(0) == digest_ && !fresh;
  other_build_ = there && !fresh && known.text(1) != build;
  known.reset();
  if (study_is_current_) {
    transaction_.reset();
    return;
  }
  if (there) {
    if (!fresh) set_rows_aside(file_, study_.name);
    file_.execute("DROP TABLE " + sql_name(study_.name));
  } else if (file_.has_table(study_.name)) {
    throw InputError(
        Diagnostic{file_.path(), 0, 0, "", sql_name(study_.name) + ", a table that is no sweep's", "another file", ""});
  }
  if (fresh) {
    SqliteStatement forget = file_.prepare("DELETE FROM flopcast_earlier WHERE fingerprint = ?");
    if (file_.whole("SELECT count(*) FROM flopcast_earlier") > 0) {
      for_each_wanted(study_, [&](const SweepCandidate& candidate) {
        forget.bind(1, fingerprints_.of(candidate)).run();
        return true;
      });
    }
  }
  create_table();
}

void SweepStore::create_table() {
  std::vector<std::string> columns{"number INTEGER PRIMARY KEY", "fingerprint TEXT NOT NULL", "status TEXT NOT NULL",
                                   "error TEXT", "feasible INTEGER"};
  for (const SweepAxis& axis : study_.axes) {
    for (std::size_t i = 0; i < axis.columns.size(); ++i)
      columns.push_back(sql_name(axis.columns[i].name) + " " + type_of_column(axis, i));
  }
  for (std::size_t i = 0; i < study_.keep.size(); ++i)
    columns.push_back(sql_name(study_.keep[i]) + " " + type_of_unit(study_.units[i]));
  columns.emplace_back("wall_s REAL");
  file_.execute(fmt::format("CREATE TABLE {} ({})", sql_name(study_.name), fmt::join(columns, ", ")));
}

/// Results that were set aside, where a candidate of the study has their fingerprint and they have its columns.
void SweepStore::take_back() {
  if (file_.whole("SELECT count(*) FROM flopcast_earlier") == 0) return;
  std::map<std::int64_t, std::vector<int>> places;  // by layout: of each kept column, -1 where it is missing
  SqliteStatement layouts = file_.prepare("SELECT id, columns FROM flopcast_layouts");
  while (layouts.step()) places[layouts.whole(0)] = places_in(layouts.text(1), study_.keep);
  SqliteStatement find = file_.prepare("SELECT layout, outcome FROM flopcast_earlier WHERE fingerprint = ?");
  SqliteStatement forget = file_.prepare("DELETE FROM flopcast_earlier WHERE fingerprint = ?");
  for_each_wanted(study_, [&](const SweepCandidate& candidate) {
    const std::string fingerprint = fingerprints_.of(candidate);
    if (!find.bind(1, fingerprint).step()) {
      find.reset();
      return true;
    }
    const std::vector<int>& place = places[find.whole(0)];
    SweepOutcome outcome = unpacked<SweepOutcome>(find.text(1));
    find.reset();
    if (outcome.status == SweepStatus::ok) {
      if (std::find(place.begin(), place.end(), -1) != place.end()) return true;
      std::vector<SweepCell> cells;
      for (const int at : place) cells.push_back(outcome.cells[static_cast<std::size_t>(at)]);
      outcome.cells = std::move(cells);
    }
    insert(candidate, fingerprint, outcome);
    forget.bind(1, fingerprint).run();
    return true;
  });
}

void SweepStore::describe_study() {
  const std::string& name = study_.name;
  constexpr std::uint64_t kCounted = 5'000'000;
  std::int64_t wanted = 0;
  if (study_.product <= kCounted || study_.sample)
    for_each_wanted(study_, [&](const SweepCandidate&) { return ++wanted, true; });
  file_.prepare("INSERT OR REPLACE INTO flopcast_sweeps VALUES (?, ?, ?, ?, ?, ?, ?)")
      .bind(1, name)
      .bind(2, study_.title)
      .bind(3, version())
      .bind(4, build_of_program())
      .bind(5, digest_)
      .bind(6, static_cast<std::int64_t>(study_.product))
      .bind(7, wanted)
      .run();
  for (const char* table : {"flopcast_columns", "flopcast_goals"})
    file_.prepare(fmt::format("DELETE FROM {} WHERE sweep = ?", table)).bind(1, name).run();
  SqliteStatement column = file_.prepare("INSERT INTO flopcast_columns VALUES (?, ?, ?, ?, ?)");
  std::int64_t position = 0;
  const auto add = [&](const std::string& column_name, std::string_view role, const std::string& unit) {
    column.bind(1, name).bind(2, position++).bind(3, column_name).bind(4, role).bind(5, unit).run();
  };
  for (const SweepAxis& axis : study_.axes)
    for (const AxisColumn& c : axis.columns) add(c.name, "input", "");
  for (std::size_t i = 0; i < study_.keep.size(); ++i) add(study_.keep[i], "metric", study_.units[i]);
  SqliteStatement goal = file_.prepare("INSERT INTO flopcast_goals VALUES (?, ?, ?, ?)");
  position = 0;
  for (const SweepGoal& g : study_.goals) goal.bind(1, name).bind(2, position++).bind(3, "goal").bind(4, g.text).run();
  position = 0;
  for (const auto* conditions : {&study_.before, &study_.after})
    for (const MetricExpression& c : *conditions)
      goal.bind(1, name).bind(2, position++).bind(3, "constraint").bind(4, c.text()).run();
}

std::vector<std::uint64_t> SweepStore::done() const {
  std::vector<std::uint64_t> out;
  SqliteStatement rows = file_.prepare(fmt::format("SELECT number FROM {} ORDER BY number", sql_name(study_.name)));
  while (rows.step()) out.push_back(static_cast<std::uint64_t>(rows.whole(0)));
  return out;
}

std::uint64_t SweepStore::forget_faults() {
  const StoreCounts before = counts();
  file_.execute(fmt::format("DELETE FROM {} WHERE status != 'ok'", sql_name(study_.name)));
  return before.refused + before.failed;
}

StoreCounts SweepStore::counts() const { return counts_of(file_, study_.name); }

bool SweepStore::has(std::uint64_t number) {
  const bool there = find_->bind(1, static_cast<std::int64_t>(number)).step();
  find_->reset();
  return there;
}

void SweepStore::check_unchanged() {
  SqliteStatement now = file_.prepare("SELECT digest FROM flopcast_sweeps WHERE name = ?");
  if (now.bind(1, study_.name).step() && now.text(0) == digest_) return;
  throw InputError(Diagnostic{file_.path(), 0, 0, "",
                              "another sweep that has meanwhile changed the study " + study_.name,
                              "one definition of it at a time", ""});
}

void SweepStore::put(const SweepCandidate& candidate, const SweepOutcome& outcome) {
  if (!transaction_) {
    transaction_.emplace(file_);
    begun_ = std::chrono::steady_clock::now();
    check_unchanged();
  }
  insert(candidate, fingerprints_.of(candidate), outcome);
}

void SweepStore::insert(const SweepCandidate& candidate, const std::string& fingerprint, const SweepOutcome& outcome) {
  SqliteStatement& row = *insert_;
  row.bind(1, static_cast<std::int64_t>(candidate.number))
      .bind(2, fingerprint)
      .bind(3, name_of(outcome.status))
      .bind(6, outcome.wall_s);
  if (!outcome.error.empty()) row.bind(4, outcome.error);
  if (const auto holds = feasible(study_, candidate, outcome)) row.bind(5, std::int64_t{*holds});
  int at = 7;
  for (const std::string& cell : candidate.cells) row.bind(at++, cell);  // the column's type makes it a number
  for (const SweepCell& cell : outcome.cells) row.bind_cell(at++, cell);
  row.run();
}

void SweepStore::commit() {
  if (!transaction_) return;
  transaction_->commit();
  transaction_.reset();
}

void SweepStore::commit_if_due() {
  if (transaction_ && std::chrono::steady_clock::now() - begun_ > std::chrono::milliseconds(500)) commit();
}

}  // namespace flopcast
