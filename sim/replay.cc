// The replay: a calendar of what is known in advance, and a solver for flows that meet.
//
// A flow that is alone on every shared link of its route ends after bytes / bottleneck and sits on the calendar. When
// another flow arrives on one of its links, both go to the solver, the first with what is left of it, and stay there
// until they end. So a flow shares links either with nobody or with flows in the solver, and sharing is always the
// solver's max-min fairness.
#include "sim/replay.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <utility>

#include "sim/base/fetch.h"
#include "sim/calendar.h"
#include "sim/contention.h"
#include "sim/jobs/process.h"

namespace flopcast {
namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();
/// A flow that has less than this to go has ended as far as others are concerned: ends and starts that fall together
/// differ by rounding only. Also the resolution of the solver's clock.
constexpr double kSimultaneous = 1e-12;
constexpr FlowSlot kNoFlow = std::numeric_limits<FlowSlot>::max();

// Calendar keys: the operation, then what happens to it. Slots of flows are below the two special values.
constexpr std::uint32_t kOperationEnds = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t kLatencyPaid = kOperationEnds - 1;
std::uint64_t calendar_key(OpId op, std::uint32_t what) { return std::uint64_t{op.index()} << 32 | what; }

/// Who hears that an operation has ended.
class SpanReceiver {
 public:
  virtual ~SpanReceiver() = default;
  virtual void ended(const OpSpan& span) = 0;
};

/// Tells the sinks and the caller's progress callback, and counts.
class Reporter final : public SpanReceiver {
 public:
  Reporter(const OperationGraph& graph, std::span<TimelineSink* const> sinks, const ReplayOptions& options)
      : graph_(graph), sinks_(sinks), options_(options) {}

  void ended(const OpSpan& span) override {
    for (TimelineSink* sink : sinks_) sink->finished(graph_, span);
    const std::uint64_t times = options_.times.empty() ? 1 : options_.times[span.op.index()];
    if (graph_.kind(span.op) == OpKind::transfer) result_.transfers += times;
    result_.operations += times;
    result_.makespan = std::max(result_.makespan, span.end);
    if (++ended_ % kOperationsPerReport == 0) report_progress();
  }
  void report_progress() const {
    if (options_.progress && !options_.progress(ended_, graph_.size())) throw Interrupted();
  }
  ReplayResult result(std::uint64_t contended_flows) {
    result_.contended_flows = contended_flows;
    return result_;
  }

 private:
  static constexpr std::uint64_t kOperationsPerReport = 1 << 13;
  const OperationGraph& graph_;
  std::span<TimelineSink* const> sinks_;
  const ReplayOptions& options_;
  ReplayResult result_;
  std::uint64_t ended_ = 0;
};

/// A flow under way.
struct LiveFlow {
  OpId op;
  RouteId route;
  double bytes = 0.0;  ///< in all, or what was left when the solver got it
  double end = 0.0;    ///< its date on the calendar; kNever while the solver has it
  bool in_solver = false;
};

/// What the replay asks of an operation again and again, side by side: graphs are larger than caches.
struct OpState {
  double time = 0.0;  ///< how long it takes, or its latency; from its start on, when that was
  /// Before it starts: predecessors still to end. While a transfer runs: its flows still to end.
  std::uint32_t waiting_for = 0;
  bool transfer = false;
};

/// Who is on a link. At most one of the two is the case.
struct LinkUse {
  FlowSlot alone = kNoFlow;     ///< the only flow on it, when that is on the calendar
  std::uint32_t in_solver = 0;  ///< flows on it that the solver has
  bool shared = true;
};

std::string describe(const OperationGraph& graph, OpId op) {
  const Label& label = graph.label(op);
  const auto& names = graph.kind_names();
  std::string text = label.kind < names.size() ? names[label.kind] : "kind " + std::to_string(label.kind);
  text += " (stage " + std::to_string(label.stage) + ", micro-batch " + std::to_string(label.micro_batch) + ")";
  if (!graph.lane(op).valid()) return text;
  return text + " on lane " + graph.lane_name(graph.lane(op)) + " of rank " +
         std::to_string(graph.lane_rank(graph.lane(op)).index());
}

class Replay final : public ContentionClient {
 public:
  Replay(const OperationGraph& graph, const Network& network, const ReplayOptions& options, SpanReceiver& receiver);

  /// Replays from the start to the first date at which flows meet, or to the end.
  void run_to_first_contention();
  bool contended() const { return !joining_.empty(); }
  /// Replays the rest with a solver.
  void run_with_solver(SpanReceiver& receiver, std::unique_ptr<ContentionSolver> solver);
  /// Routes on which the graph has flows.
  std::vector<RouteId> routes_in_use() const;
  /// @throws StuckError when operations are left that nothing will ever start.
  void check_that_all_ended() const;
  std::uint64_t contended_flows() const { return contended_flows_; }

  Seconds wake(Seconds now, std::span<const FlowSlot> ended) override;

 private:
  void advance(double limit);
  void fetch_soon() const;
  void handle(const CalendarEvent& event);
  void start(OpId op);
  void start_flows(OpId op);
  void start_flow(OpId op, const Flow& flow);
  bool meets_others(RouteId route);
  bool nearly_over(FlowSlot slot) const { return flows_[slot].end - now_ <= kSimultaneous; }
  void run_alone(FlowSlot slot);
  void hand_to_solver(FlowSlot slot);
  void promote(FlowSlot slot);
  void end_flow(FlowSlot slot);
  void end(OpId op);
  FlowSlot new_slot();
  std::vector<OpId> stuck_operations() const;

  const OperationGraph& graph_;
  const Network& network_;
  const ReplayOptions& options_;
  SpanReceiver* receiver_;
  std::unique_ptr<ContentionSolver> solver_;

  Calendar calendar_;
  double now_ = 0.0;
  std::uint64_t ended_ = 0;
  std::vector<OpState> ops_;
  std::vector<LiveFlow> flows_;
  std::vector<FlowSlot> free_slots_;
  std::vector<LinkUse> links_;
  std::vector<FlowSlot> joining_;  // flows that the solver gets at `now_`
  std::uint64_t live_in_solver_ = 0;
  std::uint64_t contended_flows_ = 0;
};

Replay::Replay(const OperationGraph& graph, const Network& network, const ReplayOptions& options,
               SpanReceiver& receiver)
    : graph_(graph),
      network_(network),
      options_(options),
      receiver_(&receiver),
      ops_(graph.size()),
      links_(network.link_count()) {
  for (std::size_t i = 0; i < graph.size(); ++i) {
    const OpId op = OpId::at(i);
    ops_[i] = {graph.duration(op).value(), graph.predecessor_count(op), graph.kind(op) == OpKind::transfer};
  }
  for (std::size_t i = 0; i < links_.size(); ++i) links_[i].shared = network.link(LinkId::at(i)).shared;
}

void Replay::run_to_first_contention() {
  for (std::size_t i = 0; i < graph_.size(); ++i)
    if (graph_.predecessor_count(OpId::at(i)) == 0) start(OpId::at(i));
  advance(kNever);
}

void Replay::run_with_solver(SpanReceiver& receiver, std::unique_ptr<ContentionSolver> solver) {
  receiver_ = &receiver;
  solver_ = std::move(solver);
  solver_->run(*this, Seconds(now_));
}

Seconds Replay::wake(Seconds now, std::span<const FlowSlot> ended) {
  // Ends found by the solver take their place among what else happens at this date.
  for (FlowSlot slot : ended) {
    flows_[slot].end = now.value();
    calendar_.push({now.value(), calendar_key(flows_[slot].op, slot)});
    --live_in_solver_;
  }
  advance(now.value());
  for (FlowSlot slot : joining_) solver_->start(slot, flows_[slot].route, Bytes(flows_[slot].bytes));
  live_in_solver_ += joining_.size();
  joining_.clear();
  // The solver's clock may stay behind as long as nothing happens in it, or until flows meet again.
  double quiet = kNever;
  if (live_in_solver_ > 0) quiet = solver_->quiet_until().value() - 2.0 * kSimultaneous;
  advance(quiet);
  if (!joining_.empty()) return Seconds(now_);
  return Seconds(calendar_.empty() ? kNever : calendar_.top().time);
}

/// Works off the calendar up to and including `limit`, but not past a date at which flows go to the solver.
void Replay::advance(double limit) {
  while (!calendar_.empty() && calendar_.top().time <= limit) {
    const CalendarEvent event = calendar_.top();
    if (!joining_.empty() && event.time > now_) return;
    calendar_.pop();
    now_ = event.time;
    fetch_soon();
    handle(event);
  }
}

/// Asks for what the next events will need while this one is worked on: graphs of thousands of ranks lie in memory, and
/// each event is of another rank. What an operation's successors need is known once the operation itself is there, so
/// that is asked for some events before.
void Replay::fetch_soon() const {
  const std::span<const CalendarEvent> soon = calendar_.soon();
  if (soon.empty()) return;
  const auto op_of = [](const CalendarEvent& event) { return OpId(static_cast<std::uint32_t>(event.key >> 32)); };
  for (const OpId successor : graph_.successors(op_of(soon.front()))) {
    fetch(ops_[successor.index()]);
    graph_.fetch_op(successor);
  }
  for (const CalendarEvent& event : soon) {
    fetch(ops_[op_of(event).index()]);
    graph_.fetch_op(op_of(event));
  }
}

void Replay::handle(const CalendarEvent& event) {
  const OpId op(static_cast<std::uint32_t>(event.key >> 32));
  const auto what = static_cast<std::uint32_t>(event.key);
  if (what == kOperationEnds) return end(op);
  if (what == kLatencyPaid) return start_flows(op);
  const LiveFlow& flow = flows_[what];
  const bool outdated = flow.op != op || flow.end != event.time;  // it went to the solver meanwhile
  if (!outdated) end_flow(what);
}

void Replay::start(OpId op) {
  OpState& state = ops_[op.index()];
  const double duration = std::exchange(state.time, now_);
  if (!state.transfer) {
    calendar_.push({now_ + duration, calendar_key(op, kOperationEnds)});
  } else if (duration > 0.0) {
    calendar_.push({now_ + duration, calendar_key(op, kLatencyPaid)});
  } else {
    start_flows(op);
  }
}

void Replay::start_flows(OpId op) {
  std::uint32_t& flows_left = ops_[op.index()].waiting_for;
  for (const Flow& flow : graph_.flows(op)) {
    if (flow.bytes <= Bytes(0.0)) continue;
    ++flows_left;
    start_flow(op, flow);
  }
  if (flows_left == 0) calendar_.push({now_, calendar_key(op, kOperationEnds)});
}

void Replay::start_flow(OpId op, const Flow& flow) {
  const FlowSlot slot = new_slot();
  const double alone_for = (flow.bytes / network_.bottleneck(flow.route)).value();
  flows_[slot] = {op, flow.route, flow.bytes.value(), now_ + alone_for};
  if (options_.sharing == Sharing::ideal) {
    calendar_.push({flows_[slot].end, calendar_key(op, slot)});
  } else if (meets_others(flow.route) || options_.solve_every_flow) {
    hand_to_solver(slot);
  } else {
    run_alone(slot);
  }
}

/// Whether a flow on `route` has company; if so, the company is in the solver afterwards.
bool Replay::meets_others(RouteId route) {
  bool met = false;
  for (LinkId id : network_.route(route)) {
    const LinkUse& use = links_[id.index()];
    if (!use.shared) continue;
    if (use.alone != kNoFlow && !nearly_over(use.alone)) promote(use.alone);
    met = met || use.in_solver > 0;
  }
  return met;
}

void Replay::run_alone(FlowSlot slot) {
  const LiveFlow& flow = flows_[slot];
  for (LinkId id : network_.route(flow.route))
    if (links_[id.index()].shared) links_[id.index()].alone = slot;
  calendar_.push({flow.end, calendar_key(flow.op, slot)});
}

void Replay::hand_to_solver(FlowSlot slot) {
  flows_[slot].end = kNever;
  flows_[slot].in_solver = true;
  for (LinkId id : network_.route(flows_[slot].route)) ++links_[id.index()].in_solver;
  joining_.push_back(slot);
  contended_flows_ += options_.times.empty() ? 1 : options_.times[flows_[slot].op.index()];
}

void Replay::promote(FlowSlot slot) {
  LiveFlow& flow = flows_[slot];
  for (LinkId id : network_.route(flow.route))
    if (links_[id.index()].alone == slot) links_[id.index()].alone = kNoFlow;
  // What is left follows from the end date, so that it is exact where most of it has been moved.
  flow.bytes = (flow.end - now_) * network_.bottleneck(flow.route).value();
  hand_to_solver(slot);
}

void Replay::end_flow(FlowSlot slot) {
  LiveFlow& flow = flows_[slot];
  const OpId op = flow.op;
  for (LinkId id : network_.route(flow.route)) {
    LinkUse& use = links_[id.index()];
    if (flow.in_solver) --use.in_solver;
    if (use.alone == slot) use.alone = kNoFlow;
  }
  flow = {};
  free_slots_.push_back(slot);
  if (--ops_[op.index()].waiting_for == 0) end(op);
}

void Replay::end(OpId op) {
  ++ended_;
  receiver_->ended({op, Seconds(ops_[op.index()].time), Seconds(now_)});
  for (OpId successor : graph_.successors(op))
    if (--ops_[successor.index()].waiting_for == 0) start(successor);
}

FlowSlot Replay::new_slot() {
  if (free_slots_.empty()) {
    flows_.emplace_back();
    return static_cast<FlowSlot>(flows_.size() - 1);
  }
  const FlowSlot slot = free_slots_.back();
  free_slots_.pop_back();
  return slot;
}

std::vector<RouteId> Replay::routes_in_use() const {
  std::vector<bool> used(network_.route_count());
  for (std::size_t i = 0; i < graph_.size(); ++i)
    for (const Flow& flow : graph_.flows(OpId::at(i))) used[flow.route.index()] = true;
  std::vector<RouteId> routes;
  for (std::size_t i = 0; i < used.size(); ++i)
    if (used[i]) routes.push_back(RouteId::at(i));
  return routes;
}

void Replay::check_that_all_ended() const {
  if (ended_ == graph_.size()) return;
  constexpr std::size_t kNamed = 10;
  std::vector<OpId> stuck = stuck_operations();
  std::string message = "the graph cannot be finished: " + std::to_string(graph_.size() - ended_) + " of " +
                        std::to_string(graph_.size()) + " operations wait for each other in a circle: ";
  for (std::size_t i = 0; i < std::min(kNamed, stuck.size()); ++i)
    message += (i == 0 ? "" : ", which waits for ") + describe(graph_, stuck[i]);
  if (stuck.size() > kNamed) message += ", which waits for " + std::to_string(stuck.size() - kNamed) + " more";
  stuck.resize(std::min(kNamed, stuck.size()));
  throw StuckError(std::move(message), std::move(stuck));
}

/// A circle of operations of which each waits for the next. Every operation that has not started has a predecessor
/// that has not started either, so walking back from any of them leads into a circle.
std::vector<OpId> Replay::stuck_operations() const {
  std::vector<OpId> waits_for(graph_.size());
  OpId walk;
  for (std::size_t i = graph_.size(); i-- > 0;) {
    const OpId op = OpId::at(i);
    if (ops_[i].waiting_for == 0) continue;
    walk = op;
    for (OpId successor : graph_.successors(op)) waits_for[successor.index()] = op;
  }
  std::vector<bool> seen(graph_.size());
  for (; !seen[walk.index()]; walk = waits_for[walk.index()]) seen[walk.index()] = true;
  std::vector<OpId> circle;
  do {
    circle.push_back(walk);
    walk = waits_for[walk.index()];
  } while (walk != circle.front());
  return circle;
}

/// What the child process sends: one record per operation ended, then one whose operation is invalid.
struct SpanRecord {
  double start = 0.0;
  double end = 0.0;
  std::uint64_t op = OpId().index();
  std::uint64_t contended_flows = 0;
};

class SpanWriter final : public SpanReceiver {
 public:
  explicit SpanWriter(PipeWriter& out) : out_(out) {}
  void ended(const OpSpan& span) override { write({span.start.value(), span.end.value(), span.op.index(), 0}); }
  void finish(std::uint64_t contended_flows) { write({0.0, 0.0, OpId().index(), contended_flows}); }

 private:
  void write(const SpanRecord& record) {
    out_.write(std::string_view(reinterpret_cast<const char*>(&record), sizeof record));
  }
  PipeWriter& out_;
};

/// Passes on what a child process reports. Returns the number of contended flows.
std::uint64_t relay(ChildProcess& child, Reporter& reporter) {
  std::vector<SpanRecord> records(2048);
  const auto space = std::span(reinterpret_cast<char*>(records.data()), records.size() * sizeof(SpanRecord));
  std::uint64_t contended_flows = 0;
  std::size_t filled = 0;
  while (const std::size_t count = child.read(space.subspan(filled), [&] { reporter.report_progress(); })) {
    filled += count;
    const std::size_t whole = filled / sizeof(SpanRecord);
    for (const SpanRecord& record : std::span(records).first(whole)) {
      const OpId op = OpId::at(record.op);
      if (op.valid()) reporter.ended({op, Seconds(record.start), Seconds(record.end)});
      contended_flows = record.contended_flows;
    }
    filled -= whole * sizeof(SpanRecord);
    std::memmove(space.data(), space.data() + whole * sizeof(SpanRecord), filled);
  }
  child.join();
  return contended_flows;
}

}  // namespace

ReplayResult replay(const OperationGraph& graph, const Network& network, std::span<TimelineSink* const> sinks,
                    const ReplayOptions& options) {
  Reporter reporter(graph, sinks, options);
  auto state = std::make_unique<Replay>(graph, network, options, reporter);
  state->run_to_first_contention();
  if (!state->contended()) {
    state->check_that_all_ended();
    return reporter.result(0);
  }
  if (options.solver == Solver::in_process) {
    state->run_with_solver(reporter, make_fair_share_solver(network));
    state->check_that_all_ended();
    return reporter.result(state->contended_flows());
  }
  load_simgrid();
  ChildProcess rest([&](PipeWriter& out) {
    SpanWriter spans(out);
    state->run_with_solver(spans, make_simgrid_solver(network, state->routes_in_use()));
    state->check_that_all_ended();
    spans.finish(state->contended_flows());
  });
  state.reset();  // the child has its own; pages that nobody shares are not copied
  return reporter.result(relay(rest, reporter));
}

}  // namespace flopcast
