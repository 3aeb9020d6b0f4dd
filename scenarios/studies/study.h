// Studies: scenarios that belong side by side, as data files.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "scenarios/read/libraries/libraries.h"

namespace flopcast {

struct StudyMember {
  std::string name;
  std::string scenario;           ///< name or file
  std::vector<std::string> sets;  ///< as --set
};

struct Study {
  std::string title;
  std::vector<StudyMember> members;
  std::vector<std::string> notes;
};

/// With members: scenarios side by side. With axes: a sweep over their product.
enum class StudyKind { comparison, sweep };

/// Names of the studies of a kind: `studies/` of a user's folder, `scenarios/studies/` of the program's.
std::vector<std::string> study_names(const Libraries& libraries, StudyKind kind = StudyKind::comparison);

/// The file of the libraries' study of that name, of whatever kind.
std::optional<std::string> study_file(const Libraries& libraries, const std::string& name);

/// A study's file next to which the scenario files that it names stand.
std::string beside_study(const std::string& study, const std::string& scenario);

/// The study's file, when the word names one: an entry, or a file that begins like a study.
std::optional<std::string> find_study(const Libraries& libraries, const std::string& name_or_file);

/// @throws InputError with everything wrong in the file.
Study load_study(const Libraries& libraries, const std::string& path);

}  // namespace flopcast
