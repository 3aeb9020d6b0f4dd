#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include <fmt/format.h>

#include "analysis/money/fleet/fleet.h"
#include "scenarios/proto/fleet.pb.h"
#include "scenarios/read/fields/field_rules.h"
#include "scenarios/read/fields/set_field.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/path_or_name.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr const char* kFleetFolder = "analysis/data/fleets/";
constexpr double kDaysPerYear = 365.25;
/// What a price that is only known for a day may be off by, either way: uncertainty.csv, owned.server.
constexpr double kPriceLow = 0.5, kPriceHigh = 2;

class FleetReader {
 public:
  FleetReader(const std::string& file, const Libraries& libraries, const PriceBook& prices)
      : file_(file), libraries_(libraries), prices_(prices) {}

  Fleet read(const std::string& text, const std::vector<std::string>& sets) {
    parse_text(text, file_, in_, places_, faults_);
    for (const std::string& set : sets) set_field(set, in_, places_, faults_);
    check_fields(
        in_, "", places_,
        [&](int library) { return library == 1 ? libraries_.names(LibraryKind::gpus) : std::vector<std::string>(); },
        true, faults_);
    if (!faults_.empty()) throw InputError(faults_);
    out_.title = in_.title();
    out_.begins = day(in_.begins(), "begins");
    out_.ends = day(in_.ends(), "ends");
    if (out_.ends <= out_.begins)
      fault("ends", to_string(out_.ends), fmt::format("a day after {}, on which the ledger begins", in_.begins()));
    for (int i = 0; i < in_.purchase_size(); ++i) purchase(in_.purchase(i), fmt::format("purchase[{}]", i));
    for (int i = 0; i < in_.rental_size(); ++i) rental(in_.rental(i), fmt::format("rental[{}]", i));
    if (out_.purchases.empty() && out_.rentals.empty())
      fault("purchase", "nothing bought and nothing rented", "a purchase or a rental");
    for (int i = 0; i < in_.use_size(); ++i) use(in_.use(i), fmt::format("use[{}]", i));
    site();
    staff();
    for (int i = 0; i < in_.other_size(); ++i) other(in_.other(i), fmt::format("other[{}]", i));
    out_.assumptions.assign(in_.assumption().begin(), in_.assumption().end());
    out_.draws = in_.draws();
    out_.seed = static_cast<std::uint64_t>(in_.seed());
    if (faults_.empty()) check_hours();
    if (!faults_.empty()) throw InputError(faults_);
    return std::move(out_);
  }

 private:
  void fault(const std::string& path, std::string found, std::string expected, const std::string& nearest = "") {
    faults_.push_back(places_.fault(path, std::move(found), std::move(expected), nearest));
  }

  Date day(const std::string& text, const std::string& path) {
    if (const auto parsed = parse_date(text)) return *parsed;
    fault(path, flopcast::quoted(text), "a day such as 2024-12-26");
    return *parse_date("2000-01-01");
  }

  /// Of a figure's fields the one that --set states: the slip is more likely there than in the file.
  std::string overridden(const std::string& path) const {
    const std::string own = places_.find(path).file;
    for (const char* field : {".likely", ".low", ".high"}) {
      if (places_.find(path + field).file != own) return path + field;
    }
    return path;
  }

  /// @param money in dollars, or in yuan at the file's rate.
  FleetFigure figure(const proto::Figure& in, const std::string& path, bool money) {
    FleetFigure out;
    if (in.has_likely()) out.likely = in.likely();
    if (!in.has_likely() && !(in.has_low() && in.has_high())) {
      fault(path, "no figure", "likely, or low and high");
      return out;
    }
    out.low = in.has_low() ? in.low() : in.likely();
    out.high = in.has_high() ? in.high() : in.likely();
    if (out.low > out.high || (out.likely && (*out.likely < out.low || *out.likely > out.high))) {
      const std::string likely = out.likely ? fmt::format(", likely {:g}", *out.likely) : "";
      fault(overridden(path), fmt::format("{:g} to {:g}{}", out.low, out.high, likely), "low <= likely <= high");
    }
    if (in.currency() == "CNY") {
      if (!money) {
        fault(path + ".currency", "a currency", "none: this is no money");
      } else if (!in_.has_cny_per_usd()) {
        fault(path + ".currency", "yuan without a rate", "cny_per_usd: 7.2, beside title, or a figure in USD");
      } else {
        const double rate = in_.cny_per_usd();
        out.low /= rate;
        out.high /= rate;
        if (out.likely) out.likely = *out.likely / rate;
      }
    }
    return out;
  }

  void new_name(const std::string& name, const std::string& path, const char* what) {
    if (!lots_.insert(name).second)
      fault(path + ".name", fmt::format("{}, which is there already", flopcast::quoted(name)),
            fmt::format("{} once: one entry with all of its GPUs, or another name", what));
  }

  void purchase(const proto::FleetPurchase& in, const std::string& path) {
    FleetPurchase out;
    out.name = in.name();
    new_name(out.name, path, "a purchase");
    out.gpu = in.gpu();
    out.bought = day(in.bought(), path + ".bought");
    if (out.bought >= out_.ends)
      fault(path + ".bought", in.bought(), fmt::format("a day before {}, where the ledger ends", in_.ends()));
    out.count = figure(in.count(), path + ".count", false);
    out.pays = in.pays() == "cluster" ? Pays::cluster : in.pays() == "chip" ? Pays::chip : Pays::server;
    if (in.has_price()) {
      out.price = figure(in.price(), path + ".price", true);
    } else {
      try {
        const PriceQuote quote = prices_.server(out.gpu, out.bought);
        out.price = {kPriceLow * quote.usd, kPriceHigh * quote.usd, quote.usd};
        out.source += fmt::format("price: {}, {}; ", quote.source, to_string(quote.date));
        out.pays = Pays::server;
      } catch (const InputError& error) {
        Diagnostic d = error.diagnostics().front();
        fault(path + ".price", "nothing, and " + d.found, d.expected + ", or a price of its own", d.suggestion);
      }
    }
    // What the price pays already is not paid again.
    if (out.pays == Pays::chip) {
      if (in.has_server()) {
        out.server = figure(in.server(), path + ".server", true);
      } else {
        fault(path + ".server", "nothing beside the price of a chip", "a GPU's share of the rest of its server");
      }
    } else if (in.has_server()) {
      fault(path + ".server", fmt::format("a server beside a price that pays a {}", in.pays()),
            "pays: \"chip\", or no server: it would be counted twice");
    }
    if (in.has_network()) {
      if (out.pays == Pays::cluster)
        fault(path + ".network", "a network beside a price that pays the cluster",
              "pays: \"server\", or no network: it would be counted twice");
      out.network = figure(in.network(), path + ".network", true);
    }
    out.tariff = in.tariff();
    out.tariff_in_price = in.tariff_in_price();
    out.revenue_share = in.revenue_share();
    out.life_years = in.life_years();
    const double server_watts = in_.site().server_watts();
    out.rated_kw = (libraries_.gpu(out.gpu).tdp.value() + server_watts) / 1000;
    out.source += in.source();
    out.confirmed = in.confirmed();
    out_.purchases.push_back(std::move(out));
  }

  void rental(const proto::FleetRental& in, const std::string& path) {
    FleetRental out;
    out.name = in.name();
    new_name(out.name, path, "a rental");
    out.gpu = in.gpu();
    out.day = day(in.day(), path + ".day");
    out.gpu_hours = figure(in.gpu_hours(), path + ".gpu_hours", false);
    if (in.has_usd_per_hour()) {
      out.usd_per_hour = figure(in.usd_per_hour(), path + ".usd_per_hour", true);
    } else {
      try {
        const RentQuote quote = prices_.rent(out.gpu, {}, out.day);
        out.usd_per_hour = {quote.observed.front(), quote.observed.back(), quote.usd_per_hour};
        out.source += fmt::format("rent: {}; ", quote.source);
      } catch (const InputError& error) {
        Diagnostic d = error.diagnostics().front();
        fault(path + ".usd_per_hour", "nothing, and " + d.found, d.expected + ", or a rent of its own", d.suggestion);
      }
    }
    out.source += in.source();
    out_.rentals.push_back(std::move(out));
  }

  void use(const proto::FleetUse& in, const std::string& path) {
    static const std::map<std::string, UseKind> kKinds{
        {"final run", UseKind::final_run},     {"failed runs", UseKind::failed_runs},
        {"experiments", UseKind::experiments}, {"predecessor", UseKind::predecessor},
        {"serving", UseKind::serving},         {"other", UseKind::other}};
    FleetUse out;
    out.name = in.name();
    out.on = in.on();
    out.kind = kKinds.at(in.kind());
    out.source = in.source();
    const auto twin =
        std::find_if(out_.uses.begin(), out_.uses.end(), [&](const FleetUse& known) { return known.name == out.name; });
    if (twin != out_.uses.end()) {
      fault(path + ".name",
            twin->on == out.on
                ? fmt::format("{} a second time on {}", flopcast::quoted(out.name), flopcast::quoted(out.on))
                : fmt::format("{} on {} and on {}: one run's hours paid twice", flopcast::quoted(out.name),
                              flopcast::quoted(twin->on), flopcast::quoted(out.on)),
            "a run once, on the lot that it ran on; of a run on two lots, two names with the hours of each");
    }
    if (lots_.count(out.on) == 0) {
      const std::vector<std::string> known(lots_.begin(), lots_.end());
      fault(path + ".on", flopcast::quoted(out.on), fmt::format("one of {}", fmt::join(known, ", ")),
            nearest_name(out.on, known));
    }
    out.gpu_hours = figure(in.gpu_hours(), path + ".gpu_hours", false);
    if (in.has_from()) out.from = day(in.from(), path + ".from");
    if (in.has_until()) out.until = day(in.until(), path + ".until");
    if (out.from && out.until && *out.until <= *out.from)
      fault(path + ".until", in.until(), fmt::format("a day after {}", in.from()));
    const auto again = std::find_if(out_.uses.begin(), out_.uses.end(), [&](const FleetUse& known) {
      return known.name != out.name && out.from && out.until && known.from == out.from && known.until == out.until &&
             known.kind == out.kind && known.gpu_hours == out.gpu_hours;
    });
    if (again != out_.uses.end())
      fault(path + ".name", flopcast::quoted(out.name),
            "another run: " + flopcast::quoted(again->name) + " has the same hours on the same days, a run once");
    out_.uses.push_back(std::move(out));
  }

  void site() {
    const proto::FleetSite& in = in_.site();
    const auto or_else = [&](bool stated, const proto::Figure& figure_in, const std::string& name, FleetFigure usual) {
      return stated ? figure(figure_in, "site." + name, name != "pue") : usual;
    };
    FleetFigure power{0, 0, 0}, rooms{0, 0, 0};
    if (!out_.purchases.empty() && faults_.empty()) {
      try {
        if (!in.has_electricity()) {
          const double usd = prices_.electricity(out_.ends).usd;
          power = {usd, usd, usd};
        }
      } catch (const InputError& error) {
        const Diagnostic& d = error.diagnostics().front();
        fault("site.electricity", "nothing, and " + d.found, d.expected + ", or a price of its own");
      }
    }
    const double pue = prices_.pue().usd;
    out_.electricity = or_else(in.has_electricity(), in.electricity(), "electricity", power);
    out_.pue = or_else(in.has_pue(), in.pue(), "pue", {pue, pue, pue});
    if (out_.pue.low < 1) fault("site.pue", fmt::format("{:g}", out_.pue.low), "1 or more");
    out_.colocation = or_else(in.has_colocation(), in.colocation(), "colocation", rooms);
    out_.power_share = in.power_share();
    out_.operations = in.operations();
    out_.site_source = in.source();
  }

  void staff() {
    if (!in_.has_staff()) return;
    const proto::FleetStaff& in = in_.staff();
    out_.people = figure(in.people(), "staff.people", false);
    out_.per_year = figure(in.per_year(), "staff.per_year", true);
    const Date from = in.has_from() ? day(in.from(), "staff.from") : out_.begins;
    const Date until = in.has_until() ? day(in.until(), "staff.until") : out_.ends;
    if (until <= from) fault("staff.until", to_string(until), "a day after " + to_string(from));
    out_.staff_years = static_cast<double>(until.days_since(from)) / kDaysPerYear;
    out_.staff_source = in.source();
  }

  void other(const proto::FleetSpending& in, const std::string& path) {
    for (const FleetUse& known : out_.uses) {
      if (known.name == in.name())
        fault(path + ".name",
              fmt::format("{}, whose hours are used on {} already", flopcast::quoted(in.name()),
                          flopcast::quoted(known.on)),
              "money for what no use of hours pays");
    }
    if (lots_.count(in.name()) > 0)
      fault(path + ".name", fmt::format("{}, which is bought or rented already", flopcast::quoted(in.name())),
            "money for what is neither");
    out_.other.push_back({in.name(), figure(in.cost(), path + ".cost", true), in.source()});
  }

  // Hours, once.

  struct Lot {
    double most_hours = 0;  // with its largest count
    double most_gpus = 0;
    Date from, until;
    bool rented = false;
  };

  std::map<std::string, Lot> lots() const {
    std::map<std::string, Lot> out;
    for (const FleetPurchase& p : out_.purchases) {
      const Date from = std::max(p.bought, out_.begins);
      out[p.name] = {p.count.high * 24 * static_cast<double>(out_.ends.days_since(from)), p.count.high, p.bought,
                     out_.ends, false};
    }
    for (const FleetRental& r : out_.rentals) out[r.name] = {r.gpu_hours.high, 0, out_.begins, out_.ends, true};
    return out;
  }

  /// A lot cannot give more hours than it has, in all and in the days of each use; and rented hours were rented for
  /// something.
  void check_hours() {
    const std::map<std::string, Lot> all = lots();
    std::map<std::string, double> used;
    for (std::size_t i = 0; i < out_.uses.size(); ++i) {
      const FleetUse& use = out_.uses[i];
      const Lot& lot = all.at(use.on);
      used[use.on] += use.gpu_hours.middle();
      if (lot.rented || (!use.from && !use.until)) continue;
      const Date from = use.from.value_or(lot.from), until = use.until.value_or(lot.until);
      const std::string path = fmt::format("use[{}]", i);
      if (from < lot.from || until > lot.until) {
        fault(path, fmt::format("{} to {}", to_string(from), to_string(until)),
              fmt::format("days on which {} was there: {} to {}", use.on, to_string(lot.from), to_string(lot.until)));
        continue;
      }
      const double most = lot.most_gpus * 24 * static_cast<double>(until.days_since(from));
      if (use.gpu_hours.middle() > most)
        fault(
            path + ".gpu_hours",
            fmt::format("{:.4g} GPU-hours from {} to {}", use.gpu_hours.middle(), to_string(from), to_string(until)),
            fmt::format("at most {:.4g}, which the {:.0f} GPUs of {} have in those days", most, lot.most_gpus, use.on));
    }
    for (const auto& [name, hours] : used) {
      const Lot& lot = all.at(name);
      if (hours > lot.most_hours * (1 + 1e-9))
        fault("use", fmt::format("{:.4g} GPU-hours used on {}", hours, name),
              fmt::format("at most the {:.4g} that it {}: an hour is used once", lot.most_hours,
                          lot.rented ? "was rented for" : "has up to the end of the ledger"));
    }
    for (std::size_t i = 0; i < out_.rentals.size(); ++i) {
      const FleetRental& r = out_.rentals[i];
      const double on_it = used.count(r.name) > 0 ? used.at(r.name) : 0;
      if (on_it < 0.5 * r.gpu_hours.low)
        fault(fmt::format("rental[{}]", i),
              fmt::format("{:.4g} rented GPU-hours of which uses take {:.4g}", r.gpu_hours.middle(), on_it),
              fmt::format("uses `on: \"{}\"` for them; a run on chips that are owned is not rented as well", r.name));
    }
  }

  std::string file_;
  const Libraries& libraries_;
  const PriceBook& prices_;
  proto::Fleet in_;
  Places places_;
  Diagnostics faults_;
  std::set<std::string> lots_;
  Fleet out_;
};

}  // namespace

std::vector<std::string> fleet_names(const Libraries& libraries) {
  const std::filesystem::path one = required_file(libraries, std::string(kFleetFolder) + "deepseek_fleet.textproto");
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(one.parent_path())) {
    if (entry.path().extension() == ".textproto") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Fleet load_fleet(const std::string& file_or_name, const std::vector<std::string>& sets, const Libraries& libraries,
                 const PriceBook& prices) {
  std::string file = file_or_name;
  if (!looks_like_path(file)) {
    const std::vector<std::string> known = fleet_names(libraries);
    if (std::find(known.begin(), known.end(), file) == known.end())
      throw InputError(Diagnostic{"", 0, 0, "", flopcast::quoted(file),
                                  fmt::format("a file, or one of the program's fleets: {}", fmt::join(known, ", ")),
                                  nearest_name(file, known)});
    file = required_file(libraries, kFleetFolder + file + ".textproto");
  }
  Fleet fleet = FleetReader(file, libraries, prices).read(read_text_file(file), sets);
  fleet.name = std::filesystem::path(file).stem().string();
  return fleet;
}

}  // namespace flopcast
