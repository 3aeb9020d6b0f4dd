// The state of a simulation as bytes, and back: what a long one goes on from after it was killed.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <queue>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

namespace flopcast {

/// Writes members, or reads them back in the same order: a class lists what changes while it runs once, for both ways,
///
///   void archive(StateArchive& state) { state(now_, queue_, counters_); }
///
/// and leaves out what its constructor sets, references, pointers, and what is empty between two events. A state is
/// read into an object that was made of the same configuration, by the same program on the same kind of machine:
/// numbers are stored as they lie in memory. Lists that keep their size keep their place.
class StateArchive {
 public:
  StateArchive() = default;  ///< writes
  explicit StateArchive(std::string_view bytes) : from_(bytes), reads_(true) {}

  bool reads() const { return reads_; }
  const std::string& bytes() const { return written_; }
  bool at_end() const { return from_.empty(); }

  template <class... Members>
  void operator()(Members&... members) {
    (member(members), ...);
  }

 private:
  template <class T>
  static constexpr bool kAsItLies = std::is_trivially_copyable_v<T> && !std::is_pointer_v<T>;

  template <class T>
  void member(T& value) {
    if constexpr (requires { value.archive(*this); }) {
      value.archive(*this);
    } else {
      static_assert(kAsItLies<T>, "its class has to list its members: void archive(StateArchive&)");
      raw(&value, sizeof(T));
    }
  }
  template <class T>
  void member(std::vector<T>& values) {
    resize(values);
    if constexpr (kAsItLies<T> && !requires(T & value) { value.archive(*this); }) {
      raw(values.data(), values.size() * sizeof(T));
    } else {
      for (T& value : values) member(value);
    }
  }
  template <class T>
  void member(std::deque<T>& values) {
    resize(values);
    for (T& value : values) member(value);
  }
  template <class T, class Before>
  void member(std::priority_queue<T, std::vector<T>, Before>& queue) {
    struct Open : std::priority_queue<T, std::vector<T>, Before> {
      using std::priority_queue<T, std::vector<T>, Before>::c;
    };
    member(queue.*(&Open::c));  // the heap as it lies
  }
  /// In any order: such maps are looked up and not listed.
  template <class Key, class T>
  void member(std::unordered_map<Key, T>& values) {
    std::uint64_t size = values.size();
    raw(&size, sizeof(size));
    if (!reads_) {
      for (auto& [key, value] : values) {
        Key copy = key;
        member(copy);
        member(value);
      }
      return;
    }
    values.clear();
    for (std::uint64_t i = 0; i < size; ++i) {
      Key key{};
      member(key);
      member(values[key]);
    }
  }
  template <class A, class B>
  void member(std::pair<A, B>& values) {
    member(values.first);
    member(values.second);
  }

  template <class List>
  void resize(List& values) {
    std::uint64_t size = values.size();
    raw(&size, sizeof(size));
    if (reads_ && size > from_.size()) throw std::runtime_error("a stored state ends early");
    if (size != values.size()) values.resize(size);
  }
  void raw(void* at, std::size_t size) {
    if (size == 0) return;
    if (!reads_) {
      written_.append(static_cast<const char*>(at), size);
      return;
    }
    if (size > from_.size()) throw std::runtime_error("a stored state ends early");
    std::memcpy(at, from_.data(), size);
    from_.remove_prefix(size);
  }

  std::string_view from_;
  std::string written_;
  bool reads_ = false;
};

}  // namespace flopcast
