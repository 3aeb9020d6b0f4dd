// What holds for every collective, whatever its figures.
#include "tests/laws/law_parts.h"

namespace flopcast::testing {
namespace {

double time_of(const std::string& text, const Sets& sets = {}, Sharing sharing = Sharing::max_min) {
  RunSettings settings;
  settings.sharing = sharing;
  return value_of(run_text(text, sets, settings), "collective.time_s");
}

Sets twice_the_bytes(const std::string& text) {
  return {fmt::format("collective.bytes=\"{} B\"", 2 * stated(text, "bytes"))};
}

/// Both, so that no link becomes the narrow one.
const Sets kFasterLinks{"cluster.node_override.nvlink_bandwidth=\"1800 GB/s per direction\"",
                        "cluster.node_override.nic_bandwidth=\"200 GB/s per direction\""};

}  // namespace

std::vector<Law> collective_laws() {
  return {
      {"every number is finite", [](const std::string& t) { return all_finite(run_text(t)); }},
      {"the same input gives the same bytes", [](const std::string& t) { return same_bytes(t); }},
      {"the busiest link is a lower bound",
       [](const std::string& t) {
         const Report r = run_text(t);
         return at_most(value_of(r, "collective.port_bound_s"), value_of(r, "collective.time_s"), "busy", 1e-6);
       }},
      {"links without contention are a lower bound",
       [](const std::string& t) { return at_most(time_of(t, {}, Sharing::ideal), time_of(t), "the ideal is slower"); }},
      {"bandwidth is bytes over time",
       [](const std::string& t) {
         const Report r = run_text(t);
         return equal(value_of(r, "collective.algorithm_bandwidth_bytes_per_s"),
                      value_of(r, "collective.bytes") / value_of(r, "collective.time_s"), "bandwidth", 1e-6);
       }},
      {"twice the bytes take longer",
       [](const std::string& t) {
         if (has(t, "nccl_")) throw Skip{};  // changes its protocol with the size, not always when that pays
         return at_most(time_of(t), time_of(t, twice_the_bytes(t)), "half the bytes", 1e-6);
       }},
      {"without measured links, twice the bytes take at most twice as long",
       [](const std::string& t) {
         Sets more = twice_the_bytes(t);
         more.emplace_back("collective.measured_links=false");
         return at_most(time_of(t, more), 2 * time_of(t, {"collective.measured_links=false"}), "twice the bytes", 1e-6);
       }},
      {"faster links everywhere are never slower",
       [](const std::string& t) { return at_most(time_of(t, kFasterLinks), time_of(t), "on faster links", 1e-6); }},
      {"two at once are no faster than one",
       [](const std::string& t) {
         return at_most(time_of(t), time_of(t, {"collective.copies=2"}), "one alone", 1e-6);
       }},
      {"an H800 with an H100's links is an H100",
       [](const std::string& t) {
         if (!has(t, "hgx-h800")) throw Skip{};
         std::string other = t;
         other.replace(other.find("hgx-h800"), 8, "hgx-h100");
         return equal(time_of(t, {"cluster.node_override.nvlink_bandwidth=\"450 GB/s per direction\""}), time_of(other),
                      "H800 with the links of an H100, and H100");
       }},
  };
}

}  // namespace flopcast::testing
