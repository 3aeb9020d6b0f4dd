// What a Report holds.
#pragma once
#include <memory>
#include <variant>

#include "analysis/money/study/cost_study.h"
#include "analysis/runs/rl/rl_report.h"
#include "analysis/runs/serving/serving_run.h"
#include "analysis/runs/training/training_report.h"
#include "flopcast/report.h"

namespace flopcast {

using AnyReport = std::variant<TrainingReport, ServingReport, CollectiveReport, LifeReport, CostReport, RlReport>;

struct ReportData {
  ResolvedScenario scenario;
  AnyReport report;
  std::shared_ptr<const Timeline> timeline = {};
  std::shared_ptr<const Requests> requests = {};
};

}  // namespace flopcast
