// Checks engine/scan/topk against a full sort: what is kept, the floor, ties, limits and merging.
// Single-threaded, seeded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/topk.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace {

using namespace vecserve::engine;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

void feed(TopK& top, const std::vector<float>& lower, std::uint32_t block) {
  for (std::size_t first = 0; first < lower.size(); first += kTileRows) {
    float tile[kTileRows];
    for (std::size_t r = 0; r < kTileRows; ++r) {
      tile[r] = first + r < lower.size() ? lower[first + r] : kNan;
    }
    top.add_tile(tile, block, static_cast<std::uint32_t>(first));
  }
}

// The floor is right, the smallest are there, and what is listed was added with that bound.
void check(const QueryCandidates& out, const std::vector<float>& added, std::size_t want) {
  std::vector<bool> listed(added.size());
  for (const Candidate& c : out.list) {
    REQUIRE(c.position < added.size());
    REQUIRE_FALSE(listed[c.position]);
    listed[c.position] = true;
    REQUIRE(c.lower == static_cast<double>(added[c.position]));
  }
  REQUIRE(out.list.size() >= std::min(want, added.size()));
  REQUIRE(out.list.size() <= 2 * want + 512);
  for (std::size_t i = 0; i < added.size(); ++i) {
    if (!listed[i]) REQUIRE(static_cast<double>(added[i]) >= out.floor);
  }
  std::vector<float> sorted = added;
  std::sort(sorted.begin(), sorted.end());
  for (const Candidate& c : out.list) {
    if (want <= sorted.size()) REQUIRE(c.lower <= static_cast<double>(sorted[want - 1]));
  }
  if (out.list.size() == added.size()) REQUIRE(out.floor == kInf);
}

TEST_CASE("topk: keeps the smallest of any number of rows", "[scan]") {
  std::mt19937 random(1);
  for (const std::size_t count : {0u, 1u, 63u, 64u, 65u, 300u, 5000u}) {
    for (const std::uint32_t want : {1u, 10u, 64u, 1000u}) {
      for (const std::uint32_t values : {2u, 50u, 1u << 30}) {
        CAPTURE(count, want, values);
        std::vector<float> added(count);
        for (float& lower : added) lower = static_cast<float>(random() % values);
        TopK top;
        top.reset(want, kInf);
        feed(top, added, 0);
        QueryCandidates out;
        top.finish(out);
        check(out, added, want);
      }
    }
  }
}

TEST_CASE("topk: the floor is the smallest bound that was left out", "[scan]") {
  std::vector<float> added(1000);
  for (std::size_t i = 0; i < added.size(); ++i) added[i] = static_cast<float>((i * 617) % 1000);
  TopK top;
  top.reset(10, kInf);
  feed(top, added, 0);
  QueryCandidates out;
  top.finish(out);
  CHECK(out.list.size() == 10);
  CHECK(out.floor == 10.0);
}

TEST_CASE("topk: a few ties with the last one wanted are kept, so that they can be certified",
          "[scan]") {
  std::vector<float> added(2000, 9.0f);
  for (std::size_t i = 0; i < 30; ++i) added[i * 60] = 5.0f;
  TopK top;
  top.reset(10, kInf);
  feed(top, added, 0);
  QueryCandidates out;
  top.finish(out);
  CHECK(out.list.size() == 30);
  CHECK(out.floor == 9.0);
}

TEST_CASE("topk: more ties than there is room for make the floor equal to them", "[scan]") {
  TopK top;
  top.reset(10, kInf);
  feed(top, std::vector<float>(5000, 3.0f), 0);
  QueryCandidates out;
  top.finish(out);
  CHECK(out.list.size() >= 10);
  CHECK(out.floor == 3.0);
}

TEST_CASE("topk: rows beyond the limit go without touching the floor", "[scan]") {
  TopK top;
  top.reset(1000, 4.5);
  feed(top, {1, 2, 3, 4, 5, 6, 7}, 0);
  QueryCandidates out;
  top.finish(out);
  CHECK(out.list.size() == 4);
  CHECK(out.floor == kInf);
  // A limit between two floats must not lose the upper one's neighbour below.
  const double limit = static_cast<double>(1.1f) + 1e-12;
  top.reset(1000, limit);
  feed(top, {1.1f}, 0);
  top.finish(out);
  CHECK(out.list.size() == 1);
}

TEST_CASE("topk: bounds of minus infinity are kept or lower the floor", "[scan]") {
  constexpr float kMinus = -std::numeric_limits<float>::infinity();
  TopK top;
  top.reset(10, kInf);
  std::vector<float> added(700, kMinus);
  added.resize(900, 1.0f);
  feed(top, added, 0);
  QueryCandidates out;
  top.finish(out);
  CHECK(out.list.size() >= 10);
  CHECK(out.floor == -kInf);
}

TEST_CASE("topk: merging workers gives what one would have", "[scan]") {
  std::mt19937 random(2);
  std::vector<float> all(6000);
  for (float& lower : all) lower = static_cast<float>(random() % 100'000);
  TopK workers[3];
  for (std::uint32_t w = 0; w < 3; ++w) {
    workers[w].reset(20, kInf);
    std::vector<float> share(all.size(), kNan);
    for (std::size_t i = w; i < all.size(); i += 3) share[i] = all[i];
    feed(workers[w], share, 0);
  }
  workers[0].merge(workers[1]);
  workers[0].merge(workers[2]);
  QueryCandidates out;
  workers[0].finish(out);
  check(out, all, 20);
}

}  // namespace
