#include "workloads/serving/traffic/traces/session_book.h"

#include "sim/base/fnv.h"
#include "sim/base/random.h"

namespace flopcast {
namespace {

/// FNV-1a, mixed once more for the bits at the top. Of a million names two are alike with a
/// probability of 3e-8.
std::uint64_t hash_of(std::string_view name) { return RandomStream(fnv1a(name)).next(); }

}  // namespace

std::uint32_t SessionBook::unnamed() {
  sessions_.emplace_back();
  return size();
}

std::uint32_t SessionBook::of(std::string_view name) {
  const std::uint64_t hash = hash_of(name);
  const std::uint32_t known = numbers_.find(hash);
  if (known != BlockIndex::kNone) return known;
  const std::uint32_t number = unnamed();
  numbers_.insert(hash, number);
  return number;
}

std::uint32_t SessionBook::of_turn(std::string_view name, std::string_view parent) {
  const std::uint64_t hash = hash_of(name);
  const std::uint32_t before = parent.empty() || parent == "-1" ? BlockIndex::kNone : numbers_.find(hash_of(parent));
  const std::uint32_t known = numbers_.find(hash);
  if (known != BlockIndex::kNone) return known;
  const std::uint32_t number = before != BlockIndex::kNone ? before : unnamed();
  numbers_.insert(hash, number);
  return number;
}

PrefixBlocks SessionBook::blocks(std::uint32_t number, std::size_t count) {
  if (blocks_.size() < number) blocks_.resize(sessions_.size());
  PrefixBlocks& own = blocks_[number - 1];
  const std::size_t there = own.size();
  if (count > there) {
    own.append_run(next_block_, count - there);
    next_block_ += count - there;
  }
  PrefixBlocks asked = own;
  asked.truncate(count);
  return asked;
}

std::uint64_t BlockNames::number(std::uint64_t hash) {
  const std::uint32_t known = numbers_.find(hash);
  if (known != BlockIndex::kNone) return known;
  numbers_.insert(hash, next_);
  return next_++;
}

}  // namespace flopcast
