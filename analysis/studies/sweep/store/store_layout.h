// Parts of the store that its writer and its readers share. Internal to them.
#pragma once
#include <string>
#include <vector>

#include "analysis/studies/sweep/store/store.h"

namespace flopcast {

/// Moves all rows of a study to flopcast_earlier, where they are found by their fingerprints.
void set_rows_aside(const SqliteFile& file, const std::string& sweep);

/// Where each of `columns` stands in a layout (names, one a line); -1: nowhere.
std::vector<int> places_in(const std::string& layout, const std::vector<std::string>& columns);

StoreCounts counts_of(const SqliteFile& file, const std::string& sweep);

}  // namespace flopcast
