#include "analysis/studies/sweep/store/sqlite.h"

#include <sqlite3.h>

#include <filesystem>

#include <fmt/format.h>

#include "sim/base/diagnostic.h"

namespace flopcast {
namespace {

[[noreturn]] void refuse_database(sqlite3* database, const std::string& path, int result) {
  const int code = result & 0xff;
  std::string found = database ? sqlite3_errmsg(database) : sqlite3_errstr(result);
  std::string expected = "a SQLite file";
  if (code == SQLITE_FULL) expected = "room on the disk; what is stored stays, and the same command goes on from there";
  if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
    expected = "a file that no other program keeps locked (for more than a minute)";
  if (code == SQLITE_READONLY || code == SQLITE_CANTOPEN || code == SQLITE_PERM)
    expected = "a file that can be opened, in a folder that can be written to";
  if (code == SQLITE_NOTADB) found = "a file that is no SQLite database";
  throw InputError(Diagnostic{path, 0, 0, "", std::move(found), std::move(expected), ""});
}

}  // namespace

void SqliteStatement::Finish::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
void SqliteFile::Close::operator()(sqlite3* database) const { sqlite3_close(database); }

SqliteStatement::SqliteStatement(sqlite3* database, const std::string& path, const std::string& sql)
    : database_(database), path_(path) {
  sqlite3_stmt* statement = nullptr;
  check(sqlite3_prepare_v2(database, sql.c_str(), static_cast<int>(sql.size()), &statement, nullptr));
  statement_.reset(statement);
}

void SqliteStatement::check(int result) const {
  if (result != SQLITE_OK) refuse_database(database_, path_, result);
}

SqliteStatement& SqliteStatement::bind(int at, std::int64_t value) {
  check(sqlite3_bind_int64(statement_.get(), at, value));
  return *this;
}
SqliteStatement& SqliteStatement::bind(int at, double value) {
  check(sqlite3_bind_double(statement_.get(), at, value));
  return *this;
}
SqliteStatement& SqliteStatement::bind(int at, std::string_view text) {
  check(sqlite3_bind_text(statement_.get(), at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
  return *this;
}
SqliteStatement& SqliteStatement::bind_bytes(int at, std::string_view bytes) {
  check(sqlite3_bind_blob(statement_.get(), at, bytes.data(), static_cast<int>(bytes.size()), SQLITE_TRANSIENT));
  return *this;
}
SqliteStatement& SqliteStatement::bind_null(int at) {
  check(sqlite3_bind_null(statement_.get(), at));
  return *this;
}
SqliteStatement& SqliteStatement::bind_cell(int at, const SweepCell& cell) {
  if (const double* number = std::get_if<double>(&cell)) return bind(at, *number);
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return bind(at, *whole);
  if (const std::string* text = std::get_if<std::string>(&cell)) return bind(at, std::string_view(*text));
  return bind_null(at);
}

bool SqliteStatement::step() {
  const int result = sqlite3_step(statement_.get());
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) refuse_database(database_, path_, result);
  return false;
}

void SqliteStatement::run() {
  while (step()) continue;
  reset();
}

void SqliteStatement::reset() {
  sqlite3_reset(statement_.get());
  sqlite3_clear_bindings(statement_.get());
}

int SqliteStatement::columns() const { return sqlite3_column_count(statement_.get()); }
std::string SqliteStatement::column_name(int at) const { return sqlite3_column_name(statement_.get(), at); }

SweepCell SqliteStatement::cell(int at) const {
  switch (sqlite3_column_type(statement_.get(), at)) {
    case SQLITE_INTEGER:
      return whole(at);
    case SQLITE_FLOAT:
      return number(at);
    case SQLITE_NULL:
      return {};
    default:
      return text(at);
  }
}

std::int64_t SqliteStatement::whole(int at) const { return sqlite3_column_int64(statement_.get(), at); }
double SqliteStatement::number(int at) const { return sqlite3_column_double(statement_.get(), at); }
bool SqliteStatement::null(int at) const { return sqlite3_column_type(statement_.get(), at) == SQLITE_NULL; }
std::string SqliteStatement::text(int at) const {
  const void* const bytes = sqlite3_column_blob(statement_.get(), at);
  const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_.get(), at));
  return bytes ? std::string(static_cast<const char*>(bytes), size) : std::string();
}

SqliteFile::SqliteFile(const std::string& path, Access access) : path_(path) {
  std::error_code error;
  if (access == Access::read && !std::filesystem::is_regular_file(path, error))
    throw InputError(Diagnostic{path, 0, 0, "", "no such file", "the results of a sweep", ""});
  sqlite3* database = nullptr;
  const int flags = access == Access::read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int result = sqlite3_open_v2(path.c_str(), &database, flags, nullptr);
  database_.reset(database);
  if (result != SQLITE_OK) refuse_database(database, path, result);
  constexpr int kPatienceMs = 60'000;
  sqlite3_busy_timeout(database, kPatienceMs);
  whole("SELECT count(*) FROM sqlite_master");  // whether it is a database at all
}

std::int64_t SqliteFile::whole(const std::string& sql) const {
  SqliteStatement statement = prepare(sql);
  return statement.step() ? statement.whole(0) : 0;
}

std::string SqliteFile::text(const std::string& sql) const {
  SqliteStatement statement = prepare(sql);
  return statement.step() ? statement.text(0) : std::string();
}

bool SqliteFile::has_table(std::string_view name) const {
  return prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").bind(1, name).step();
}

SqliteTransaction::SqliteTransaction(const SqliteFile& file) : file_(file) { file.execute("BEGIN IMMEDIATE"); }

SqliteTransaction::~SqliteTransaction() {
  if (!open_) return;
  try {
    file_.execute("ROLLBACK");
  } catch (...) {  // the file is rolled back when it is closed, too
  }
}

void SqliteTransaction::commit() {
  file_.execute("COMMIT");
  open_ = false;
}

std::string sql_name(std::string_view name) {
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out + '"';
}

}  // namespace flopcast
