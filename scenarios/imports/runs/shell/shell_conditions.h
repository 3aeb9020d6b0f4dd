// Which branches of a script are run, as far as its text says. Internal to scenarios/imports/runs/shell.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace flopcast {

enum class ShellTruth : std::uint8_t { no, yes, unknown };

ShellTruth negated(ShellTruth truth);

/// A word of a test: its text where the script says it, and whether any of it was quoted.
struct TestWord {
  std::optional<std::string> text;
  bool quoted = false;
};

/// `[ ... ]`, `[[ ... ]]` and `test ...` over texts that are known: equality and patterns, numbers, -z, -n, whether a
/// file that the script itself writes is there. @param words the command's, brackets included. @param wrote whether the
/// script writes a file of this name. @param number the value of a text in arithmetic.
ShellTruth truth_of_test(const std::vector<TestWord>& words, const std::function<bool(const std::string&)>& wrote,
                         const std::function<std::optional<std::int64_t>(const std::string&)>& number);

/// The ifs and loops round a place, from the outermost on.
class ShellBranches {
 public:
  /// Another block begins. @param kind its word: "if", "while", "until", or anything that has no condition.
  void enter(const std::string& kind);
  /// What follows is the condition's first branch, or the loop's body.
  void then(ShellTruth condition);
  /// A condition of its own follows.
  void elif ();
  void otherwise();
  void leave();

  /// Nothing of what stands here is run.
  bool dead() const;
  /// The branch that ends here is run, for certain: what it sets holds behind it.
  bool certain() const { return !blocks_.empty() && blocks_.back().certain; }
  bool in_condition() const { return !blocks_.empty() && blocks_.back().condition; }

 private:
  struct Block {
    bool branches = false;  ///< an if
    bool until = false;
    bool loop = false;
    bool condition = false;  ///< its condition is being read
    bool dead = false;       ///< the branch that is being read is not run
    bool certain = false;    ///< it is run
    bool taken = false;      ///< a branch before it is run for certain
    bool unsure = false;     ///< one before it may be
  };
  std::vector<Block> blocks_;
};

}  // namespace flopcast
