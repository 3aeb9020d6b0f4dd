#include "workloads/serving/replica/group/prompt_batch.h"

#include <algorithm>
#include <cmath>

namespace flopcast {

std::int64_t PromptBatch::tokens() const {
  std::int64_t tokens = 0;
  for (const PromptPiece& piece : pieces_) tokens += piece.tokens;
  return tokens;
}

PromptLoad PromptBatch::load() const {
  PromptLoad load;
  for (const PromptPiece& piece : pieces_) {
    const Job& job = (*jobs_)[piece.job];
    load.add(piece.tokens, job.computed, job.computed + piece.tokens == job.context());
  }
  return load;
}

bool PromptBatch::take(JobId id, std::int64_t& room, bool chunked, std::size_t earlier) {
  if (room <= 0) return false;
  const Job& job = (*jobs_)[id];
  const auto end = pieces_.begin() + static_cast<std::ptrdiff_t>(earlier);
  const auto begun = std::find_if(pieces_.begin(), end, [id](const PromptPiece& p) { return p.job == id; });
  std::int64_t piece = job.context() - job.computed - (begun != end ? begun->tokens : 0);
  if (piece > room) {
    if (chunked) {
      piece = room;
    } else if (!pieces_.empty()) {
      return false;
    }
  }
  room -= piece;
  replica_->queued_tokens -= piece;
  if (begun != end)
    begun->tokens += static_cast<std::int32_t>(piece);
  else
    pieces_.push_back({id, static_cast<std::int32_t>(piece)});
  return true;
}

void PromptBatch::cut_to(std::int64_t twice_pairs) {
  std::int64_t excess = load().twice_pairs - twice_pairs;
  while (excess > 0 && !pieces_.empty()) {
    PromptPiece& piece = pieces_.back();
    const std::int64_t cached = (*jobs_)[piece.job].computed;
    const std::int64_t pairs = piece.tokens * (2 * cached + piece.tokens);
    // tokens x (2 cached + tokens) = what may stay
    const auto before = static_cast<double>(cached);
    const auto stays = static_cast<double>(std::max<std::int64_t>(0, pairs - excess));
    const auto kept = static_cast<std::int32_t>(std::sqrt(before * before + stays) - before);
    const std::int32_t tokens = std::max(kept, pieces_.size() == 1 ? 1 : 0);
    replica_->queued_tokens += piece.tokens - tokens;
    excess -= pairs;
    piece.tokens = tokens;
    if (tokens > 0) break;
    pieces_.pop_back();
  }
}

}  // namespace flopcast
