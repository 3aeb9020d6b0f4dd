// Do texts mean what people mean by them, and is everything else refused with words that help?
#include "scenarios/read/text/quantity.h"

#include "tests/catch.h"

namespace flopcast {
namespace {

struct Good {
  const char* text;
  Dimension dimension;
  double value;
};

TEST_CASE("quantities are exact in SI base units") {
  const Good good = GENERATE(
      Good{"14.8T", Dimension::count, 14.8e12}, Good{"469B", Dimension::count, 469e9},
      Good{"62.9 B tokens", Dimension::count, 62.9e9}, Good{"1000", Dimension::count, 1000},
      Good{"2.5e3", Dimension::count, 2500}, Good{"64 MiB", Dimension::data, 67108864},
      Good{"4 KiB", Dimension::data, 4096}, Good{"80 GB", Dimension::data, 80e9}, Good{"1 kB", Dimension::data, 1000},
      Good{"512 B", Dimension::data, 512}, Good{"3.35 TB/s", Dimension::data_rate, 3.35e12},
      Good{"400 Gb/s", Dimension::data_rate, 50e9}, Good{"400 Gbit/s", Dimension::data_rate, 50e9},
      Good{"400Gbps", Dimension::data_rate, 50e9}, Good{"50 GB/s", Dimension::data_rate, 50e9},
      Good{"1 GiB/s", Dimension::data_rate, 1073741824}, Good{"200 GB/s per direction", Dimension::link_rate, 200e9},
      Good{"400 GB/s both directions", Dimension::link_rate, 200e9},
      Good{"400 Gb/s per direction", Dimension::link_rate, 50e9},
      Good{"989.4 TFLOPS", Dimension::compute_rate, 989.4e12}, Good{"1 PFLOP/s", Dimension::compute_rate, 1e15},
      Good{"1979 TOPS", Dimension::compute_rate, 1979e12}, Good{"1830 MHz", Dimension::frequency, 1830e6},
      Good{"3.7 us", Dimension::time, 3.7e-6}, Good{"3.7 µs", Dimension::time, 3.7e-6},
      Good{"30 min", Dimension::time, 1800}, Good{"2 h", Dimension::time, 7200}, Good{"1 d", Dimension::time, 86400},
      Good{"700 W", Dimension::power, 700}, Good{"4.6 kW", Dimension::power, 4600},
      Good{"33750 USD", Dimension::money, 33750}, Good{"2 USD/h", Dimension::money_rate, 2.0 / 3600},
      Good{"2 USD/GPU-hour", Dimension::money_rate, 2.0 / 3600}, Good{"814 mm2", Dimension::area, 814e-6},
      Good{"1.97e-5 per GPU-hour", Dimension::failure_rate, 1.97e-5 / 3600});
  INFO(good.text);
  const auto value = parse_quantity(good.text, good.dimension);
  REQUIRE(std::holds_alternative<double>(value));
  CHECK(std::get<double>(value) == good.value);
}

TEST_CASE("a pair of notations means the same rate") {
  CHECK(quantity("400 Gb/s", Dimension::data_rate) == quantity("50 GB/s", Dimension::data_rate));
  CHECK(quantity("900 GB/s both directions", Dimension::link_rate) ==
        quantity("450 GB/s per direction", Dimension::link_rate));
}

struct Bad {
  const char* text;
  Dimension dimension;
  const char* found;
  const char* suggestion;
};

TEST_CASE("what is no quantity of the dimension is refused with its reason") {
  const Bad bad = GENERATE(
      Bad{"400", Dimension::data_rate, "\"400\" without a unit", ""},
      Bad{"80 Gb", Dimension::data, "\"80 Gb\", which is in bits (b)", "80 GB if bytes were meant, 10 GB if bits were"},
      Bad{"400 GB/s", Dimension::link_rate, "\"400 GB/s\", which does not say whether it counts one direction or both",
          "400 GB/s per direction or 400 GB/s both directions"},
      Bad{"400 per direction", Dimension::link_rate, "\"400\" without a unit", ""},
      Bad{"700 GB", Dimension::power, "\"700 GB\", which is an amount of data in bytes", ""},
      Bad{"3.35 TB", Dimension::data_rate, "\"3.35 TB\", which is an amount of data in bytes", ""},
      Bad{"2 USD", Dimension::money_rate, "\"2 USD\", which is an amount of money", ""},
      Bad{"3 usec", Dimension::time, "\"3 usec\" with the unknown unit \"usec\"", ""},
      Bad{"989 TFLOP", Dimension::compute_rate, "\"989 TFLOP\" with the unknown unit \"TFLOP\"", "989 TFLOPS"},
      Bad{"", Dimension::data, "\"\"", ""}, Bad{"GB", Dimension::data, "\"GB\"", ""},
      Bad{"nan GB", Dimension::data, "\"nan GB\"", ""}, Bad{"inf s", Dimension::time, "\"inf s\"", ""},
      Bad{"1e999 GB", Dimension::data, "\"1e999 GB\"", ""},
      Bad{"0x10 GB", Dimension::data, "\"0x10 GB\" with the unknown unit \"x10 GB\"", ""},
      Bad{"1,000 GB", Dimension::data, "\"1,000 GB\" with the unknown unit \",000 GB\"", ""},
      Bad{"--5 GB", Dimension::data, "\"--5 GB\"", ""});
  INFO(bad.text);
  const auto value = parse_quantity(bad.text, bad.dimension);
  REQUIRE(std::holds_alternative<QuantityFault>(value));
  const QuantityFault& fault = std::get<QuantityFault>(value);
  CHECK(fault.found == bad.found);
  if (*bad.suggestion) CHECK(fault.suggestion + fault.remedy == bad.suggestion);
  CHECK(fault.expected.find("such as") != std::string::npos);
}

TEST_CASE("the example in every description is itself a quantity of the dimension") {
  for (int d = 0; d <= static_cast<int>(Dimension::failure_rate); ++d) {
    const auto dimension = static_cast<Dimension>(d);
    const std::string text = describe(dimension);
    const auto from = text.find('"') + 1;
    INFO(text);
    CHECK(std::holds_alternative<double>(parse_quantity(text.substr(from, text.rfind('"') - from), dimension)));
  }
}

}  // namespace
}  // namespace flopcast
