// Are launch scripts read as Bash would run them, without running anything?
#include "scenarios/imports/runs/shell_script.h"

#include "sim/base/diagnostic.h"
#include "tests/catch.h"

namespace flopcast::test {
namespace {

using Catch::Matchers::ContainsSubstring;
using Words = std::vector<std::string>;

ShellScript script_of(const std::string& text) { return read_shell(text, "run.sh"); }

Words last_words(const std::string& text) { return script_of(text).commands.back().words; }

TEST_CASE("variables of a script stand where they are used") {
  CHECK(last_words("A=8\nB=\"$A\"\nrun --a $A --b=${B} --c ${C:-4} --d '$A' --e \"x $A\"") ==
        Words{"run", "--a", "8", "--b=8", "--c", "4", "--d", "$A", "--e", "x 8"});
  CHECK(last_words(
            "ARGS=(\n  --a 1 # first\n  --b \"two words\"\n  --c ([0]*3+[1]*58)\n)\nARGS+=(--d)\nrun ${ARGS[@]} x") ==
        Words{"run", "--a", "1", "--b", "two words", "--c", "([0]*3+[1]*58)", "--d", "x"});
  // The older style: one text that the shell cuts at its blanks.
  CHECK(last_words("ARGS=\"\n  --a 1 \\\n  --b 2\n\"\nrun $ARGS \"$ARGS\"").size() == 6);
  CHECK(last_words("export N=4\nM=$((2 * N + 1))\nrun $M $(( (M-1)/4 ))") == Words{"run", "9", "2"});
  CHECK(last_words("run ${X:=5} $X ${Y-${X}}") == Words{"run", "5", "5", "5"});
  CHECK(last_words("EMPTY=\nrun $EMPTY \"$EMPTY\" a") == Words{"run", "", "a"});
  CHECK(last_words("X=1 run") == Words{"run"});  // of its environment alone
}

TEST_CASE("redirections, remarks and other commands are no words of a command") {
  CHECK(last_words("run --a 1 > log.txt 2>&1 &") == Words{"run", "--a", "1"});
  CHECK(last_words("run a \\\n  b &>> log < in # c") == Words{"run", "a", "b"});
  const ShellScript two = script_of("cd /x && run a | tee log; other b");
  REQUIRE(two.commands.size() == 4);
  CHECK(two.commands[1].words == Words{"run", "a"});
  CHECK(two.commands[3].words == Words{"other", "b"});
  CHECK(two.commands[3].places[0].column == 27);
  CHECK(last_words("cat <<EOF > f\nnot a command\nEOF\nrun a") == Words{"run", "a"});
  CHECK(last_words("#SBATCH --nodes=4\n#SBATCH --gpus-per-node 8\nrun $((SLURM_NNODES * SLURM_GPUS_ON_NODE))") ==
        Words{"run", "32"});
  CHECK(script_of("#SBATCH -N 4 --ntasks-per-node=8\nrun").batch.words == Words{"-N", "4", "--ntasks-per-node=8"});
}

TEST_CASE("a variable that the text does not settle stays one, with its place and the reason") {
  const auto unknown = [](const std::string& text) {
    const ShellScript script = script_of(text);
    const RunCommand& run = script.commands.back();
    REQUIRE_FALSE(run.unknown.back().empty());
    return run.unknown.back().front();
  };
  const UnknownVariable first = unknown("\nrun --a $NNODES");
  CHECK(first.written == "$NNODES");
  CHECK((first.place.line == 2 && first.place.column == 9));
  CHECK_THAT(first.why, ContainsSubstring("nothing before it sets"));
  CHECK(first.may_be_words);
  CHECK_FALSE(unknown("run \"$A\"").may_be_words);
  CHECK(unknown("run \"${A[@]}\"").may_be_words);
  CHECK(unknown("ARGS=\"--a $B\"\nrun $ARGS").written == "$B");
  CHECK_THAT(unknown("A=$(nproc)\nrun $A").why, ContainsSubstring("not executed"));
  CHECK_THAT(unknown("if [ x ]; then A=1; else A=2; fi\nrun $A").why, ContainsSubstring("under a condition"));
  CHECK_THAT(unknown("A=1\n[ -z \"$B\" ] && A=2\nrun $A").why, ContainsSubstring("under a condition"));
  CHECK_THAT(unknown("for A in 1 2; do run $A; done").why, ContainsSubstring("a loop changes"));
  CHECK_THAT(unknown("run $1").why, ContainsSubstring("the script itself"));
  CHECK_THAT(unknown("run ${A%x}").why, ContainsSubstring("not read here"));
  // Within the branch it holds.
  CHECK(last_words("if x; then A=1; run $A; fi") == Words{"run", "1"});
}

TEST_CASE("what is no script is refused, and nothing grows without end") {
  CHECK_THROWS_WITH(script_of("run 'open"), ContainsSubstring("run.sh:1:5: found a quote that is not closed"));
  CHECK_THROWS_WITH(script_of("A=( b"), ContainsSubstring("a list that is not closed"));
  CHECK_THROWS_WITH(script_of("run ${A"), ContainsSubstring("a brace that is not closed"));
  std::string doubling = "A=0123456789\n";
  for (int i = 0; i < 40; ++i) doubling += "A=$A$A\n";
  CHECK_THROWS_WITH(script_of(doubling), ContainsSubstring("more than a megabyte"));
  CHECK(script_of("").commands.empty());
  const std::string wild = "a ( b ) ; ; } fi done $(( 1/0 )) ${!x} $ \\ ` > < | || && & \" \" ' ' {";
  for (std::size_t n = 0; n <= wild.size(); ++n) {
    try {
      script_of(wild.substr(0, n));
    } catch (const InputError& error) {
      CHECK_FALSE(error.diagnostics().empty());
    }
  }
}

}  // namespace
}  // namespace flopcast::test
