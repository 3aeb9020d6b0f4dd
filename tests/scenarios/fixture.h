// What the tests of scenario files share: the repository's libraries, scenario files written on the spot, and
// the diagnostics they end in.
#pragma once
#include <string>
#include <vector>

#include "scenarios/resolve/load_scenario.h"
#include "sim/base/diagnostic.h"
#include "tests/catch.h"
#include "tests/libraries.h"
#include "tests/temporary.h"

namespace flopcast::test {

/// A small sound scenario: 16 H800 in two nodes, DeepSeek-V3's little sister would fit; 2 stages, 8 replicas.
inline const std::string kSmall = R"(name: "small"
cluster { node: "hgx-h800" nodes: 2 fabric: "mpft" }
model: "deepseek-v3"
training {
  plan { pipeline: 2 data: 8 expert: 8 }
  schedule: "1f1b"
  batch { sequences: 64 sequence_length: 4096 }
}
price { gpu: "2 USD/h" }
)";

inline std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const auto at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

inline Scenario load_text(const std::string& text, const std::vector<std::string>& sets = {}) {
  const TemporaryFolder folder;
  return load_scenario(folder.write("scenario.textproto", text), sets, libraries());
}

/// The diagnostics of a scenario text, without the folder of the file; "" when it loads.
inline std::string faults_of(const std::string& text, const std::vector<std::string>& sets = {},
                             const std::string& file = "scenario.textproto") {
  const TemporaryFolder folder;
  const std::string path = folder.write(file, text);
  try {
    load_scenario(path, sets, libraries());
    return "";
  } catch (const InputError& error) {
    std::string out = error.what();
    for (auto at = out.find(folder.path() + "/"); at != std::string::npos; at = out.find(folder.path() + "/")) {
      out.erase(at, folder.path().size() + 1);
    }
    return out;
  }
}

}  // namespace flopcast::test
