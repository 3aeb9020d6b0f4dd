// Numbers and texts, one a line, as child processes send them.
#pragma once
#include <cassert>
#include <cstdlib>
#include <string>

#include "analysis/render/json.h"

namespace flopcast {

class Lines {
 public:
  Lines() = default;
  explicit Lines(std::string text) : text_(std::move(text)) {}
  void put(double value) { text_ += shortest(value) + "\n"; }
  void put(const std::string& text) { text_ += text + "\n"; }
  std::string take_text() {
    const auto end = text_.find('\n', at_);
    assert(end != std::string::npos);
    std::string line = text_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }
  double take() { return std::strtod(take_text().c_str(), nullptr); }
  bool done() const { return at_ == text_.size(); }
  std::string text() const { return text_; }

 private:
  std::string text_;
  std::size_t at_ = 0;
};

}  // namespace flopcast
