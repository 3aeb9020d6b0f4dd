// What the loader of `rl { ... }` and its laws share. Internal to scenarios/resolve.
#pragma once
#include <memory>
#include <string>
#include <utility>

#include "scenarios/proto/rl.pb.h"
#include "scenarios/read/fields/section.h"
#include "scenarios/resolve/rl/load_rl.h"

namespace flopcast {

struct RlDraft {
  const proto::Rl& in_;
  const RlContext& context_;
  Diagnostics& faults_;
  std::shared_ptr<RlScenario> out_;

  void fault(const std::string& path, std::string found, std::string expected, std::string remedy = "") const {
    Diagnostic d = context_.places->fault("rl." + path, std::move(found), std::move(expected));
    faults_.push_back(remedy.empty() ? std::move(d) : with_remedy(std::move(d), std::move(remedy)));
  }
  bool sound(const std::string& path) const { return is_sound(faults_, "rl." + path); }
  const AlgorithmRow& row() const { return *out_->loop.algorithm; }
  const ClusterSpec* engine_cluster() const {
    return out_->rollout_cluster ? &*out_->rollout_cluster : context_.cluster;
  }
};

/// Laws across the fields of a loop, once all are read.
void check_rl_laws(const RlDraft& rl);

}  // namespace flopcast
