#include "analysis/money/prices/price_book.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <map>
#include <set>
#include <tuple>

#include "analysis/money/sums/distribution.h"
#include "analysis/render/text/csv.h"
#include "scenarios/read/libraries/data_file.h"
#include "scenarios/read/text/text_file.h"

namespace flopcast {
namespace {

constexpr long kRentKeeps = 365, kSiteKeeps = 2 * 365, kHardwareKeeps = 3 * 365;

/// A server over its accelerators alone: average of A100, V100 and P100 servers (Cottier et al. 2024,
/// hardware.py).
constexpr double kServerOverChips = 1.64;

CsvTable table(const Libraries& libraries, const std::string& name) {
  const std::string file = required_file(libraries, "analysis/data/money/" + name);
  return parse_csv(read_text_file(file), file);
}

Date day_of(const CsvTable& t, std::size_t row, const char* column) {
  const auto day = parse_date(t.text(row, column));
  if (!day) throw InputError(Diagnostic{"", 0, 0, column, quoted(t.text(row, column)), "a day such as 2024-12-26", ""});
  return *day;
}

/// A price, or the middle of a range where only that is known.
double rent_of(const CsvTable& t, std::size_t row) {
  if (!t.text(row, "usd_per_gpu_hour").empty()) return t.number(row, "usd_per_gpu_hour");
  return (t.number(row, "low") + t.number(row, "high")) / 2;
}

double middle(const std::vector<double>& sorted) {
  const std::size_t n = sorted.size();
  return n % 2 == 1 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

[[noreturn]] void no_price(const std::string& what, const Date& day, const Date& nearest, const std::string& until) {
  throw InputError(Diagnostic{"", 0, 0, "date", fmt::format("{}, without a price for {}", to_string(day), what),
                              until.empty() ? "a day with one" : "a day with one: " + until, to_string(nearest)});
}

[[noreturn]] void unknown(const std::string& field, const std::string& name, const std::vector<std::string>& known,
                          const std::string& remedy) {
  throw InputError(Diagnostic{"", 0, 0, field, quoted(name), fmt::format("one of {}", fmt::join(known, ", ")),
                              nearest_name(name, known), remedy});
}

template <class Rows, class Get>
std::vector<std::string> distinct(const Rows& rows, Get get) {
  std::vector<std::string> out;
  for (const auto& row : rows) out.push_back(get(row));
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

std::string fabric_key(FabricKind kind) {
  switch (kind) {
    case FabricKind::rail_fat_tree_3:
      return "rail_fat_tree_3";
    case FabricKind::multi_plane:
      return "multi_plane";
    case FabricKind::multi_rail:
      return "multi_rail";
    case FabricKind::nvlink_rack:
      return "nvlink_rack";
    case FabricKind::single_switch:
    case FabricKind::rail_fat_tree_2:
      break;
  }
  return "rail_fat_tree_2";
}

}  // namespace

Date required_date(const std::optional<Date>& date, const std::string& what) {
  if (date) return *date;
  throw InputError(Diagnostic{"", 0, 0, "date", "nothing", fmt::format("a day, since {} has a date", what), "",
                              "date: \"2024-12-26\" in the scenario, or --date 2024-12-26"});
}

PriceBook PriceBook::load(const Libraries& libraries) {
  PriceBook book;
  const CsvTable rents = table(libraries, "rental_prices.csv");
  for (std::size_t i = 0; i < rents.size(); ++i) {
    book.rents_.push_back({rents.text(i, "gpu"),
                           rents.text(i, "term"),
                           rents.text(i, "provider"),
                           {rent_of(rents, i), day_of(rents, i, "date"), rents.text(i, "source"), true}});
  }
  book.rent_scatter_ = book.scatter_of_rents();
  const CsvTable hardware = table(libraries, "hardware_prices.csv");
  for (std::size_t i = 0; i < hardware.size(); ++i) {
    book.hardware_.push_back({hardware.text(i, "gpu"),
                              hardware.text(i, "kind"),
                              "",
                              {hardware.number(i, "usd"), day_of(hardware, i, "date"), hardware.text(i, "source"),
                               hardware.text(i, "confirmed") == "yes"}});
  }
  const CsvTable network = table(libraries, "network_prices.csv");
  for (std::size_t i = 0; i < network.size(); ++i) {
    book.network_.push_back(
        {network.text(i, "fabric"),
         "",
         "",
         {network.number(i, "usd_per_endpoint"), day_of(network, i, "date"), network.text(i, "source")}});
  }
  const CsvTable site = table(libraries, "site_prices.csv");
  for (std::size_t i = 0; i < site.size(); ++i) {
    book.site_.push_back(
        {site.text(i, "what"), "", "", {site.number(i, "usd"), day_of(site, i, "date"), site.text(i, "source")}});
  }
  const CsvTable apis = table(libraries, "api_prices.csv");
  for (std::size_t i = 0; i < apis.size(); ++i) {
    TokenRow row;
    row.prices = {apis.text(i, "vendor"),   apis.text(i, "model"),
                  apis.text(i, "tier"),     apis.number(i, "input"),
                  apis.number(i, "output"), {},
                  apis.text(i, "source"),   apis.text(i, "confirmed") == "yes"};
    row.model_class = apis.text(i, "class");
    if (!apis.text(i, "cached").empty()) row.prices.cached = apis.number(i, "cached");
    row.from = day_of(apis, i, "valid_from");
    if (!apis.text(i, "valid_to").empty()) row.until = day_of(apis, i, "valid_to");
    book.tokens_.push_back(std::move(row));
  }
  return book;
}

PriceQuote PriceBook::latest(const std::vector<const Row*>& rows, const Date& day, long keeps_days,
                             const std::string& what) const {
  const Row* found = nullptr;
  const Row* nearest = rows.front();
  for (const Row* row : rows) {
    if (row->quote.date <= day && (!found || row->quote.date >= found->quote.date)) found = row;
    if (std::labs(row->quote.date.days_since(day)) < std::labs(nearest->quote.date.days_since(day))) nearest = row;
  }
  if (!found || day.days_since(found->quote.date) > keeps_days) no_price(what, day, nearest->quote.date, "");
  return found->quote;
}

RentQuote PriceBook::rent(const std::string& gpu, const RentalConfig& terms, const Date& day, double quantile) const {
  std::vector<const Row*> rows;
  for (const Row& row : rents_) {
    if (row.key == gpu && row.detail == terms.term && (terms.provider.empty() || row.provider == terms.provider))
      rows.push_back(&row);
  }
  const std::string what =
      fmt::format("a GPU-hour of {}, {}{}", gpu, terms.term, terms.provider.empty() ? "" : " at " + terms.provider);
  if (rows.empty()) refuse_rent(gpu, terms, what);
  std::map<std::string, const Row*> last = offers(gpu, terms.term, day);
  if (!terms.provider.empty()) std::erase_if(last, [&](const auto& offer) { return offer.first != terms.provider; });
  if (last.empty()) latest(rows, day, kRentKeeps, what);  // refuses
  RentQuote out;
  for (const auto& [provider, row] : last) {
    out.observed.push_back(row->quote.usd);
    if (out.observed.size() == 1 || out.newest < row->quote.date) out.newest = row->quote.date;
    out.source += fmt::format("{}{} {} {:.2f}", out.source.empty() ? "" : "; ", provider, to_string(row->quote.date),
                              row->quote.usd);
  }
  std::sort(out.observed.begin(), out.observed.end());
  out.usd_per_hour = quantile == 0.5 ? middle(out.observed) : quantile_of_sorted(out.observed, quantile);
  std::tie(out.low_factor, out.high_factor) = rent_scatter_;
  return out;
}

void PriceBook::refuse_rent(const std::string& gpu, const RentalConfig& terms, const std::string& what) const {
  std::set<std::string> gpus, terms_of_gpu, providers;
  for (const Row& row : rents_) {
    gpus.insert(row.key);
    if (row.key != gpu) continue;
    terms_of_gpu.insert(row.detail);
    if (row.detail == terms.term) providers.insert(row.provider);
  }
  const std::string remedy = "price.model owned or amortised, or price.gpu, one price for all GPUs";
  if (terms_of_gpu.empty()) {
    throw InputError(Diagnostic{"", 0, 0, "price.rental", fmt::format("{}, of which no offer is known", gpu),
                                fmt::format("a GPU with offers: {}", fmt::join(gpus, ", ")), "", remedy});
  }
  const bool by_term = providers.empty();
  const std::set<std::string>& known = by_term ? terms_of_gpu : providers;
  const std::string wrong = by_term ? terms.term : terms.provider;
  throw InputError(Diagnostic{"", 0, 0, by_term ? "price.rental.term" : "price.rental.provider",
                              fmt::format("{}, without a price for {}", quoted(wrong), what),
                              fmt::format("one of {}", fmt::join(known, ", ")),
                              nearest_name(wrong, {known.begin(), known.end()}), remedy});
}

std::map<std::string, const PriceBook::Row*> PriceBook::offers(const std::string& gpu, const std::string& term,
                                                               const Date& day) const {
  std::map<std::string, const Row*> last;
  for (const Row& row : rents_) {
    if (row.key != gpu || row.detail != term) continue;
    const long age = day.days_since(row.quote.date);
    if (age < 0 || age > kRentKeeps) continue;
    const Row*& kept = last[row.provider];
    if (!kept || row.quote.date >= kept->quote.date) kept = &row;
  }
  return last;
}

/// On every day on which something was seen of a GPU and a term that three providers or more offered.
std::pair<double, double> PriceBook::scatter_of_rents() const {
  constexpr std::size_t kEnough = 3;
  std::set<std::tuple<std::string, std::string, std::string>> seen;  // once a year
  std::vector<double> ratios;
  for (const Row& row : rents_) {
    if (row.detail == "accounting rate") continue;
    const std::string year = to_string(row.quote.date).substr(0, 4);
    if (!seen.insert({row.key, row.detail, year}).second) continue;
    const Date end = *parse_date(year + "-12-31");
    std::vector<double> prices;
    for (const auto& [provider, offer] : offers(row.key, row.detail, end)) prices.push_back(offer->quote.usd);
    if (prices.size() < kEnough) continue;
    std::sort(prices.begin(), prices.end());
    for (const double price : prices) ratios.push_back(price / middle(prices));
  }
  if (ratios.size() < 2) return {1, 1};
  std::sort(ratios.begin(), ratios.end());
  return {quantile_of_sorted(ratios, 0.05), quantile_of_sorted(ratios, 0.95)};
}

std::vector<const PriceBook::Row*> PriceBook::server_rows(const std::string& gpu) const {
  std::vector<const Row*> servers, chips;
  for (const Row& row : hardware_) {
    if (row.key == gpu) (row.detail == "server" ? servers : chips).push_back(&row);
  }
  if (!servers.empty()) return servers;
  if (!chips.empty()) return chips;
  unknown("price", gpu, distinct(hardware_, [](const Row& row) { return row.key; }),
          "price { owned { server: \"40000 USD\" } }, or price.amortised.server");
}

namespace {

PriceQuote as_server(PriceQuote quote, bool chip) {
  if (!chip) return quote;
  quote.usd *= kServerOverChips;
  quote.source += fmt::format(", times {} for the rest of a server", kServerOverChips);
  return quote;
}

}  // namespace

PriceQuote PriceBook::server(const std::string& gpu, const Date& day) const {
  const auto rows = server_rows(gpu);
  return as_server(latest(rows, day, kHardwareKeeps, "a server with " + gpu), rows.front()->detail == "chip");
}

PriceQuote PriceBook::first_server(const std::string& gpu) const {
  const auto rows = server_rows(gpu);
  const Row* first = *std::min_element(rows.begin(), rows.end(),
                                       [](const Row* a, const Row* b) { return a->quote.date < b->quote.date; });
  return as_server(first->quote, first->detail == "chip");
}

PriceQuote PriceBook::network(FabricKind fabric, const Date& day) const {
  std::vector<const Row*> rows;
  for (const Row& row : network_) {
    if (row.key == fabric_key(fabric)) rows.push_back(&row);
  }
  // The one published estimate carries no date: it is taken from the first day of its generation on.
  return latest(rows, day, 100 * kHardwareKeeps, "a network of 400 Gb/s");
}

PriceQuote PriceBook::electricity(const Date& day) const {
  std::vector<const Row*> rows;
  for (const Row& row : site_) {
    if (row.key == "electricity") rows.push_back(&row);
  }
  return latest(rows, day, kSiteKeeps, "electricity");
}

PriceQuote PriceBook::colocation(const Date& day) const {
  std::vector<const Row*> rows;
  for (const Row& row : site_) {
    if (row.key == "colocation") rows.push_back(&row);
  }
  return latest(rows, day, kSiteKeeps, "colocation");
}

PriceQuote PriceBook::pue() const {
  const auto row = std::find_if(site_.begin(), site_.end(), [](const Row& r) { return r.key == "pue"; });
  if (row == site_.end())
    throw InputError(
        Diagnostic{"site_prices.csv", 0, 0, "what", "no row `pue`", "power of a site over its computers'", ""});
  return row->quote;
}

void PriceBook::require_class(const std::string& model_class) const {
  const auto same = [&](const TokenRow& row) { return row.model_class == model_class; };
  if (model_class.empty() || std::none_of(tokens_.begin(), tokens_.end(), same))
    unknown("class", model_class, {"reasoning", "general", "mini"}, "");
}

PriceBook::TokenIndex PriceBook::token_index(const std::string& model_class, const Date& day) const {
  require_class(model_class);
  std::map<std::string, const TokenRow*> newest;
  for (const TokenRow& row : tokens_) {
    if (row.model_class != model_class || !listed(row, day)) continue;
    const TokenRow*& last = newest[row.prices.vendor];
    if (!last || last->from <= row.from) last = &row;
  }
  if (newest.empty()) no_price("models of the class " + model_class, day, tokens_.front().from, "");
  TokenIndex index;
  double logs = 0;
  for (const auto& [vendor, row] : newest) {
    logs += std::log(row->prices.output);
    index.cheapest = index.vendors == 0 ? row->prices.output : std::min(index.cheapest, row->prices.output);
    ++index.vendors;
  }
  index.newest = std::exp(logs / index.vendors);
  return index;
}

double PriceBook::token_change(const std::string& model_class, const Date& from, const Date& to) const {
  if (!model_class.empty()) require_class(model_class);
  // A price that was cut goes on as a row of its own: "gemini-1.5-pro (cut)".
  const auto base = [](const std::string& name) { return name.substr(0, name.find(" (")); };
  double logs = 0;
  int models = 0;
  for (const TokenRow& before : tokens_) {
    const bool wanted = model_class.empty() ? !before.model_class.empty() : before.model_class == model_class;
    if (!wanted || !listed(before, from)) continue;
    const TokenRow* after = nullptr;
    for (const TokenRow& row : tokens_) {
      const bool same =
          row.prices.vendor == before.prices.vendor && base(row.prices.model) == base(before.prices.model);
      if (same && listed(row, to) && (!after || after->from < row.from)) after = &row;
    }
    if (!after) continue;
    logs += std::log(after->prices.output / before.prices.output);
    ++models;
  }
  if (models == 0) no_price("a model listed on both days", from, to, "");
  return std::exp(logs / models) - 1;
}

TokenPrices PriceBook::tokens(const std::string& vendor, const std::string& model, const Date& day) const {
  const TokenRow* nearest = nullptr;
  long distance = 0;
  for (const TokenRow& row : tokens_) {
    if (row.prices.vendor != vendor || row.prices.model != model) continue;
    if (row.from <= day && (!row.until || day < *row.until)) return row.prices;
    const long away = day < row.from ? row.from.days_since(day) : day.days_since(*row.until) + 1;
    if (!nearest || away < distance) nearest = &row, distance = away;
  }
  const std::string name = vendor + " " + model;
  if (!nearest) {
    unknown("market", name,
            distinct(tokens_, [](const TokenRow& row) { return row.prices.vendor + " " + row.prices.model; }),
            "market { input: 0.5 output: 2 }");
  }
  const bool early = day < nearest->from;
  const std::string span =
      "from " + to_string(nearest->from) + (nearest->until ? " to the day before " + to_string(*nearest->until) : "");
  no_price("tokens of " + name, day, early ? nearest->from : nearest->until->plus_days(-1), span);
}

}  // namespace flopcast
