// Where a sweep's results are kept: one SQLite file, which may hold several sweeps. A row per candidate in a table of
// the study's name: number, fingerprint, status, error, feasible, what the axes set, the metrics, wall_s. Written in
// transactions over a write-ahead log, so that it is sound at any moment; several sweeps may write at once.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/studies/sweep/store/sqlite.h"

namespace flopcast {

/// Files say which version of this layout they have; later ones are refused.
inline constexpr std::int64_t kStoreVersion = 1;

/// @throws InputError when it is no store, or one of a later version. @{
SqliteFile open_store(const std::string& path, SqliteFile::Access access);
/// @}

struct StoreCounts {
  std::uint64_t ok = 0, refused = 0, failed = 0;
  std::uint64_t all() const { return ok + refused + failed; }
};

/// The table of one study while it is filled.
class SweepStore {
 public:
  /// Makes the table, or brings it up to date: what is there of candidates that the study still has stays, whatever
  /// their numbers were; what it no longer has is set aside, in case it comes back.
  /// @param fresh forgets what is there.
  SweepStore(const std::string& path, const SweepStudy& study, const SweepFingerprints& fingerprints, bool fresh);
  ~SweepStore();

  /// Whether the file was written by another build of the program.
  bool other_build() const { return other_build_; }
  /// Numbers of the candidates that need not be run, sorted.
  std::vector<std::uint64_t> done() const;
  /// Forgets what did not go well, so that it is run again. @return how many.
  std::uint64_t forget_faults();
  StoreCounts counts() const;

  bool has(std::uint64_t number);
  /// Becomes lasting with commit(), or a commit_if_due() half a second later.
  void put(const SweepCandidate& candidate, const SweepOutcome& outcome);
  void commit();
  void commit_if_due();

 private:
  void adapt(bool fresh);
  void create_table();
  void take_back();
  void describe_study();
  void insert(const SweepCandidate& candidate, const std::string& fingerprint, const SweepOutcome& outcome);
  void check_unchanged();

  const SweepStudy& study_;
  const SweepFingerprints& fingerprints_;
  std::string digest_;
  SqliteFile file_;
  bool other_build_ = false;
  bool study_is_current_ = false;
  std::optional<SqliteTransaction> transaction_;
  std::chrono::steady_clock::time_point begun_;
  std::optional<SqliteStatement> insert_;
  std::optional<SqliteStatement> find_;
};

/// What a table's column is.
enum class ColumnRole { input, metric };
struct StoredColumn {
  std::string name;
  ColumnRole role;
  std::string unit;
};

/// A study as its store describes it: enough to look at results without the study's file.
struct StoredSweep {
  std::string name, title, program;
  std::uint64_t product = 0;
  std::uint64_t wanted = 0;  ///< candidates that are to be run in all; 0: not known
  std::vector<StoredColumn> columns;
  std::vector<std::string> goals;
  std::vector<std::string> constraints;
  StoreCounts counts;
};

/// Of every study in the file, by name.
std::vector<StoredSweep> stored_sweeps(const SqliteFile& file);

/// The one of that name; with an empty name the only one. @throws InputError naming what there is.
StoredSweep stored_sweep(const SqliteFile& file, const std::string& name);

/// All rows in the order of their numbers, without wall times: equal for equal studies, however they were run.
std::string to_csv(const SqliteFile& file, const StoredSweep& sweep);

/// The first errors, in the order of the numbers.
struct StoredFault {
  std::uint64_t number = 0;
  std::string status, error;
};
std::vector<StoredFault> stored_faults(const SqliteFile& file, const StoredSweep& sweep, int at_most);

/// Rows of one study's shards as one. @throws InputError when they are of different studies, or a row differs.
struct MergeResult {
  std::uint64_t rows = 0, files = 0;
};
MergeResult merge_stores(const std::string& into, const std::vector<std::string>& from);

}  // namespace flopcast
