#include "sim/jobs/mpi_jobs.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace flopcast {
namespace {

using MpiClock = std::chrono::steady_clock;

// The first byte of a message says what it is.
constexpr char kPlaces = 'P';     // + number: how many jobs a rank takes at once
constexpr char kJob = 'J';        // + number
constexpr char kDone = 'D';       // + number, result
constexpr char kDied = 'X';       // + number, why
constexpr char kHere = 'H';       // a rank that has nothing else to say
constexpr char kHome = 'Q';       // no more jobs
constexpr char kHomeAlone = 'A';  // no more jobs, and not all ranks are there any more

/// Ranks say something once a second; their work is done by processes of their own, so nothing keeps them from it.
constexpr auto kHeartbeat = std::chrono::seconds(1);
constexpr auto kSilence = std::chrono::seconds(15);

/// Jobs under way to a rank while it works, so that it need not wait for the next one.
constexpr std::size_t kAhead = 1;

std::string message_of(char kind, std::uint64_t number, std::string_view rest = {}) {
  std::string out(1 + sizeof number, kind);
  std::memcpy(out.data() + 1, &number, sizeof number);
  return out.append(rest);
}

std::uint64_t number_of(const std::string& message) {
  std::uint64_t number = 0;
  if (message.size() >= 1 + sizeof number) std::memcpy(&number, message.data() + 1, sizeof number);
  return number;
}

std::string rest_of(const std::string& message) { return message.substr(1 + sizeof(std::uint64_t)); }

}  // namespace

bool started_by_mpi() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"})
    if (std::getenv(name) != nullptr) return true;
  return false;
}

int mpi_rank_of_environment() {
  for (const char* name : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"})
    if (const char* const rank = std::getenv(name)) return std::atoi(rank);
  return 0;
}

MpiJobHost::MpiJobHost(std::unique_ptr<MpiPort> port, std::unique_ptr<WorkerPool> own)
    : port_(std::move(port)), own_(std::move(own)), ranks_(static_cast<std::size_t>(port_->size())) {
  for (Rank& rank : ranks_) rank.heard = Clock::now();
}

MpiJobHost::~MpiJobHost() {
  const bool all_here = std::all_of(ranks_.begin(), ranks_.end(), [](const Rank& rank) { return rank.alive; });
  for (int to = 1; to < port_->size(); ++to) {
    if (ranks_[static_cast<std::size_t>(to)].alive) port_->send(to, std::string(1, all_here ? kHome : kHomeAlone));
  }
  own_.reset();
  port_->finish(all_here);
}

std::size_t MpiJobHost::idle() const {
  std::size_t out = own_->idle();
  for (const Rank& rank : ranks_)
    if (rank.alive) out += rank.places - std::min(rank.places, rank.jobs.size());
  return out - std::min(out, orphans_.size());
}

std::size_t MpiJobHost::busy() const {
  std::size_t out = own_->busy() + orphans_.size();
  for (const Rank& rank : ranks_) out += rank.jobs.size();
  return out;
}

void MpiJobHost::give(std::uint64_t job) {
  orphans_.push_back(job);
  hand_out();
}

void MpiJobHost::hand_out() {
  while (!orphans_.empty()) {
    const std::uint64_t job = orphans_.front();
    const auto rank =
        std::find_if(ranks_.begin(), ranks_.end(), [](const Rank& r) { return r.alive && r.jobs.size() < r.places; });
    if (own_->idle() > 0) {
      own_->give(job);
    } else if (rank != ranks_.end()) {
      rank->jobs.push_back(job);
      port_->send(static_cast<int>(rank - ranks_.begin()), message_of(kJob, job));
    } else {
      return;
    }
    orphans_.pop_front();
  }
}

void MpiJobHost::hear(int from, const std::string& message, std::vector<FinishedJob>& out) {
  Rank& rank = ranks_[static_cast<std::size_t>(from)];
  rank.heard = Clock::now();
  if (!rank.alive || message.empty()) return;  // others have its jobs by now
  if (message[0] == kPlaces) rank.places = number_of(message);
  if (message[0] != kDone && message[0] != kDied) return;
  const std::uint64_t job = number_of(message);
  if (std::erase(rank.jobs, job) > 0) out.push_back({job, message[0] == kDied, rest_of(message)});
}

void MpiJobHost::find_dead() {
  const auto now = Clock::now();
  for (std::size_t i = 1; i < ranks_.size(); ++i) {
    Rank& rank = ranks_[i];
    if (!rank.alive || now - rank.heard < kSilence) continue;
    rank.alive = false;
    orphans_.insert(orphans_.begin(), rank.jobs.begin(), rank.jobs.end());
    rank.jobs.clear();
  }
}

std::vector<FinishedJob> MpiJobHost::wait(int milliseconds) {
  const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  constexpr int kGlance = 2;
  std::vector<FinishedJob> out;
  do {
    out = own_->wait(kGlance);
    while (auto message = port_->receive()) hear(message->first, message->second, out);
    find_dead();
    const std::size_t waiting = orphans_.size();
    hand_out();
    // New places are news too: whoever called has jobs for them.
    if (!out.empty() || (waiting == 0 && idle() > 0)) return out;
  } while (Clock::now() < end);
  return out;
}

void serve_jobs(std::unique_ptr<MpiPort> port, std::unique_ptr<WorkerPool> own) {
  const std::size_t workers = own->idle();
  port->send(0, message_of(kPlaces, workers + kAhead));
  std::deque<std::uint64_t> waiting;
  auto said = MpiClock::now();
  constexpr int kGlance = 2;
  for (;;) {
    for (const FinishedJob& job : own->wait(kGlance)) {
      port->send(0, message_of(job.died ? kDied : kDone, job.job, job.result));
      said = MpiClock::now();
    }
    while (auto message = port->receive()) {
      const char kind = message->second.empty() ? kHere : message->second[0];
      if (kind == kJob) waiting.push_back(number_of(message->second));
      if (kind != kHome && kind != kHomeAlone) continue;
      own.reset();
      return port->finish(kind == kHome);
    }
    for (; !waiting.empty() && own->idle() > 0; waiting.pop_front()) own->give(waiting.front());
    if (MpiClock::now() - said < kHeartbeat) continue;
    port->send(0, std::string(1, kHere));
    said = MpiClock::now();
  }
}

}  // namespace flopcast
