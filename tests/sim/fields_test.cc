// Does a description cover its struct, and is what follows from it right?
#include "sim/base/fields.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/base/units.h"
#include "tests/catch.h"

namespace flopcast {

struct Inner {
  int one = 1;
  std::optional<double> two;
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("one", &Inner::one, {"group"});
    field("two", &Inner::two, {"group"});
  }
};

struct Whole {
  std::string text;
  Inner inner;
  std::vector<Inner> list;
  std::variant<int, std::string> either;
  std::shared_ptr<const Inner> shared;
  std::map<std::string, int> unused;
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("text", &Whole::text, {"group"});
    field("inner", &Whole::inner);
    field("list", &Whole::list, {"group"});
    field("either", &Whole::either, {"group"});
    field("shared", &Whole::shared, {"group"});
    field.aside(&Whole::unused, "text");
  }
};

// What somebody leaves behind who adds a member and stops there.
struct Forgetful {
  int described = 0;
  std::optional<Seconds> forgotten;
  template <class Visitor>
  static constexpr void describe(Visitor& field) {
    field("described", &Forgetful::described, {"group"});
  }
};

namespace {

TEST_CASE("members are counted, whatever their types", "[sim]") {
  STATIC_REQUIRE(member_count<Inner>() == 2);
  STATIC_REQUIRE(member_count<Whole>() == 6);
  STATIC_REQUIRE(describes_every_member<Inner>());
  STATIC_REQUIRE(describes_every_member<Whole>());
}

TEST_CASE("a struct with a member that is not described is found out", "[sim]") {
  STATIC_REQUIRE(member_count<Forgetful>() == 2);
  STATIC_REQUIRE_FALSE(describes_every_member<Forgetful>());  // for_each_field, and so ==, does not compile
}

TEST_CASE("structs are equal when all their fields are", "[sim]") {
  Whole a, b;
  CHECK(a == b);
  const auto differs = [&](auto change) {
    Whole changed = a;
    change(changed);
    return changed != a;
  };
  CHECK(differs([](Whole& w) { w.text = "x"; }));
  CHECK(differs([](Whole& w) { w.inner.two = 0; }));
  CHECK(differs([](Whole& w) { w.list.emplace_back(); }));
  CHECK(differs([](Whole& w) { w.either = "x"; }));
  CHECK(differs([](Whole& w) { w.shared = std::make_shared<const Inner>(); }));
  a.shared = std::make_shared<const Inner>();
  b.shared = std::make_shared<const Inner>();
  CHECK(a == b);  // by what it holds
}

}  // namespace
}  // namespace flopcast
