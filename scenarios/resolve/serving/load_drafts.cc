// The smaller model that drafts.
#include <algorithm>

#include <fmt/format.h>

#include "scenarios/proto/serving.pb.h"
#include "scenarios/read/libraries/library_entries.h"
#include "scenarios/resolve/serving/serving_part.h"

namespace flopcast {

void load_draft_model(ServingPart serving, EngineConfig& engine) {
  const std::string path = "speculation.model";
  if (!serving.sound(path)) return;  // said of the pool before
  const bool wanted = engine.speculation.kind == DraftKind::model;
  const proto::Speculation& in = serving.in_.speculation();
  if (wanted != in.has_model())
    return serving.fault(path, in.has_model() ? flopcast::quoted(in.model()) : "nothing",
                         in.has_model() ? "kind: \"model\" beside it" : "the smaller model that drafts");
  if (!wanted || !serving.context_.libraries) return;
  try {
    engine.drafter = serving.context_.libraries->model(in.model());
  } catch (const InputError& error) {
    serving.faults_.insert(serving.faults_.end(), error.diagnostics().begin(), error.diagnostics().end());
    return;
  }
  const ModelConfig& small = engine.drafter;
  const int tensor = std::max(1, engine.plan.tensor);
  if (small.moe.experts > 0)
    serving.fault(path, flopcast::quoted(in.model()), "a model without experts");
  else if (small.attention.heads % tensor != 0)
    serving.fault(path, flopcast::quoted(in.model()),
                  fmt::format("one whose {} attention heads divide by tensor, {}", small.attention.heads, tensor));
}

}  // namespace flopcast
