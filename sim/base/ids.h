// Index types that do not mix: a RankId is not a StageId, even though both count from zero.
#pragma once
#include <compare>
#include <cstddef>
#include <cstdint>
#include <limits>

namespace flopcast {

template <class Tag>
class Id {
 public:
  constexpr Id() = default;  // invalid
  constexpr explicit Id(std::uint32_t index) : index_(index) {}
  template <class Integer>
  static constexpr Id at(Integer index) {
    return Id(static_cast<std::uint32_t>(index));
  }
  constexpr std::uint32_t index() const { return index_; }
  constexpr bool valid() const { return index_ != kInvalid; }
  constexpr auto operator<=>(const Id&) const = default;

 private:
  static constexpr std::uint32_t kInvalid = std::numeric_limits<std::uint32_t>::max();
  std::uint32_t index_ = kInvalid;
};

using OpId = Id<struct OpTag>;        ///< an operation of an OperationGraph
using LaneId = Id<struct LaneTag>;    ///< an exclusive queue: a GPU's compute stream, its communication stream
using LinkId = Id<struct LinkTag>;    ///< one direction of a network link
using RouteId = Id<struct RouteTag>;  ///< a list of links that one flow crosses
using RankId = Id<struct RankTag>;    ///< a GPU of the job, 0 .. gpus-1

}  // namespace flopcast
