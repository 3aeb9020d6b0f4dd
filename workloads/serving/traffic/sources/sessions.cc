// Conversations: the prompt of a turn begins with all that was said before.
#include <algorithm>
#include <cassert>
#include <unordered_map>
#include <utility>

#include "workloads/serving/traffic/sources/ready_queue.h"
#include "workloads/serving/traffic/sources/sources.h"

namespace flopcast {
namespace {

// Number of a block = conversation << 16 | place in it; system prompts count as conversations from the
// largest number down.
constexpr int kPlaceBits = 16;
constexpr std::int32_t kMostCalls = 10'000;  // of tools in one turn
constexpr std::uint64_t kMostPlaces = (std::uint64_t{1} << kPlaceBits) - 1;
constexpr std::uint64_t kConversations = std::uint64_t{1} << (ClassSeed::kBlockBits - kPlaceBits);

/// When conversations begin: by arrivals, or when a user is done with one and has thought.
class Starts {
 public:
  Starts(const std::variant<OpenLoop, ClosedLoop>& starts, const ClassSeed& seed)
      : random_(seed.stream(ClassSeed::thinking)) {
    if (const auto* open = std::get_if<OpenLoop>(&starts)) {
      arrivals_.emplace(open->rate, open->spacing, open->cv, seed.stream(ClassSeed::arrivals));
      next_ = arrivals_->next();
      return;
    }
    const auto& loop = std::get<ClosedLoop>(starts);
    think_ = loop.think;
    for (std::int32_t user = 0; user < loop.users; ++user) ended(loop.ramp * (static_cast<double>(user) / loop.users));
  }
  Seconds next() const { return arrivals_ ? next_ : users_.next(); }
  Seconds take() { return arrivals_ ? std::exchange(next_, arrivals_->next()) : users_.take().at; }
  void ended(Seconds when) {
    if (!arrivals_) users_.add(when + Seconds(think_.draw(random_)), 0);
  }
  void archive(StateArchive& state) {
    if (arrivals_) state(*arrivals_);
    state(next_, random_, users_);
  }

 private:
  std::optional<ArrivalProcess> arrivals_;
  Seconds next_;
  RandomNumber think_ = RandomNumber::fixed(0);
  RandomStream random_;
  ReadyQueue users_;
};

class SessionSource final : public RequestSource {
 public:
  SessionSource(const std::variant<OpenLoop, ClosedLoop>& starts, const DrawnLengths& lengths, const Sessions& sessions,
                const ClassSeed& seed)
      : seed_(seed), lengths_(lengths), sessions_(sessions), starts_(starts, seed) {
    assert(sessions.block_tokens > 0 && sessions.system_prompts > 0);
  }
  Seconds next_arrival() const override { return std::min(starts_.next(), turns_.next()); }
  Request take() override {
    if (turns_.next() <= starts_.next()) {
      const ReadyQueue::Entry turn = turns_.take();
      return request_of(turn.who, talks_.at(turn.who), turn.at);
    }
    const Seconds at = starts_.take();
    const std::uint32_t number = ++started_;
    return request_of(number, talks_.emplace(number, begin(number)).first->second, at);
  }
  void finished(const Request& request, Seconds when, RequestOutcome outcome) override {
    const auto talk = talks_.find(request.session);
    if (talk == talks_.end()) return;
    const bool called = talk->second.calls_left > 0;  // a tool
    if (outcome == RequestOutcome::completed && next_turn(talk->second)) {
      const RandomNumber& wait = called ? sessions_.tool_time : sessions_.think;
      turns_.add(when + Seconds(wait.draw(talk->second.random)), request.session);
      return;
    }
    talks_.erase(talk);
    starts_.ended(when);
  }
  int prefix_block_tokens() const override { return sessions_.block_tokens; }
  bool archive(StateArchive& state) override {
    state(starts_, turns_, talks_, started_);
    return true;
  }

 private:
  struct Talk {
    RandomStream random{0};
    std::uint64_t system_prompt = 0;
    std::int32_t turns_left = 0, turn = 0;
    std::int32_t calls_left = 0;  // of tools, in this turn
    std::int64_t said = 0;        // tokens before what is new in this turn
    std::int32_t asked = 0, answer = 0;
  };

  Talk begin(std::uint32_t number) {
    Talk talk{.random = seed_.stream(ClassSeed::conversation, number)};
    talk.system_prompt = talk.random.next() % static_cast<std::uint64_t>(sessions_.system_prompts);
    talk.turns_left = sessions_.turns.draw_whole(talk.random, 1) - 1;
    talk.said = sessions_.system_prompt_tokens;
    draw_calls(talk);
    draw_lengths(talk, lengths_.input);
    if (sessions_.context > 0) {  // a first turn is cut to what fits
      talk.answer =
          static_cast<std::int32_t>(std::clamp<std::int64_t>(sessions_.context - talk.said - 1, 1, talk.answer));
      talk.asked = static_cast<std::int32_t>(
          std::clamp<std::int64_t>(sessions_.context - talk.said - talk.answer, 1, talk.asked));
    }
    return talk;
  }
  /// Tools that the turn calls one after the other: geometrically many.
  void draw_calls(Talk& talk) const {
    talk.calls_left = 0;
    if (sessions_.tool_calls <= 0) return;
    const double another = sessions_.tool_calls / (1 + sessions_.tool_calls);
    while (talk.calls_left < kMostCalls && talk.random.uniform() < another) ++talk.calls_left;
  }
  void draw_lengths(Talk& talk, const RandomNumber& asked) const {
    talk.asked = asked.draw_whole(talk.random, 1);
    const bool call = talk.calls_left > 0 && sessions_.tool_call;
    talk.answer = (call ? *sessions_.tool_call : lengths_.output).draw_whole(talk.random, 1);
  }
  /// The request after this one: with a tool's result, or what the user asks next.
  bool next_turn(Talk& talk) const {
    const bool result = talk.calls_left > 0;
    if (!result && talk.turns_left == 0) return false;
    if (result) {
      --talk.calls_left;
    } else {
      --talk.turns_left;
      draw_calls(talk);
    }
    ++talk.turn;
    talk.said += talk.asked + talk.answer;
    draw_lengths(talk, result && sessions_.tool_result ? *sessions_.tool_result : lengths_.input);
    const std::int64_t context = sessions_.context > 0 ? sessions_.context : kMostTokens;
    return talk.said + talk.asked + talk.answer <= context;
  }
  Request request_of(std::uint32_t number, const Talk& talk, Seconds at) const {
    Request request;
    request.arrival = at;
    request.input_tokens = static_cast<std::int32_t>(talk.said) + talk.asked;
    request.output_tokens = talk.answer;
    request.session = number;
    request.turn = static_cast<std::uint16_t>(std::min(talk.turn, 0xffff));
    request.prefix = blocks_of(number, talk, request.input_tokens + request.output_tokens);
    return request;
  }
  /// Full blocks of the system prompt are those of all conversations that have it; the block in which it ends
  /// is not.
  PrefixBlocks blocks_of(std::uint64_t number, const Talk& talk, std::int32_t tokens) const {
    const auto shared = static_cast<std::uint64_t>(sessions_.system_prompt_tokens / sessions_.block_tokens);
    const auto all = static_cast<std::uint64_t>(tokens / sessions_.block_tokens);
    PrefixBlocks blocks;
    blocks.append_run(seed_.block((kConversations - 1 - talk.system_prompt) << kPlaceBits),
                      std::min(shared, kMostPlaces));
    if (shared < kMostPlaces) {
      blocks.append_run(seed_.block(number << kPlaceBits), std::min(all - shared, kMostPlaces));
    }
    return blocks;
  }

  ClassSeed seed_;
  DrawnLengths lengths_;
  Sessions sessions_;
  Starts starts_;
  ReadyQueue turns_;
  std::unordered_map<std::uint32_t, Talk> talks_;  // only looked up, never listed
  std::uint32_t started_ = 0;
};

}  // namespace

std::unique_ptr<RequestSource> session_source(const std::variant<OpenLoop, ClosedLoop>& starts,
                                              const DrawnLengths& lengths, const Sessions& sessions,
                                              const ClassSeed& seed) {
  return std::make_unique<SessionSource>(starts, lengths, sessions, seed);
}

}  // namespace flopcast
