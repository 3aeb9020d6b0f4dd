#include "workloads/serving/cache/prefix_blocks.h"

#include <algorithm>

namespace flopcast {

PrefixBlocks::PrefixBlocks(const PrefixBlocks& other)
    : few_(other.few_), more_(other.more_ ? std::make_unique<std::vector<Run>>(*other.more_) : nullptr) {}

PrefixBlocks& PrefixBlocks::operator=(const PrefixBlocks& other) {
  if (this != &other) *this = PrefixBlocks(other);
  return *this;
}

std::span<const PrefixBlocks::Run> PrefixBlocks::runs() const {
  if (more_) return *more_;
  std::size_t size = 0;
  while (size < kFew && few_[size].count > 0) ++size;
  return {few_.data(), size};
}

void PrefixBlocks::append_new_run(std::uint64_t first, std::uint64_t count) {
  const Run run{first & kLargestId, count & kLongestRun};
  const std::size_t size = runs().size();
  if (size < kFew) {
    few_[size] = run;
    return;
  }
  if (!more_) more_ = std::make_unique<std::vector<Run>>(few_.begin(), few_.end());
  more_->push_back(run);
}

void PrefixBlocks::append_run(std::uint64_t first, std::uint64_t count) {
  assert(first + count <= kLargestId + 1);
  if (const std::size_t size = runs().size(); size > 0) {
    Run& last = more_ ? more_->back() : few_[size - 1];
    const std::uint64_t longer = last.first + last.count == first ? std::min(count, kLongestRun - last.count) : 0;
    last.count = (last.count + longer) & kLongestRun;
    first += longer;
    count -= longer;
  }
  while (count > 0) {
    const std::uint64_t taken = std::min(count, kLongestRun);
    append_new_run(first, taken);
    first += taken;
    count -= taken;
  }
}

void PrefixBlocks::truncate(std::size_t size) {
  PrefixBlocks kept;
  std::uint64_t left = size;
  for (const Run& run : runs()) {
    kept.append_run(run.first, std::min<std::uint64_t>(run.count, left));
    left -= std::min<std::uint64_t>(run.count, left);
  }
  *this = std::move(kept);
}

std::size_t PrefixBlocks::size() const {
  std::uint64_t blocks = 0;
  for (const Run& run : runs()) blocks += run.count;
  return blocks;
}

std::uint64_t PrefixBlocks::id(std::size_t index) const {
  std::uint64_t before = 0;
  for (const Run& run : runs()) {
    if (index < before + run.count) return run.first + (index - before);
    before += run.count;
  }
  assert(false && "no such block");
  return 0;
}

bool operator==(const PrefixBlocks& a, const PrefixBlocks& b) { return std::ranges::equal(a.runs(), b.runs()); }

void PrefixBlocks::archive(StateArchive& state) {
  bool many = more_ != nullptr;
  state(many, few_);
  if (state.reads()) more_ = many ? std::make_unique<std::vector<Run>>() : nullptr;
  if (many) state(*more_);
}

}  // namespace flopcast
