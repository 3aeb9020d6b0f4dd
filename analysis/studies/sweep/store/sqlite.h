// SQLite as the stores of sweeps use it. Faults of files (no database, full disk, no rights) are InputErrors.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "analysis/studies/sweep/store/outcome.h"

struct sqlite3;
struct sqlite3_stmt;

namespace flopcast {

class SqliteStatement {
 public:
  SqliteStatement(sqlite3* database, const std::string& path, const std::string& sql);
  /// From 1. Texts are copied. @{
  SqliteStatement& bind(int at, std::int64_t value);
  SqliteStatement& bind(int at, double value);
  SqliteStatement& bind(int at, std::string_view text);
  SqliteStatement& bind_bytes(int at, std::string_view bytes);
  SqliteStatement& bind_cell(int at, const SweepCell& cell);
  SqliteStatement& bind_null(int at);
  /// @}
  /// To the next row; false: there is none.
  bool step();
  /// Runs a statement that gives no rows, ready to be bound anew.
  void run();
  void reset();
  int columns() const;
  std::string column_name(int at) const;
  /// From 0. @{
  SweepCell cell(int at) const;
  std::int64_t whole(int at) const;
  double number(int at) const;
  std::string text(int at) const;
  bool null(int at) const;
  /// @}

 private:
  void check(int result) const;
  struct Finish {
    void operator()(sqlite3_stmt* statement) const;
  };
  sqlite3* database_;
  std::string path_;
  std::unique_ptr<sqlite3_stmt, Finish> statement_;
};

/// A database file. Several processes may have it open; each waits a minute for the others' transactions.
class SqliteFile {
 public:
  enum class Access { read, write };
  /// @throws InputError when it cannot be opened so, or is no database.
  SqliteFile(const std::string& path, Access access);

  const std::string& path() const { return path_; }
  SqliteStatement prepare(const std::string& sql) const { return {database_.get(), path_, sql}; }
  void execute(const std::string& sql) const { prepare(sql).run(); }
  std::int64_t whole(const std::string& sql) const;
  std::string text(const std::string& sql) const;
  bool has_table(std::string_view name) const;

 private:
  struct Close {
    void operator()(sqlite3* database) const;
  };
  std::string path_;
  std::unique_ptr<sqlite3, Close> database_;
};

/// All or nothing: rolled back unless committed.
class SqliteTransaction {
 public:
  explicit SqliteTransaction(const SqliteFile& file);
  ~SqliteTransaction();
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;
  void commit();

 private:
  const SqliteFile& file_;
  bool open_ = true;
};

/// A name as SQL has it: "training.step_time_s" in double quotes.
std::string sql_name(std::string_view name);

}  // namespace flopcast
