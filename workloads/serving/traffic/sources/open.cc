// Sources that wait for nobody.
#include <algorithm>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sim/base/diagnostic.h"
#include "workloads/serving/traffic/sources/ready_queue.h"
#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

Request request_of(TraceRecord&& record) {
  Request request;
  request.arrival = record.at;
  request.input_tokens = record.input_tokens;
  request.output_tokens = record.output_tokens;
  request.prefix = std::move(record.blocks);
  request.session = record.session;
  request.turn = record.turn;
  return request;
}

class OpenSource final : public RequestSource {
 public:
  OpenSource(const OpenLoop& arrivals, std::unique_ptr<ShapeSource> shapes, const ClassSeed& seed)
      : arrivals_(arrivals.rate, arrivals.spacing, arrivals.cv, seed.stream(ClassSeed::arrivals)),
        shapes_(std::move(shapes)),
        next_(arrivals_.next()) {}
  Seconds next_arrival() const override { return next_; }
  Request take() override {
    TraceRecord record;
    shapes_->next(record);
    record.at = std::exchange(next_, arrivals_.next());
    return request_of(std::move(record));
  }
  int prefix_block_tokens() const override { return shapes_->block_tokens(); }
  bool archive(StateArchive& state) override {
    state(arrivals_, *shapes_, next_);
    return true;
  }

 private:
  ArrivalProcess arrivals_;
  std::unique_ptr<ShapeSource> shapes_;
  Seconds next_;
};

/// Requests at their times; later turns of sessions a delay after their turn before is answered.
class TraceSource final : public RequestSource {
 public:
  TraceSource(const TraceTraffic& trace, const ClassSeed& seed)
      : trace_(trace, seed, trace.repeat), waits_(trace.summary.format->waits()) {
    advance();
  }
  Seconds next_arrival() const override { return std::min(there_ ? next_.at : kNever, due_.next()); }
  Request take() override {
    if (there_ && next_.at <= due_.next()) {
      Request request = request_of(std::move(next_));
      last_ = request.arrival;
      if (waits_ && request.session != 0) sessions_[request.session].busy = true;
      advance();
      return request;
    }
    const ReadyQueue::Entry turn = due_.take();
    std::vector<TraceRecord>& waiting = sessions_.at(turn.who).waiting;
    Request request = request_of(std::move(waiting.front()));
    waiting.erase(waiting.begin());
    request.arrival = last_ = std::max(turn.at, last_);
    return request;
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    const auto found = sessions_.find(request.session);
    if (found == sessions_.end()) return;
    Session& session = found->second;
    session.busy = false;
    session.free_at = when;
    session.over = outcome != RequestOutcome::completed;
    if (session.over) session.waiting.clear();
    if (!session.waiting.empty()) release(request.session, session);
  }
  int prefix_block_tokens() const override { return trace_.block_tokens(); }
  bool archive(StateArchive& state) override {
    state(trace_, next_, there_, last_, due_, sessions_);
    return true;
  }

 private:
  struct Session {
    std::vector<TraceRecord> waiting;  // few: the turns of one conversation
    Seconds free_at;                   // when the turn before was answered
    bool busy = false, over = false;
    void archive(StateArchive& state) { state(waiting, free_at, busy, over); }
  };

  /// To the next request that comes at a time of its own; turns on the way wait for theirs.
  void advance() {
    while ((there_ = trace_.next(next_)) && next_.waits) {
      Session& session = sessions_[next_.session];
      if (session.over) continue;
      const bool first = session.waiting.empty() && !session.busy;
      session.waiting.push_back(std::move(next_));
      next_ = {};
      if (!first) continue;
      check_in_time(session);
      release(session.waiting.back().session, session);
    }
  }
  void release(std::uint32_t number, Session& session) {
    session.busy = true;
    due_.add(session.free_at + session.waiting.front().delay, number);
  }
  /// A turn that stands in the file so late that its moment has passed cannot be replayed.
  void check_in_time(const Session& session) const {
    if (session.free_at + session.waiting.front().delay >= last_) return;
    throw InputError(Diagnostic{.file = trace_.path(),
                                .line = trace_.line(),
                                .found = "a turn of a session behind requests that come later",
                                .expected = "the turns of a session one after the other, or all in order of time"});
  }

  RepeatingTrace trace_;
  bool waits_;  // for earlier turns, where there are any
  TraceRecord next_;
  bool there_ = false;
  Seconds last_;  // of what was taken
  ReadyQueue due_;
  std::unordered_map<std::uint32_t, Session> sessions_;  // only looked up, never listed
};

}  // namespace

std::unique_ptr<RequestSource> open_source(const OpenLoop& arrivals, std::unique_ptr<ShapeSource> shapes,
                                           const ClassSeed& seed) {
  return std::make_unique<OpenSource>(arrivals, std::move(shapes), seed);
}

std::unique_ptr<RequestSource> trace_source(const TraceTraffic& trace, const ClassSeed& seed) {
  return std::make_unique<TraceSource>(trace, seed);
}

}  // namespace flopcast
