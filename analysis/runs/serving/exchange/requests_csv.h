// What became of each request of a serving run, one line each.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "sim/base/atomic_file.h"
#include "workloads/serving/metrics/metrics.h"

namespace flopcast {

/// Lines in order of arrival, whatever the order in which requests leave, so that equal runs give equal bytes
/// and the file can be replayed as a trace. A line that is early waits in memory for those before it. Times
/// in seconds; what did not happen is empty.
class RequestsCsv {
 public:
  /// @throws std::runtime_error when the file cannot be written.
  RequestsCsv(const std::filesystem::path& path, std::vector<std::string> class_names);
  void add(const RequestResult& result);
  /// Writes what is left (requests that never left have no line) and gives the file its name.
  void commit();

 private:
  std::string line_of(const RequestResult& result) const;
  void write(const std::string& line);
  AtomicFile file_;
  std::vector<std::string> class_names_;
  std::map<std::uint64_t, std::string> early_;
  std::uint64_t next_ = 0;
  std::string buffer_;
};

}  // namespace flopcast
