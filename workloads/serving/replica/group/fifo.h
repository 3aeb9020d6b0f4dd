// First in, first out.
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "sim/base/state_archive.h"

namespace flopcast {

/// A queue in one piece of memory, none while nothing was ever put in: thousands of attention groups have several each,
/// and most stay empty (a std::deque takes 600 bytes from the beginning).
template <class T>
class Fifo {
 public:
  bool empty() const { return first_ == all_.size(); }
  std::size_t size() const { return all_.size() - first_; }
  const T& front() const { return all_[first_]; }
  auto begin() const { return all_.begin() + static_cast<std::ptrdiff_t>(first_); }
  auto end() const { return all_.end(); }
  void push_back(const T& value) { all_.push_back(value); }
  template <class... Parts>
  void emplace_back(Parts&&... parts) {
    all_.emplace_back(std::forward<Parts>(parts)...);
  }
  void push_front(const T& value) {
    if (first_ > 0) {
      all_[--first_] = value;
    } else {
      all_.insert(all_.begin(), value);
    }
  }
  void pop_front() {
    if (++first_ == all_.size()) {
      clear();
    } else if (first_ >= kSlack && first_ * 2 >= all_.size()) {
      all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(first_));
      first_ = 0;
    }
  }
  template <class Predicate>
  std::size_t erase_if(Predicate predicate) {
    all_.erase(all_.begin(), all_.begin() + static_cast<std::ptrdiff_t>(first_));
    first_ = 0;
    return std::erase_if(all_, predicate);
  }
  void clear() {
    all_.clear();
    first_ = 0;
  }

  void archive(StateArchive& state) { state(all_, first_); }

 private:
  static constexpr std::size_t kSlack = 16;  // places before the first that are not worth moving the rest
  std::vector<T> all_;
  std::size_t first_ = 0;  // those before have left
};

}  // namespace flopcast
