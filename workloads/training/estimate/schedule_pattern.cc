#include "workloads/training/estimate/schedule_pattern.h"

#include <algorithm>
#include <cassert>
#include <numeric>

#include "workloads/training/passes/pipeline_meetings.h"

namespace flopcast {

namespace {

/// Micro-batches per rank that are walked at least where there are more, and the length of what repeats: warm-up and
/// drain of every schedule fit into three, and every schedule repeats after two.
constexpr int kWalkedPerRank = 4, kPeriodPerRank = 2;

class StepFinder {
 public:
  StepFinder(SchedulePattern& pattern, const Schedule& schedule, bool blocking)
      : schedule_(schedule), pattern_(pattern) {
    const std::size_t cells = static_cast<std::size_t>(schedule.stages) * schedule.micro_batches;
    forward_of_.assign(cells, SchedulePattern::kNone);
    backward_of_.assign(cells, SchedulePattern::kNone);
    next_.assign(schedule.ranks, 0);
    for (const auto& stages : schedule.stage_of) {
      forwards_.emplace_back(stages.size(), 0);
      weights_.emplace_back(stages.size(), 0);
    }
    form_of_.resize(schedule.ranks);
    positions_.resize(schedule.ranks);
    if (!blocking) return;
    for (const std::vector<Pass>& order : schedule.order) held_.emplace_back(order.size());
    meetings_ = pipeline_meetings(schedule);
    for (std::size_t m = 0; m < meetings_.size(); ++m) {
      const PipelineMeeting& meeting = meetings_[m];
      const auto hold = [&](int rank, std::size_t pass) {
        if (pass < held_[rank].size()) held_[rank][pass].push_back(m);
      };
      hold(meeting.sender, meeting.made_by + 1);
      hold(meeting.receiver, meeting.held);
    }
  }

  void find() && {
    std::size_t passes = 0;
    for (const std::vector<Pass>& order : schedule_.order) passes += order.size();
    pattern_.steps.reserve(passes);
    for (bool moved = true; moved;) {
      moved = false;
      for (int rank = 0; rank < schedule_.ranks; ++rank) {
        while (next_[rank] < schedule_.order[rank].size() && try_add(rank)) moved = true;
      }
    }
  }

 private:
  std::size_t cell(int stage, int micro_batch) const {
    return static_cast<std::size_t>(stage) * schedule_.micro_batches + micro_batch;
  }

  bool try_add(int rank) {
    const Pass& pass = schedule_.order[rank][next_[rank]];
    const std::vector<int>& stage_of = schedule_.stage_of[rank];
    SchedulePattern::Step step;
    step.rank = static_cast<std::uint16_t>(rank);
    const bool forward = pass.kind == PassKind::forward || pass.kind == PassKind::overlapped;
    const bool backward = pass.kind != PassKind::forward && pass.kind != PassKind::backward_weight;
    const int chunk = pass.kind == PassKind::overlapped ? pass.backward_chunk : pass.chunk;
    const int micro_batch = pass.kind == PassKind::overlapped ? pass.backward_micro_batch : pass.micro_batch;
    if (forward && stage_of[pass.chunk] > 0) {
      step.activations = forward_of_[cell(stage_of[pass.chunk] - 1, pass.micro_batch)];
      if (step.activations == SchedulePattern::kNone) return false;
      step.activations_travel = pattern_.steps[step.activations].rank != rank;
    }
    if (backward && stage_of[chunk] < schedule_.stages - 1) {
      step.gradients = backward_of_[cell(stage_of[chunk] + 1, micro_batch)];
      if (step.gradients == SchedulePattern::kNone) return false;
      step.gradients_travel = pattern_.steps[step.gradients].rank != rank;
    }
    if (!add_waits(rank, step)) return false;
    const bool weights = pass.kind != PassKind::forward && pass.kind != PassKind::backward_input;
    if (forward) step.gathers = forwards_[rank][pass.chunk]++ == 0;
    if (weights) step.reduces = ++weights_[rank][chunk] == schedule_.micro_batches;
    SchedulePattern::Form form;
    form.kind = pass.kind;
    form.rank = step.rank;
    form.chunk = pass.chunk;
    form.backward_chunk = static_cast<std::uint16_t>(chunk);
    const bool edge = pass.kind == PassKind::forward ? step.gathers : step.reduces;
    if (edge && pass.kind != PassKind::overlapped) form.at = PassProfiles::At::edge;
    step.form = index_of(form);
    ++pattern_.forms[step.form].times;
    const auto position = static_cast<std::uint32_t>(pattern_.steps.size());
    if (forward) forward_of_[cell(stage_of[pass.chunk], pass.micro_batch)] = position;
    if (backward) backward_of_[cell(stage_of[chunk], micro_batch)] = position;
    pattern_.steps.push_back(step);
    positions_[rank].push_back(position);
    ++next_[rank];
    return true;
  }

  /// @return false: a pass that one of the messages waits for is not there yet.
  bool add_waits(int rank, SchedulePattern::Step& step) {
    if (held_.empty()) return true;
    step.first_wait = static_cast<std::uint32_t>(pattern_.waits.size());
    for (const std::size_t m : held_[rank][next_[rank]]) {
      const PipelineMeeting& meeting = meetings_[m];
      const std::vector<std::uint32_t>&of_sender = positions_[meeting.sender],
            &of_receiver = positions_[meeting.receiver];
      if (of_sender.size() <= meeting.made_by || of_receiver.size() < meeting.held) {
        pattern_.waits.resize(step.first_wait);
        return false;
      }
      pattern_.waits.push_back({of_sender[meeting.made_by],
                                meeting.held > 0 ? of_receiver[meeting.held - 1] : SchedulePattern::kNone,
                                meeting.kind == PipelineMail::Kind::activation});
      ++step.waits;
    }
    return true;
  }

  std::uint16_t index_of(const SchedulePattern::Form& form) {
    std::vector<std::uint16_t>& of_rank = form_of_[form.rank];
    for (const std::uint16_t known : of_rank) {
      if (pattern_.forms[known] == form) return known;
    }
    of_rank.push_back(static_cast<std::uint16_t>(pattern_.forms.size()));
    pattern_.forms.push_back(form);
    return of_rank.back();
  }

  const Schedule& schedule_;
  SchedulePattern& pattern_;
  std::vector<std::uint32_t> forward_of_, backward_of_;  // [stage][micro-batch]: position of the pass
  std::vector<std::size_t> next_;                        // [rank]
  std::vector<std::vector<int>> forwards_, weights_;     // [rank][chunk]: so far
  std::vector<std::vector<std::uint16_t>> form_of_;      // [rank]
  std::vector<std::vector<std::uint32_t>> positions_;    // [rank][pass]
  std::vector<PipelineMeeting> meetings_;
  std::vector<std::vector<std::vector<std::size_t>>> held_;  // [rank][pass]: meetings; empty: ranks do not stop
};

/// As memory.cc counts: from the start of a forward to the end of its weight gradient.
std::vector<std::vector<int>> held_by(const Schedule& schedule, int rank) {
  std::vector<std::vector<int>> most;
  std::vector<int> now(schedule.stage_of[rank].size(), 0);
  const auto note = [&] {
    const auto covers = [](const std::vector<int>& a, const std::vector<int>& b) {
      return std::equal(a.begin(), a.end(), b.begin(), std::greater_equal<>());
    };
    for (const std::vector<int>& known : most) {
      if (covers(known, now)) return;
    }
    std::erase_if(most, [&](const std::vector<int>& known) { return covers(now, known); });
    most.push_back(now);
  };
  for (const Pass& pass : schedule.order[rank]) {
    if (pass.kind == PassKind::forward || pass.kind == PassKind::overlapped) {
      ++now[pass.chunk];
      note();
    }
    if (pass.kind == PassKind::overlapped) --now[pass.backward_chunk];
    if (pass.kind == PassKind::backward || pass.kind == PassKind::backward_weight) --now[pass.chunk];
  }
  return most;
}

}  // namespace

SchedulePattern outline_of(const Schedule& schedule) {
  SchedulePattern pattern;
  pattern.ranks = schedule.ranks;
  pattern.stages = schedule.stages;
  pattern.micro_batches = schedule.micro_batches;
  pattern.stage_of = schedule.stage_of;
  pattern.groups = stage_groups(schedule);
  std::vector<int> holders(static_cast<std::size_t>(schedule.stages));
  for (const auto& stages : schedule.stage_of) {
    for (const int stage : stages) pattern.two_copies |= ++holders[stage] > 1;
  }
  for (int rank = 0; rank < schedule.ranks; ++rank) {
    for (const Pass& pass : schedule.order[rank]) {
      pattern.overlaps |= pass.kind == PassKind::overlapped;
      pattern.weights_later |= pass.kind == PassKind::backward_weight;
    }
    pattern.held.push_back(held_by(schedule, rank));
    int most = 0;
    for (const std::vector<int>& by_chunk : pattern.held.back())
      most = std::max(most, *std::min_element(by_chunk.begin(), by_chunk.end()));
    pattern.least_held.push_back(most);
  }
  return pattern;
}

void add_steps(SchedulePattern& pattern, const Schedule& schedule, bool blocking) {
  StepFinder(pattern, schedule, blocking).find();
}

void PatternLibrary::set_own_order(std::string text, std::string file) {
  own_text_ = std::move(text);
  own_file_ = std::move(file);
}

ScheduleRequest PatternLibrary::of_round(ScheduleRequest request) const {
  request.micro_batches /= rounds_;
  return request;
}

Schedule PatternLibrary::schedule_of(int schedule, const ScheduleRequest& request) const {
  if (schedule == kOwnOrder) return in_rounds(parse_schedule(own_text_, own_file_, of_round(request)), rounds_);
  const ScheduleRow& row = schedules()[static_cast<std::size_t>(schedule)];
  assert(row.check(of_round(request)).empty());
  return in_rounds(row.build(of_round(request)), rounds_);
}

SchedulePattern PatternLibrary::outline(int schedule, const ScheduleRequest& request) {
  SchedulePattern pattern = outline_of(schedule_of(schedule, request));
  pattern.chunks = request.chunks;
  pattern.groups_number = groups_.try_emplace(pattern.groups, static_cast<int>(groups_.size())).first->second;
  return pattern;
}

SchedulePattern PatternLibrary::whole(int schedule, const ScheduleRequest& request) {
  SchedulePattern pattern = outline(schedule, request);
  with_steps(schedule, pattern);
  return pattern;
}

const SchedulePattern& PatternLibrary::with_steps(int schedule, SchedulePattern& pattern) {
  if (pattern.steps.empty())
    add_steps(pattern, schedule_of(schedule, {pattern.ranks, pattern.micro_batches, pattern.chunks}), blocking_);
  return pattern;
}

std::shared_ptr<SchedulePattern> PatternLibrary::build(int schedule, const ScheduleRequest& request) {
  auto& built = built_[{schedule, request.ranks, request.micro_batches, request.chunks}];
  if (!built) built = std::make_shared<SchedulePattern>(outline(schedule, request));
  return built;
}

const PatternPair& PatternLibrary::get(int schedule, const ScheduleRequest& request) {
  const auto [found, fresh] = pairs_.try_emplace({schedule, request.ranks, request.micro_batches, request.chunks});
  PatternPair& pair = found->second;
  if (!fresh) return pair;
  if (schedule == kOwnOrder) {
    pair.pattern = build(schedule, request);
    return pair;
  }
  const ScheduleRow& row = schedules()[static_cast<std::size_t>(schedule)];
  if (request.micro_batches % rounds_ != 0 || !row.check(of_round(request)).empty()) return pair;
  const int period = kPeriodPerRank * request.ranks, walked = kWalkedPerRank * request.ranks;
  if (rounds_ > 1 || request.micro_batches < walked + 2 * period) {
    pair.pattern = build(schedule, request);
    return pair;
  }
  const int rest = (request.micro_batches - walked) / period;
  ScheduleRequest some = request;
  some.micro_batches -= rest * period;
  pair.pattern = build(schedule, some);
  some.micro_batches -= period;
  pair.shorter = build(schedule, some);
  pair.repeats = rest;
  return pair;
}

Walked walk(const SchedulePattern& pattern, std::span<const std::uint16_t> profile_of_form,
            std::span<const PassProfile> profiles, Seconds message, WalkScratch& scratch, bool detailed) {
  const std::size_t ranks = static_cast<std::size_t>(pattern.ranks);
  scratch.forward_ready.resize(std::max(scratch.forward_ready.size(), pattern.steps.size()));
  scratch.backward_ready.resize(scratch.forward_ready.size());
  if (!pattern.waits.empty()) scratch.ended.resize(scratch.forward_ready.size());
  for (auto* lane :
       {&scratch.compute, &scratch.communication, &scratch.gradients, &scratch.parameters, &scratch.ports}) {
    lane->assign(ranks, Seconds());
  }
  if (detailed) scratch.parts.assign(ranks, Walked{});
  const Seconds travel[2] = {Seconds(0), message};
  Seconds* const forward_ready = scratch.forward_ready.data();
  Seconds* const backward_ready = scratch.backward_ready.data();
  for (std::size_t i = 0; i < pattern.steps.size(); ++i) {
    const SchedulePattern::Step& step = pattern.steps[i];
    const PassProfile& p = profiles[profile_of_form[step.form]];
    Seconds& compute = scratch.compute[step.rank];
    Seconds& communication = scratch.communication[step.rank];
    const Seconds tokens = communication - p.communication_slack;
    Seconds start = std::max(compute, tokens);
    if (step.activations != SchedulePattern::kNone) {
      start = std::max(start, forward_ready[step.activations] + travel[step.activations_travel] - p.forward_slack);
    }
    if (step.gradients != SchedulePattern::kNone) {
      start = std::max(start, backward_ready[step.gradients] + travel[step.gradients_travel] - p.backward_slack);
    }
    for (std::uint32_t w = step.first_wait; w < step.first_wait + step.waits; ++w) {
      const SchedulePattern::Wait& wait = pattern.waits[w];
      Seconds leaves = wait.activations ? forward_ready[wait.made_by] : backward_ready[wait.made_by];
      if (wait.there != SchedulePattern::kNone) leaves = std::max(leaves, scratch.ended[wait.there]);
      start = std::max(start, leaves + message);
    }
    start -= std::min(start - compute, p.ahead);
    if (detailed) {
      Walked& part = scratch.parts[step.rank];
      const Seconds gap = start - compute;
      const Seconds for_tokens = std::clamp(tokens - compute, Seconds(), gap);
      part.waits_for_tokens += for_tokens;
      part.waits_for_others += gap - for_tokens;
      part.busy += p.busy;
      part.exchanged += p.exchanged;
      part.idle_in_passes += p.idle();
    }
    Seconds end = start + p.compute_end;
    if (step.gathers && p.gather > Seconds(0)) {
      Seconds& parameters = scratch.parameters[step.rank];
      const Seconds begin = std::max(start, parameters + p.gather_first);
      parameters += p.gather;
      const Seconds held_up = std::max(begin + p.compute_end, parameters + p.gather_tail) - end;
      start += held_up;
      end += held_up;
      if (detailed) scratch.parts[step.rank].idle_in_passes += held_up;
    }
    compute = end;
    if (!pattern.waits.empty()) scratch.ended[i] = end;
    communication = std::max(communication, start + p.communication_end);
    forward_ready[i] = start + p.forward_ready;
    backward_ready[i] = start + p.backward_ready;
    scratch.ports[step.rank] += p.port;
    if (p.gradients > Seconds(0)) {
      Seconds& gradients = scratch.gradients[step.rank];
      gradients = std::max(gradients + p.gradients, start + p.gradients_end);
    }
  }
  Walked result;
  Seconds passes;
  for (std::size_t rank = 0; rank < ranks; ++rank) {
    passes = std::max({passes, scratch.compute[rank], scratch.communication[rank]});
    result.end = std::max(
        {result.end, scratch.compute[rank], scratch.communication[rank], scratch.gradients[rank], scratch.ports[rank]});
  }
  if (!detailed) return result;
  const auto work = [&](std::size_t rank) { return scratch.parts[rank].busy + scratch.parts[rank].exchanged; };
  std::size_t busiest = 0;
  for (std::size_t rank = 1; rank < ranks; ++rank) {
    if (work(rank) > work(busiest)) busiest = rank;
  }
  Walked parts = scratch.parts[busiest];
  parts.end = result.end;
  parts.busiest = static_cast<int>(busiest);
  parts.waits_for_others += passes - scratch.compute[busiest];
  parts.collectives_after = result.end - passes;
  return parts;
}

}  // namespace flopcast
