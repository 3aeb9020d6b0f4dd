// Is text from outside shown so that nothing in it steers what shows it?
#include "sim/base/plain_text.h"

#include <random>

#include "sim/base/diagnostic.h"
#include "tests/catch.h"

namespace flopcast {
namespace {

TEST_CASE("letters of every script are plain, bytes that are none and what steers are not") {
  for (const std::string plain : {"", "a b", "µs, größer, 模型, Ελλάδα, 🙂", "\xf4\x8f\xbf\xbf"})
    CHECK(first_unplain(plain) == std::string::npos);
  struct Case {
    std::string text;
    std::size_t at;
  };
  const Case c = GENERATE(
      Case{"a\x1b[31m", 1}, Case{std::string("ab\0", 3), 2}, Case{"\x7f", 0}, Case{"\xc2\x9b", 0},  // C0, delete, C1
      Case{"a\n", 1}, Case{"\xff", 0}, Case{"a\xc3", 1}, Case{"\xc0\xaf", 0}, Case{"\xe0\x80\xaf", 0},  // overlong
      Case{"\xed\xa0\x80", 0}, Case{"\xf4\x90\x80\x80", 0}, Case{"\xf8\x88\x80\x80\x80", 0},  // surrogate, too large
      Case{"x\xe2\x80\xae", 1}, Case{"x\xe2\x81\xa6", 1}, Case{"x\xe2\x80\xa8", 1});  // overrides, isolates, separators
  CAPTURE(c.text);
  CHECK(first_unplain(c.text) == c.at);
  CHECK(first_unplain(visible(c.text)) == std::string::npos);
}

TEST_CASE("what is not plain is spelt out, the rest stays") {
  CHECK(visible("a\x1b[0m\xff µ") == "a\\x1b[0m\\xff µ");
  CHECK(visible("a\nb\x1b", LineEnds::allowed) == "a\nb\\x1b");
  CHECK(visible("a\nb") == "a\\x0ab");
  CHECK(cut_text("aµb", 2) == "a");
  CHECK(cut_text("aµb", 3) == "aµ");
  CHECK(cut_text("aµb", 9) == "aµb");
}

TEST_CASE("random bytes become plain text, whatever they are") {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    std::string text(random() % 12, ' ');
    for (char& c : text) c = static_cast<char>(random());
    const std::string shown = visible(text);
    CAPTURE(shown);
    CHECK(first_unplain(shown) == std::string::npos);
    CHECK(visible(shown) == shown);
  }
}

TEST_CASE("a diagnostic is printable whatever was found") {
  const InputError error(Diagnostic{"a\x1b]0;x\x07.textproto", 1, 2, "f\xff", "\x1b[31mred", "plain\ntext"});
  CHECK(error.diagnostics().front().file == "a\\x1b]0;x\\x07.textproto");
  CHECK(std::string(error.what()) == "a\\x1b]0;x\\x07.textproto:1:2: f\\xff: found \\x1b[31mred, expected plain\ntext");
}

}  // namespace
}  // namespace flopcast
