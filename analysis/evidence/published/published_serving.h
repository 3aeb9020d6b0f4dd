// Published throughput of serving engines (analysis/data/published_serving.csv), predicted from their settings.
#pragma once
#include <string>
#include <vector>

#include "analysis/render/text/csv.h"
#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

struct PublishedServing {
  enum class Kind : std::uint8_t { throughput, decode, prefill };
  Kind kind = Kind::throughput;
  std::string model, node, precision, kv, engine, source;
  int tensor = 1, attention_data = 1, expert = 1, redundant = 0;
  int input = 0, output = 0, requests = 0, batch = 0;
  double value = 0;      ///< tokens per second of the replica (throughput) or per node
  bool balanced = true;  ///< experts got equal shares of the tokens
  double predicted = 0;
  std::string what() const;  ///< in a few words
};

/// @throws InputError where a row cannot be read.
std::vector<PublishedServing> read_published_serving(const CsvTable& table, const std::string& file);

/// Fills in `predicted` of every row.
void predict_published_serving(std::vector<PublishedServing>& rows, const Libraries& libraries);

}  // namespace flopcast
