#include "analysis/runs/training/timeline/link_use.h"

#include <algorithm>
#include <charconv>

namespace flopcast {
namespace {

/// "gpu12 NIC out": 12; -1: the name is of another kind.
int gpu_of_link(const std::string& name) {
  if (!name.starts_with("gpu")) return -1;
  int gpu = -1;
  const auto [end, error] = std::from_chars(name.data() + 3, name.data() + name.size(), gpu);
  return error == std::errc() && *end == ' ' ? gpu : -1;
}

}  // namespace

LinkUse::LinkUse(const TrainingStep& step, const std::set<int>& gpus) : network_(step.network) {
  if (network_ == nullptr) return;
  links_.resize(network_->link_count());
  for (std::size_t i = 0; i < links_.size(); ++i) {
    const int gpu = gpu_of_link(network_->link(LinkId::at(i)).name);
    if (gpus.contains(gpu)) links_[i].gpu = gpu;
  }
}

void LinkUse::add(const OperationGraph& graph, const OpSpan& span) {
  if (links_.empty() || graph.kind(span.op) != OpKind::transfer) return;
  const Seconds start = std::min(span.start + graph.duration(span.op), span.end), time = span.end - start;
  if (time <= Seconds(0)) return;
  for (const Flow& flow : graph.flows(span.op)) {
    for (const LinkId id : network_->route(flow.route)) {
      Link& link = links_[id.index()];
      if (link.gpu < 0) continue;
      const double share = flow.bytes / time / network_->link(id).bandwidth;
      link.changes.push_back({start, share});
      link.changes.push_back({span.end, -share});
    }
  }
}

std::vector<LinkUse::Curve> LinkUse::curves() {
  std::vector<Curve> out;
  for (std::size_t i = 0; i < links_.size(); ++i) {
    std::vector<Change>& changes = links_[i].changes;
    if (changes.empty()) continue;
    std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) { return a.at < b.at; });
    const std::string& name = network_->link(LinkId::at(i)).name;
    Curve curve{links_[i].gpu, name.substr(name.find(' ') + 1), {}};
    double use = 0;
    for (std::size_t c = 0; c < changes.size(); ++c) {
      use += changes[c].by;
      const bool last_of_moment = c + 1 == changes.size() || changes[c + 1].at > changes[c].at;
      if (last_of_moment) curve.points.emplace_back(changes[c].at, std::clamp(100 * use, 0.0, 100.0));
    }
    out.push_back(std::move(curve));
  }
  return out;
}

std::vector<LinkUse::Curve> LinkUse::curves_of_means(int stretches) {
  std::vector<Curve> all = curves();
  Seconds end;
  for (const Curve& curve : all) end = std::max(end, curve.points.back().first);
  const Seconds width = end / stretches;
  for (Curve& curve : all) {
    std::vector<double> sums(static_cast<std::size_t>(stretches));
    for (std::size_t i = 0; i + 1 < curve.points.size(); ++i) {
      const auto [from, percent] = curve.points[i];
      const Seconds to = curve.points[i + 1].first;
      auto stretch = static_cast<std::size_t>(from / width);
      for (Seconds at = from; at < to && stretch < sums.size(); ++stretch) {
        const Seconds until = std::min(to, static_cast<double>(stretch + 1) * width);
        sums[stretch] += percent * ((until - at) / width);
        at = until;
      }
    }
    curve.points.clear();
    for (std::size_t i = 0; i < sums.size(); ++i)
      if (i == 0 || sums[i] != sums[i - 1]) curve.points.emplace_back(static_cast<double>(i) * width, sums[i]);
    curve.points.emplace_back(end, 0.0);
  }
  return all;
}

}  // namespace flopcast
