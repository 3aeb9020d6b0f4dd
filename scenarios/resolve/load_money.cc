#include "scenarios/resolve/load_money.h"

#include <algorithm>

#include <fmt/format.h>

#include "scenarios/read/fields/load_fields.h"
#include "scenarios/read/fields/section.h"

namespace flopcast {
namespace {

/// Section by section; a fault in one leaves the others alone.
class MoneyReader {
 public:
  MoneyReader(const proto::Scenario& in, const Places& places, Diagnostics& faults, Scenario& out)
      : in_(in), places_(places), faults_(faults), out_(out) {}

  void read() {
    if (in_.has_date()) out_.date = day("date", in_.date());
    if (sound("price")) price();
    if (in_.has_programme() && sound("programme")) programme();
    if (in_.has_given_service() && sound("given_service")) service();
    if (in_.has_market() && sound("market")) market();
    if (sound("uncertainty")) uncertainty();
  }

 private:
  bool sound(const std::string& section) const { return is_sound(faults_, section); }

  void add(const std::string& path, std::string found, std::string expected) {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected)));
  }

  std::optional<Date> day(const std::string& path, const std::string& text) {
    const auto parsed = parse_date(text);
    if (!parsed) add(path, quoted(text), "a day such as \"2024-12-26\"");
    return parsed;
  }

  void price() {
    const proto::Price& p = in_.price();
    PriceConfig& out = out_.price;
    load_fields(p, out);
    if (in_.has_price() && out.model == PriceModel::stated && !p.has_gpu())
      add("price.gpu", "nothing", "the price of a GPU-hour such as \"2 USD/h\", or price.model");
    out.stated = p.has_gpu();
    out.pue_stated = p.has_pue();
    if (p.amortised().has_available()) day("price.amortised.available", p.amortised().available());
  }

  template <class Items>
  std::vector<Spending> spending(const Items& items, const std::string& path) {
    std::vector<Spending> out;
    for (int i = 0; i < items.size(); ++i) {
      const proto::Spending& item = items.Get(i);
      if (item.has_gpu_hours() == item.has_cost()) {
        add(fmt::format("{}[{}]", path, i), item.has_cost() ? "both gpu_hours and cost" : "neither gpu_hours nor cost",
            "one of the two");
        continue;
      }
      out.push_back(loaded<Spending>(item));
    }
    return out;
  }

  void programme() {
    const proto::Programme& p = in_.programme();
    auto out = loaded<ProgrammeConfig>(p);
    out.predecessors = spending(p.predecessor(), "programme.predecessor");
    out.data = spending(p.data(), "programme.data");
    out.other = spending(p.other(), "programme.other");
    out_.programme = std::move(out);
  }

  void service() {
    const proto::GivenService& p = in_.given_service();
    auto out = loaded<GivenServiceConfig>(p);
    if (out.cached_tokens > out.input_tokens)
      add("given_service.cached_tokens", quoted(p.cached_tokens()), "at most the input tokens, " + p.input_tokens());
    out_.given_service = out;
  }

  void market() {
    const proto::Market& p = in_.market();
    auto out = loaded<MarketConfig>(p);
    if (p.has_vendor() != p.has_model()) add("market", "half a name", "both vendor and model, or neither");
    if (!p.has_model() && !(p.has_input() && p.has_output()))
      add("market", "no price", "vendor and model of a dated price, or input and output in USD per million tokens");
    out_.market = out;
  }

  /// Bounds must be in order, and there must be something between them.
  void check_order(const std::string& path, std::initializer_list<double> figures) {
    if (!std::is_sorted(figures.begin(), figures.end()) || *figures.begin() >= *(figures.end() - 1))
      add(path, "bounds out of order", "the lower bound below the upper one, and the mode between them");
  }

  SpreadConfig spread(const proto::Uncertain& p, const std::string& path) {
    using Kind = SpreadConfig::Kind;
    const int stated =
        p.has_normal() + p.has_log_normal() + p.has_triangular() + p.has_uniform() + (p.empirical_size() > 0);
    if (stated != 1) {
      add(path, fmt::format("{} distributions", stated == 0 ? "no" : "several"),
          "one of normal, log_normal, triangular, uniform, empirical");
      return {};
    }
    if (p.has_normal()) return {Kind::normal, p.normal().mean(), p.normal().sd()};
    if (p.has_log_normal()) {
      check_order(path, {p.log_normal().p5(), p.log_normal().p95()});
      return {Kind::log_normal, p.log_normal().p5(), p.log_normal().p95()};
    }
    if (p.has_triangular()) {
      const proto::Triangular& t = p.triangular();
      check_order(path, {t.low(), t.mode(), t.high()});
      return {Kind::triangular, t.low(), t.mode(), t.high()};
    }
    if (p.has_uniform()) {
      check_order(path, {p.uniform().low(), p.uniform().high()});
      return {Kind::uniform, p.uniform().low(), p.uniform().high()};
    }
    return {Kind::empirical, 0, 0, 0, {p.empirical().begin(), p.empirical().end()}};
  }

  void uncertainty() {
    const proto::Uncertainty& p = in_.uncertainty();
    UncertaintyConfig& out = out_.uncertainty;
    load_fields(p, out);
    for (int i = 0; i < p.uncertain_size(); ++i) {
      const proto::Uncertain& u = p.uncertain(i);
      const std::string path = fmt::format("uncertainty.uncertain[{}]", i);
      out.uncertain.push_back({u.input(), spread(u, path), u.relative(), u.source()});
    }
    for (int i = 0; i < p.correlated_size(); ++i) {
      const proto::Correlated& c = p.correlated(i);
      if (c.input_size() != 2 || c.input(0) == c.input(1)) {
        add(fmt::format("uncertainty.correlated[{}]", i), fmt::format("{} inputs", c.input_size()),
            "two different inputs");
        continue;
      }
      out.correlated.push_back({c.input(0), c.input(1), c.rank()});
    }
  }

  const proto::Scenario& in_;
  const Places& places_;
  Diagnostics& faults_;
  Scenario& out_;
};

}  // namespace

void load_money(const proto::Scenario& in, const Places& places, Diagnostics& faults, Scenario& out) {
  MoneyReader(in, places, faults, out).read();
}

bool is_given_run(const proto::Scenario& in) {
  const auto& phases = in.run().phase();
  return !in.has_training() && !in.has_collective() && !in.has_cluster_life() && !phases.empty() &&
         std::all_of(phases.begin(), phases.end(), [](const proto::Phase& p) { return p.has_given_gpu_hours(); });
}

std::vector<TrainingPhase> given_phases(const proto::Run& run) {
  std::vector<TrainingPhase> out;
  for (const proto::Phase& p : run.phase()) {
    auto phase = loaded<TrainingPhase>(p);
    out.push_back(std::move(phase));
  }
  return out;
}

}  // namespace flopcast
