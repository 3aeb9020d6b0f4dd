// Do routers send requests where they promise to?
#include "workloads/serving/router.h"

#include <algorithm>
#include <vector>

#include "tests/catch.h"

namespace flopcast {
namespace {

std::unique_ptr<Router> router(const char* name) { return find_router(name)->make(1); }

TEST_CASE("every router picks a replica that accepts, the same ones twice", "[workloads][serving]") {
  for (const RouterRow& row : routers()) {
    CAPTURE(row.name);
    CHECK(find_router(row.name) == &row);
    const auto first = row.make(7), second = row.make(7);
    for (unsigned accepting = 0; accepting < 16; ++accepting) {
      std::vector<ReplicaView> views(4);
      for (unsigned i = 0; i < 4; ++i) views[i] = {.outstanding = i, .accepting = (accepting >> i & 1) != 0};
      const std::size_t chosen = first->choose({}, views);
      REQUIRE(chosen == second->choose({}, views));
      if (accepting == 0) {
        REQUIRE(chosen == kNoReplica);
      } else {
        REQUIRE(views.at(chosen).accepting);
      }
    }
  }
  CHECK(find_router("nearest") == nullptr);
}

TEST_CASE("every router spreads requests over replicas that are alike", "[workloads][serving]") {
  for (const RouterRow& row : routers()) {
    CAPTURE(row.name);
    const auto chooser = row.make(3);
    std::vector<ReplicaView> views(5);
    for (int i = 0; i < 1000; ++i) {
      Request request;
      request.input_tokens = 100;
      ReplicaView& chosen = views[chooser->choose(request, views)];
      ++chosen.outstanding;
      chosen.kv_tokens += 100;
      chosen.kv_capacity_tokens = 1'000'000;
    }
    const auto [least, most] = std::ranges::minmax(views, {}, &ReplicaView::outstanding);
    CHECK(most.outstanding - least.outstanding <= 5);
  }
}

TEST_CASE("routers look at what they are named after", "[workloads][serving]") {
  std::vector<ReplicaView> views = {{.outstanding = 1, .kv_tokens = 5000, .kv_capacity_tokens = 10'000},
                                    {.outstanding = 4, .kv_tokens = 900, .kv_capacity_tokens = 1000},
                                    {.outstanding = 9, .kv_tokens = 1000, .kv_capacity_tokens = 10'000}};
  Request request;
  request.input_tokens = 6000;
  CHECK(router("least_outstanding")->choose(request, views) == 0);
  CHECK(router("least_kv")->choose(request, views) == 2);
  CHECK(router("prefix_aware")->choose(request, views) == 1);
  views[0].prefix_match_tokens = 5000;
  CHECK(router("prefix_aware")->choose(request, views) == 0);
  views[0].queued_tokens = 20'000;
  CHECK(router("prefix_aware")->choose(request, views) == 1);
}

TEST_CASE("a conversation stays with its cache until replicas are far from equally busy", "[workloads][serving]") {
  Request request;
  request.input_tokens = 1000;
  std::vector<ReplicaView> views = {{.outstanding = 2}, {.outstanding = 30, .prefix_match_tokens = 800}};
  CHECK(router("cache_aware")->choose(request, views) == 1);
  views[1].prefix_match_tokens = 200;  // too little to stay for
  CHECK(router("cache_aware")->choose(request, views) == 0);
  views[1] = {.outstanding = 70, .prefix_match_tokens = 800};
  CHECK(router("cache_aware")->choose(request, views) == 0);
}

TEST_CASE("the busier of two is never chosen by power of two choices", "[workloads][serving]") {
  const auto two = router("power_of_two");
  const std::vector<ReplicaView> views = {{.outstanding = 3}, {.outstanding = 2}, {.outstanding = 1}};
  for (int i = 0; i < 100; ++i) CHECK(two->choose({}, views) != 0);
}

}  // namespace
}  // namespace flopcast
