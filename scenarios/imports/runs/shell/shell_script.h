// A launch script in Bash as far as it says commands: variables that it sets are put in their places, redirections and
// comments left out. Nothing is executed; what only execution would tell stays a variable, with the reason.
#pragma once
#include <string>
#include <vector>

#include "scenarios/read/text/text_file.h"

namespace flopcast {

/// A variable whose value the text does not say.
struct UnknownVariable {
  std::string written;  ///< "${EXTRA_ARGS[@]}"
  Place place;
  std::string why;            ///< "which nothing before it sets"
  bool may_be_words = false;  ///< not quoted: it may hold no word, or several
};

/// A launch command in words: environment, launcher, program, and what it is given.
struct RunCommand {
  std::vector<std::string> words;                     ///< quotes, continued lines and variables resolved
  std::vector<Place> places;                          ///< of each word
  std::vector<std::vector<UnknownVariable>> unknown;  ///< in each word, as it is written there
  std::size_t size() const { return words.size(); }
  void add(std::string word, Place place, std::vector<UnknownVariable> variables = {}) {
    words.push_back(std::move(word));
    places.push_back(std::move(place));
    unknown.push_back(std::move(variables));
  }
};

/// What the script writes into a file by a here-document.
struct ShellFile {
  std::string name, text;
  Place place;
};

struct ShellScript {
  std::vector<RunCommand> commands;  ///< in the order of the text, of all branches and loops
  RunCommand batch;                  ///< what lines of #SBATCH say
  std::vector<ShellFile> files;
  std::vector<std::string> notes;  ///< what was taken for granted where branches were chosen
};

/// @throws InputError for a quote or a list that is not closed, and for variables that grow beyond a megabyte.
ShellScript read_shell(const std::string& text, const std::string& file);

}  // namespace flopcast
