// Conversations as they were recorded: a turn at its time, or when the answer before it is there.
#include <algorithm>

#include "workloads/serving/traffic/sources/ready_queue.h"
#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

constexpr int kTurnPlaceBits = 16;  // number of a block = session << 16 | place in it
constexpr std::uint64_t kMostTurnPlaces = (std::uint64_t{1} << kTurnPlaceBits) - 1;

class RecordedSource final : public RequestSource {
 public:
  RecordedSource(const RecordedSessions& sessions, const ClassSeed& seed)
      : seed_(seed), sessions_(sessions), at_(sessions.size()) {
    for (std::size_t s = 0; s < sessions_.size(); ++s)
      ready_.add(sessions_.turns[sessions_.begins[s]].at, static_cast<std::uint32_t>(s));
  }
  Seconds next_arrival() const override { return ready_.next(); }
  Request take() override {
    const ReadyQueue::Entry entry = ready_.take();
    Place& place = at_[entry.who];
    const RecordedTurn& turn = sessions_.turns[sessions_.begins[entry.who] + place.turn];
    Request request;
    request.arrival = entry.at;
    request.input_tokens = static_cast<std::int32_t>(place.said) + turn.asked;
    request.output_tokens = turn.answer;
    request.session = entry.who + 1;
    request.turn = static_cast<std::uint16_t>(std::min<std::size_t>(place.turn, 0xffff));
    place.said += std::int64_t{turn.asked} + turn.answer;
    request.prefix.append_run(
        seed_.block(std::uint64_t{request.session} << kTurnPlaceBits),
        std::min(static_cast<std::uint64_t>(place.said / sessions_.block_tokens), kMostTurnPlaces));
    ++place.turn;
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    const std::uint32_t who = request.session - 1;
    const std::size_t next = sessions_.begins[who] + at_[who].turn;
    if (outcome != RequestOutcome::completed || next == sessions_.begins[who + 1]) return;
    ready_.add(std::max(when, sessions_.turns[next].at), who);
  }
  int prefix_block_tokens() const override { return sessions_.block_tokens; }
  bool archive(StateArchive& state) override {
    state(at_, ready_);
    return true;
  }

 private:
  struct Place {
    std::size_t turn = 0;  // that comes next
    std::int64_t said = 0;
  };
  ClassSeed seed_;
  RecordedSessions sessions_;
  std::vector<Place> at_;
  ReadyQueue ready_;
};

}  // namespace

std::unique_ptr<RequestSource> recorded_source(const RecordedSessions& sessions, const ClassSeed& seed) {
  return std::make_unique<RecordedSource>(sessions, seed);
}

}  // namespace flopcast
