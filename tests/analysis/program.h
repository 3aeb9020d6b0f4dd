// The real program, run as a user runs it.
#pragma once
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::testing {

inline std::string contents(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// What a run of the program left behind.
struct Outcome {
  int code = 0;  ///< exit code, or 128 + the signal that ended it
  std::string out, err;
};

/// A text without its line breaks and the blanks round them: what was said, wherever it was broken.
inline std::string one_line(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const bool blank = c == ' ' || c == '\n';
    if (!blank || out.empty() || out.back() != ' ') out += blank ? ' ' : c;
  }
  return out;
}

/// Runs `flopcast ARGUMENTS` through the shell.
inline Outcome flopcast(const std::string& arguments) {
  const test::TemporaryFolder folder;
  const std::string out = folder.path() + "/out", err = folder.path() + "/err";
  const std::string command = flopcast::testing::program() + " " + arguments + " >" + out + " 2>" + err + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents(out), contents(err)};
}

/// 16 H100 in two nodes, 8 billion parameters: four stages, four replicas, a step of milliseconds to replay.
inline const std::string kDense = R"(title: "A small dense model"
cluster { node: "hgx-h100" nodes: 2 fabric: "rail-ft2" }
model: "llama-3.1-8b"
training {
  plan { pipeline: 4 data: 4 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 4096 }
}
run { phase { name: "all" tokens: "10B" } }
price { gpu: "2 USD/h" source: "assumed" }
published { field: "training.step_time_s" value: 10 source: "nowhere" }
)";

/// 32 H800 in four nodes, experts over two nodes, DualPipe.
inline const std::string kSparse = R"(title: "A small mixture of experts"
cluster { node: "hgx-h800" nodes: 4 fabric: "mpft" }
model: "deepseek-v2-lite"
training {
  plan { pipeline: 2 data: 16 expert: 16 }
  schedule: "dualpipe"
  batch { sequences: 128 sequence_length: 4096 }
}
price { gpu: "2 USD/h" source: "assumed" }
)";

}  // namespace flopcast::testing
