#include "scenarios/resolve/load_money.h"

#include <algorithm>

#include <fmt/format.h>

#include "scenarios/read/quantity.h"

namespace flopcast {
namespace {

Usd usd(const std::string& text) { return Usd(quantity(text, Dimension::money)); }
double count(const std::string& text) { return quantity(text, Dimension::count); }

PriceModel price_model(const std::string& name) {
  return name == "rental"      ? PriceModel::rental
         : name == "owned"     ? PriceModel::owned
         : name == "amortised" ? PriceModel::amortised
                               : PriceModel::stated;
}

OwnedConfig owned_of(const proto::OwnedTerms& p) {
  OwnedConfig out;
  if (p.has_server()) out.server = usd(p.server());
  if (p.has_network()) out.network = usd(p.network());
  out.other = usd(p.other());
  out.life_years = p.life_years();
  out.interest = p.interest();
  out.residual = p.residual();
  out.operations = p.operations();
  if (p.has_power_share()) out.power_share = p.power_share();
  return out;
}

SiteConfig site_of(const proto::Site& p) {
  SiteConfig out;
  if (p.has_electricity_usd_per_kwh()) out.electricity_usd_per_kwh = p.electricity_usd_per_kwh();
  if (p.has_colocation_usd_per_kw_month()) out.colocation_usd_per_kw_month = p.colocation_usd_per_kw_month();
  return out;
}

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
  bool sound(const std::string& section) const {
    return std::none_of(faults_.begin(), faults_.end(), [&](const Diagnostic& d) {
      return d.field == section || d.field.starts_with(section + ".") || d.field.starts_with(section + "[");
    });
  }

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
    out.model = price_model(p.model());
    if (in_.has_price() && out.model == PriceModel::stated && !p.has_gpu())
      add("price.gpu", "nothing", "the price of a GPU-hour such as \"2 USD/h\", or price.model");
    if (p.has_gpu()) out.gpu = UsdPerSecond(quantity(p.gpu(), Dimension::money_rate));
    out.stated = p.has_gpu();
    out.source = p.source();
    out.pue = p.pue();
    out.pue_stated = p.has_pue();
    out.rental = {p.rental().term(), p.rental().provider()};
    out.owned = owned_of(p.owned());
    amortised(p.amortised());
    out.site = site_of(p.site());
  }

  void amortised(const proto::AmortisedTerms& p) {
    AmortisedConfig& out = out_.price.amortised;
    if (p.has_server()) out.server = usd(p.server());
    if (p.has_available()) out.available = day("price.amortised.available", p.available());
    out.progress = p.progress();
    out.network_share = p.network_share();
    out.power_share = p.power_share();
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
      out.push_back({item.name(), item.gpu_hours(), item.has_cost() ? usd(item.cost()) : Usd(0), item.source()});
    }
    return out;
  }

  void programme() {
    const proto::Programme& p = in_.programme();
    ProgrammeConfig out;
    out.experiments = p.experiments();
    out.failed_runs = p.failed_runs();
    out.idle = p.idle();
    out.predecessors = spending(p.predecessor(), "programme.predecessor");
    out.data = spending(p.data(), "programme.data");
    out.other = spending(p.other(), "programme.other");
    out.staff = {p.staff().people(), p.staff().usd_per_year(), p.staff().years(), p.staff().source()};
    out.source = p.source();
    out_.programme = std::move(out);
  }

  void service() {
    const proto::GivenService& p = in_.given_service();
    GivenServiceConfig out;
    out.nodes = p.nodes();
    out.input_tokens = count(p.input_tokens());
    out.cached_tokens = count(p.cached_tokens());
    out.output_tokens = count(p.output_tokens());
    out.prefill_share = p.prefill_share();
    out.cached_work = p.cached_work();
    out.source = p.source();
    if (out.cached_tokens > out.input_tokens)
      add("given_service.cached_tokens", quoted(p.cached_tokens()), "at most the input tokens, " + p.input_tokens());
    out_.given_service = out;
  }

  void market() {
    const proto::Market& p = in_.market();
    MarketConfig out;
    out.vendor = p.vendor();
    out.model = p.model();
    if (p.has_vendor() != p.has_model()) add("market", "half a name", "both vendor and model, or neither");
    if (!p.has_model() && !(p.has_input() && p.has_output()))
      add("market", "no price", "vendor and model of a dated price, or input and output in USD per million tokens");
    if (p.has_input()) out.input = p.input();
    if (p.has_cached()) out.cached = p.cached();
    if (p.has_output()) out.output = p.output();
    out.elasticity = p.elasticity();
    out.source = p.source();
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
    out.usual_spreads = p.usual_spreads();
    out.draws = p.draws();
    out.seed = static_cast<std::uint64_t>(p.seed());
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
    TrainingPhase phase;
    phase.name = p.name();
    phase.given_gpu_hours = p.given_gpu_hours();
    phase.source = p.source();
    out.push_back(std::move(phase));
  }
  return out;
}

}  // namespace flopcast
