// Are launch scripts read as Bash would run them, without running anything?
#include "scenarios/imports/runs/shell/shell_script.h"

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
  CHECK_THAT(unknown("if [ -f /x ]; then A=1; else A=2; fi\nrun $A").why, ContainsSubstring("under a condition"));
  CHECK_THAT(unknown("A=1\n[ -d \"$A\" ] && A=2\nrun $A").why, ContainsSubstring("under a condition"));
  CHECK_THAT(unknown("for A in 1 2; do run $A; done").why, ContainsSubstring("a loop changes"));
  CHECK_THAT(unknown("run $1").why, ContainsSubstring("the script itself"));
  CHECK_THAT(unknown("run ${A%x}").why, ContainsSubstring("not read here"));
  // Within the branch it holds.
  CHECK(last_words("if x; then A=1; run $A; fi") == Words{"run", "1"});
}

TEST_CASE("branches are taken as what the script sets says, and as nothing where nothing sets it") {
  const std::string sets = "X=fp8\nN=4\n";
  const auto chosen = [&](const std::string& condition) {
    CAPTURE(condition);
    const Words words = last_words(sets + "A=no\nif " + condition + "; then A=yes; run branch; fi\nrun $A");
    REQUIRE(words.size() == 2);
    return words[1];
  };
  for (const char* yes : {"[ \"$X\" = fp8 ]", "[[ $X == fp* ]]", "[ $N -gt 3 ] && [[ -n \"$X\" ]]", "(( N > 3 ))",
                          "[[ \"$X\" == bf16 || $N -le 4 ]]", "! [ -n \"$UNSET\" ]", "[ -z \"$UNSET\" ]", "true",
                          "[ ! -f \"$UNSET\" ]", "[ \"$UNSET\" != true ] || false"})
    CHECK(chosen(yes) == "yes");
  for (const char* no :
       {"[ \"$X\" = bf16 ]", "[[ $X != fp* ]]", "[ $N -lt 3 ]", "(( N * 2 == 7 ))", "[ -n \"$UNSET\" ]",
        "[ \"${UNSET}\" = \"true\" ]", "[ -f \"$UNSET\" ]", "[[ $X == fp8 && $N -eq 5 ]]"})
    CHECK(chosen(no) == "no");
  const std::string ladder = "if [ $N -gt 8 ]; then A=1; elif [ $N -gt 2 ]; then A=2; else A=3; fi\nrun $A";
  CHECK(last_words(sets + ladder) == Words{"run", "2"});
  CHECK(last_words("N=1\n" + ladder) == Words{"run", "3"});
  // What is not run is no command, and sets nothing.
  const ShellScript dead = script_of("A=1\nif [ 1 -gt 2 ]; then run a; A=2; if x; then A=3; fi; fi\nrun $A");
  CHECK(dead.commands.back().words == Words{"run", "1"});
  for (const RunCommand& command : dead.commands) CHECK(command.words != Words{"run", "a"});
  CHECK(last_words("N=9\n(( N > 8 )) && N=8\n[ $N = 3 ] && N=4\n[ $N = 8 ] || N=5\nrun $N") == Words{"run", "8"});
  CHECK(last_words("X=${1:-MOCK}\nwhile [[ $# -gt 0 ]]; do X=$1; shift; done\nrun $X") == Words{"run", "MOCK"});
  CHECK(last_words("N=3\nrun $(( N < 4 ? 7 : 8 )) $(( N == 3 && N != 4 ))") == Words{"run", "7", "1"});
  // What a script asks its caller for is not known to be empty.
  const ShellScript asked = script_of("check_env_vars DP\nif [ \"$DP\" = true ]; then A=1; else A=2; fi\nrun $A");
  CHECK_THAT(asked.commands.back().unknown.back().front().why, ContainsSubstring("under a condition"));
  CHECK_FALSE(script_of("[ -z \"$UNSET\" ] && A=1").notes.empty());
}

TEST_CASE("here-documents are the files that a script writes") {
  const ShellScript script = script_of(
      "N=4\nF=a.yaml\ncat > $F <<EOF\nx: $N\n  y: 2\nEOF\ncat << 'EOF' >> $F\nz: $N\nEOF\ntee b <<-E\nq\nE\nrun");
  REQUIRE(script.files.size() == 2);
  CHECK(script.files[0].name == "a.yaml");
  CHECK(script.files[0].text == "x: 4\n  y: 2\nz: $N\n");
  CHECK(script.files[1].name == "b");
  CHECK(script.commands.back().words == Words{"run"});
  CHECK(script_of("if [ 1 = 2 ]; then\ncat > f <<E\nx\nE\nfi\nrun").files.empty());
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
