// What an Environment holds: where the libraries are, and each table once it has been read.
#pragma once
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "analysis/money/prices/price_book.h"
#include "analysis/money/study/cost_study.h"
#include "analysis/runs/parts/energy.h"
#include "analysis/runs/serving/exchange/engine_flags.h"
#include "analysis/runs/serving/serving_spread.h"
#include "analysis/runs/training/run_losses.h"
#include "analysis/runs/training/step_range.h"
#include "flopcast/environment.h"
#include "hwmodels/fabric/link_calibration.h"
#include "hwmodels/kernels/calibration.h"
#include "scenarios/read/libraries/libraries.h"
#include "workloads/serving/pricing/engine_constants.h"
#include "workloads/training/training.h"

namespace flopcast {

/// A value that the first thread to ask for it makes, and that stays as it is. When making it fails, the next one to
/// ask tries again.
template <class Value>
class Lazy {
 public:
  template <class Make>
  const Value& get(Make&& make) const {
    const std::lock_guard lock(mutex_);
    if (!value_) value_.emplace(make());
    return *value_;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::optional<Value> value_;
};

/// Immutable as far as callers see, and safe to share between threads: references stay valid as long as it lives. Every
/// accessor throws InputError when its file is malformed and std::runtime_error when no folder has it.
class EnvironmentData {
 public:
  explicit EnvironmentData(Libraries libraries) : libraries_(std::move(libraries)) {}

  const Libraries& libraries() const { return libraries_; }
  std::shared_ptr<const KernelCalibration> kernels() const;
  std::shared_ptr<const LinkCalibration> links() const;
  const TrainingCalibration& training() const;
  std::shared_ptr<const EngineConstants> engine() const;
  PowerModel power(const std::string& architecture) const;
  ServingSpreads serving_spreads(const Scenario& scenario) const;
  std::shared_ptr<const StepErrors> step_errors() const;
  std::shared_ptr<const RunLosses> run_losses() const;
  const PriceBook& prices() const;
  const std::vector<UsualSpread>& usual_spreads() const;
  const EngineFlags& engine_flags() const;

 private:
  Libraries libraries_;
  Lazy<std::shared_ptr<const KernelCalibration>> kernels_;
  Lazy<std::shared_ptr<const LinkCalibration>> links_;
  Lazy<TrainingCalibration> training_;
  Lazy<std::shared_ptr<const EngineConstants>> engine_;
  Lazy<std::string> power_, spread_;  // texts of tables
  Lazy<std::shared_ptr<const StepErrors>> step_errors_;
  Lazy<std::shared_ptr<const RunLosses>> run_losses_;
  Lazy<PriceBook> prices_;
  Lazy<std::vector<UsualSpread>> usual_spreads_;
  Lazy<EngineFlags> engine_flags_;
};

}  // namespace flopcast
