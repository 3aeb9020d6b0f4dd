#include "scenarios/resolve/load_resilience.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "scenarios/proto/scenario.pb.h"
#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/text/quantity.h"

namespace flopcast {
namespace {

/// Young 1974: losing half an interval per failure weighs as much as writing checkpoints when the interval is
/// sqrt(2 x write time x time between failures). Without failures there is nothing to write for.
Seconds optimal_interval(const ResilienceConfig& r, int gpus) {
  constexpr double kShortest = 60, kLongest = 365.0 * 86400;
  const double failures_per_second = r.failures_per_gpu_hour / 3600 * gpus;
  if (failures_per_second <= 0) return Seconds(kLongest);
  return Seconds(std::clamp(std::sqrt(2 * r.checkpoint_write.value() / failures_per_second), kShortest, kLongest));
}

/// Writing or reading a checkpoint takes all nodes' ways to the storage, and the storage itself.
Seconds storage_time(const proto::Resilience& r, int nodes) {
  double rate = quantity(r.storage_bandwidth(), Dimension::data_rate);
  if (r.has_node_storage_bandwidth())
    rate = std::min(rate, nodes * quantity(r.node_storage_bandwidth(), Dimension::data_rate));
  return Bytes(quantity(r.checkpoint_size(), Dimension::data)) / BytesPerSecond(rate);
}

}  // namespace

ResilienceConfig resilience_of(const proto::Resilience& r, int nodes, int gpus) {
  auto out = loaded<ResilienceConfig>(r);
  if (r.has_checkpoint_size()) out.checkpoint_write = out.checkpoint_read = storage_time(r, nodes);
  if (r.checkpoint_interval() == "optimal") out.checkpoint_interval = optimal_interval(out, gpus);
  if (!r.has_planned_pause()) out.planned_pause = out.restart;
  if (!out.hot_spares) {  // a replacement is always at hand
    out.hardware_share = 0;
    out.spare_swap = out.repair = Seconds(0);
  }
  return out;
}

bool states_interruptions(const proto::Resilience& resilience) {
  proto::Resilience interruptions = resilience;
  interruptions.clear_source();
  interruptions.clear_replays();
  interruptions.clear_seed();
  return interruptions.ByteSizeLong() > 0;
}

bool resilience_default_idle(const proto::Resilience& r, const std::string& setting) {
  const auto is = [&](const char* field) { return setting.starts_with(std::string("resilience.") + field + " ="); };
  if (r.has_checkpoint_size() && (is("checkpoint_write") || is("checkpoint_read"))) return true;
  return !r.has_hot_spares() && (is("hardware_share") || is("spare_swap") || is("repair"));
}

void check_checkpoint_fields(const proto::Resilience& r, const Places& places, Diagnostics& faults) {
  const auto add = [&](const std::string& path, std::string found, std::string expected) {
    faults.push_back(places.fault(path, std::move(found), std::move(expected)));
  };
  if (r.has_checkpoint_size() && (r.has_checkpoint_write() || r.has_checkpoint_read())) {
    add("resilience.checkpoint_size", "a size beside checkpoint_write or checkpoint_read",
        "either the times, or checkpoint_size with storage_bandwidth");
  }
  if (!r.has_hot_spares()) {
    for (const auto& [field, is_stated] : {std::pair{"hardware_share", r.has_hardware_share()},
                                           {"spare_swap", r.has_spare_swap()},
                                           {"repair", r.has_repair()}}) {
      if (is_stated)
        add(fmt::format("resilience.{}", field), "a field without effect: a replacement is always at hand",
            "hot_spares beside it, the nodes that stand by");
    }
  }
  if (r.has_checkpoint_size() != r.has_storage_bandwidth()) {
    add(r.has_checkpoint_size() ? "resilience.storage_bandwidth" : "resilience.checkpoint_size", "nothing",
        "checkpoint_size and storage_bandwidth, or neither");
  }
}

void check_time_to_train(const proto::Resilience& stated, const ResilienceConfig& r, int gpus, const Places& places,
                         Diagnostics& faults) {
  const auto add = [&](const std::string& path, std::string found, std::string expected) {
    faults.push_back(places.fault(path, std::move(found), std::move(expected)));
  };
  if (stated.checkpoint_interval() != "optimal" && r.checkpoint_interval <= r.checkpoint_write) {
    add("resilience.checkpoint_interval", quoted(stated.checkpoint_interval()),
        fmt::format("more than writing takes, checkpoint_write = {:g} s", r.checkpoint_write.value()));
  }
  constexpr double kDay = 86400, kMostPaused = 0.99;
  const Seconds pause = r.planned_pause + r.checkpoint_read;
  if (const double share = r.planned_interruptions_per_day * pause.value() / kDay; share >= kMostPaused) {
    add("resilience.planned_interruptions_per_day",
        fmt::format("{:g}, each of {:g} s: {:.3g} days of pauses a day", r.planned_interruptions_per_day, pause.value(),
                    share),
        fmt::format("fewer than {:.3g}, or a shorter planned_pause", kDay / pause.value()));
  }
  const double failures_per_second = r.failures_per_gpu_hour / 3600 * gpus;
  const Seconds standstill = r.restart + r.checkpoint_read + r.checkpoint_write;
  if (failures_per_second * standstill.value() < 1) return;
  add("resilience.failure_rate",
      fmt::format("{}, a failure every {:.3g} s on {} GPUs", quoted(stated.failure_rate()), 1 / failures_per_second,
                  gpus),
      fmt::format("more time between failures than restarting and a checkpoint take, {:g} s", standstill.value()));
}

}  // namespace flopcast
