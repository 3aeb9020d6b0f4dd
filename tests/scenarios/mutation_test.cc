// Does any damage to a file end in a scenario or in diagnostics, never in a crash or a hang?
#include <sstream>

#include "sim/base/random.h"
#include "tests/paths.h"
#include "tests/scenarios/fixture.h"

namespace flopcast::test {
namespace {

class Vandal {
 public:
  explicit Vandal(std::uint64_t seed) : random_(seed) {}

  std::string damage(std::string text) {
    const int blows = 1 + static_cast<int>(below(3));
    for (int i = 0; i < blows && !text.empty(); ++i) strike(text);
    return text;
  }

 private:
  std::uint64_t below(std::uint64_t n) { return random_.next() % n; }

  void strike(std::string& text) {
    const std::size_t at = below(text.size());
    switch (below(6)) {
      case 0:
        text[at] = static_cast<char>(below(256));
        break;
      case 1:
        text.resize(at);
        break;
      case 2:
        text.erase(at, 1 + below(20));
        break;
      case 3:
        text.insert(at, text.substr(below(text.size()), below(40)));
        break;
      case 4:
        swap_tokens(text);
        break;
      default:
        replace_number(text, at);
        break;
    }
  }

  void swap_tokens(std::string& text) {
    std::vector<std::string> tokens;
    std::istringstream in(text);
    for (std::string token; in >> token;) tokens.push_back(token);
    if (tokens.size() < 2) return;
    std::swap(tokens[below(tokens.size())], tokens[below(tokens.size())]);
    text.clear();
    for (const std::string& token : tokens) text += token + "\n";
  }

  void replace_number(std::string& text, std::size_t from) {
    const std::size_t at = text.find_first_of("0123456789", from);
    if (at == std::string::npos) return;
    const std::size_t end = text.find_first_not_of("0123456789.", at);
    const char* odd[] = {"0", "-1", "1e308", "nan", "inf", "-0.0", "2147483648", "99999999999999999999", "0.5", "7"};
    text.replace(at, end == std::string::npos ? end : end - at, odd[below(10)]);
  }

  RandomStream random_;
};

/// Comments out of the way: damage to them shows nothing.
std::string without_comments(const std::string& text) {
  std::string out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    if (line[0] != '#') out += line + "\n";
  }
  return out;
}

TEST_CASE("damaged V3 files load or are diagnosed") {
  std::ifstream in(flopcast::testing::source_dir() + "/scenarios/library/deepseek_v3_2048_h800.textproto");
  const std::string original = without_comments({std::istreambuf_iterator<char>(in), {}});
  const Libraries all = libraries();
  const TemporaryFolder folder;
  int loaded = 0, diagnosed = 0;
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    INFO("seed " << seed);
    const std::string path = folder.write("damaged.textproto", Vandal(seed).damage(original));
    try {
      const Scenario s = load_scenario(path, {}, all);
      CHECK(s.cluster.gpus() >= 1);
      ++loaded;
    } catch (const InputError& error) {
      REQUIRE_FALSE(error.diagnostics().empty());
      for (const Diagnostic& d : error.diagnostics()) REQUIRE_FALSE(to_string(d).empty());
      ++diagnosed;
    }
  }
  // Both happen, or the damage is too small or too great to show anything.
  CHECK(loaded > 15);
  CHECK(diagnosed > 300);
}

TEST_CASE("damaged --set arguments are applied or diagnosed") {
  const TemporaryFolder folder;
  const std::string path = folder.write("small.textproto", kSmall);
  const Libraries all = libraries();
  const std::vector<std::string> sound{"training.plan.data=8", "cluster.slow[0].gpu=3", "price.gpu=2 USD/h",
                                       "training.plan.stage_layers=[30,31]"};
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    INFO("seed " << seed);
    const std::vector<std::string> sets{Vandal(seed).damage(sound[seed % sound.size()])};
    try {
      load_scenario(path, sets, all);
    } catch (const InputError& error) {
      REQUIRE_FALSE(error.diagnostics().empty());
    }
  }
}

}  // namespace
}  // namespace flopcast::test
