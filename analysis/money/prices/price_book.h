// Dated prices: what was offered, sold or charged on a day. Read from analysis/data/money/, each row with its
// source.
//
// A price holds from its own day until the next one of its kind, and no longer than its kind keeps: rents a
// year, electricity and colocation two, hardware three. A day without a price is an error that offers the
// nearest day with one.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "hwmodels/fabric/cluster.h"
#include "scenarios/read/libraries/libraries.h"
#include "scenarios/read/text/date.h"
#include "scenarios/resolve/money.h"

namespace flopcast {

/// A price on a day.
struct PriceQuote {
  double usd = 0;
  Date date;  ///< of the observation
  std::string source;
  bool confirmed = true;
};

/// The rents on offer on a day: the last observation of each provider within a year.
struct RentQuote {
  double usd_per_hour = 0;       ///< the middle one, or the quantile asked for
  std::vector<double> observed;  ///< sorted
  Date newest;                   ///< day of the last of them
  std::string source;            ///< every provider with its day and its price
  /// How far a single offer may lie from the market: nine in ten offers of one GPU and term, over all GPUs and days,
  /// lie between these times their middle one.
  double low_factor = 1, high_factor = 1;
};

struct TokenPrices {
  std::string vendor, model, tier;
  double input = 0, output = 0;  ///< USD per million tokens
  std::optional<double> cached;  ///< none: cached tokens cost as others do
  std::string source;
  bool confirmed = true;
};

class PriceBook {
 public:
  /// @throws InputError when a table is malformed.
  static PriceBook load(const Libraries& libraries);

  // Each @throws InputError with the nearest day, or the nearest name.
  /// @param quantile of the offers, from 0 to 1.
  RentQuote rent(const std::string& gpu, const RentalConfig& terms, const Date& day, double quantile = 0.5) const;
  /// A GPU's share of its server: a server's price, or a chip's with the usual overhead of a server.
  PriceQuote server(const std::string& gpu, const Date& day) const;
  /// The first price of a server with this GPU.
  PriceQuote first_server(const std::string& gpu) const;
  /// What output tokens of a class of models ("reasoning", "general", "mini") cost on a day, USD per million, as two
  /// indices: of each vendor the model that came last, as a geometric mean over vendors; and the cheapest of them.
  /// @throws InputError for an unknown class, and for a day before its first price.
  struct TokenIndex {
    double newest = 0, cheapest = 0;
    int vendors = 0;
  };
  TokenIndex token_index(const std::string& model_class, const Date& day) const;
  /// By how much the price of the same models changed between two days, all that were listed on both, any class where
  /// that is empty: their geometric mean less one. @throws InputError when there is none.
  double token_change(const std::string& model_class, const Date& from, const Date& to) const;
  PriceQuote network(FabricKind fabric, const Date& day) const;
  PriceQuote electricity(const Date& day) const;  ///< per kWh
  PriceQuote colocation(const Date& day) const;   ///< per kW and month
  PriceQuote pue() const;  ///< no price: power of a site over that of its computers, where nobody states it
  TokenPrices tokens(const std::string& vendor, const std::string& model, const Date& day) const;

 private:
  struct Row {
    std::string key;  ///< what it is the price of
    std::string detail, provider;
    PriceQuote quote;
  };
  struct TokenRow {
    TokenPrices prices;
    std::string model_class;
    Date from;
    std::optional<Date> until;
  };
  PriceQuote latest(const std::vector<const Row*>& rows, const Date& day, long keeps_days,
                    const std::string& what) const;
  bool listed(const TokenRow& row, const Date& day) const {
    return row.from <= day && (!row.until || day < *row.until);
  }
  /// The last offer of each provider within a year before the day.
  std::map<std::string, const Row*> offers(const std::string& gpu, const std::string& term, const Date& day) const;
  [[noreturn]] void refuse_rent(const std::string& gpu, const RentalConfig& terms, const std::string& what) const;
  std::pair<double, double> scatter_of_rents() const;
  void require_class(const std::string& model_class) const;
  std::vector<const Row*> server_rows(const std::string& gpu) const;

  std::vector<Row> rents_, hardware_, network_, site_;
  std::vector<TokenRow> tokens_;
  std::pair<double, double> rent_scatter_{1, 1};
};

/// The day an error is about, when a scenario states none. @throws InputError naming --date.
Date required_date(const std::optional<Date>& date, const std::string& what);

}  // namespace flopcast
