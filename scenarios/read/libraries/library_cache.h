// What libraries remember of their files when asked to. Internal to scenarios/read.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

namespace flopcast {

/// Values by key, made once. For several threads at once.
class LibraryCache {
 public:
  /// The value of `key`, which is always asked for with the same type. What `make` throws is not remembered.
  template <class Value, class Make>
  std::shared_ptr<const Value> get(const std::string& key, Make&& make) {
    {
      const std::lock_guard lock(mutex_);
      const auto known = values_.find(key);
      if (known != values_.end()) return std::static_pointer_cast<const Value>(known->second);
    }
    // Made without the lock: one entry asks for others.
    auto value = std::make_shared<const Value>(std::forward<Make>(make)());
    const std::lock_guard lock(mutex_);
    return std::static_pointer_cast<const Value>(values_.emplace(key, std::move(value)).first->second);
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const void>> values_;
};

}  // namespace flopcast
