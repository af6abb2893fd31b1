// Checks engine/scan/bound_list: the threshold, what is dropped, sharing it, and the floor.
// Rows come from a seed and are judged by sorting all of them. Single-threaded.
// Always holds: no row of the answer is ever dropped.
#include "engine/scan/bound_list.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>

namespace {

using namespace vecserve::engine;

constexpr double kInf = std::numeric_limits<double>::infinity();

QueryCandidates run(const std::vector<BoundList::Entry>& entries, std::uint32_t want,
                    double limit = kInf) {
  SharedThreshold threshold;
  threshold.reset(static_cast<float>(limit));
  BoundList list;
  list.reset(want);
  for (const BoundList::Entry& entry : entries) {
    if (entry.lower <= threshold.get()) list.add(entry);
    list.tighten(threshold);
  }
  QueryCandidates out;
  list.finish(threshold, limit, out);
  return out;
}

std::vector<BoundList::Entry> random_entries(std::uint32_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> spread(0.0f, 1.0f);
  std::vector<BoundList::Entry> entries;
  for (std::uint32_t i = 0; i < count; ++i) {
    const float middle = spread(random);
    const float slack = 0.05f * spread(random);
    entries.push_back({middle - slack, middle + slack, 0, i});
  }
  return entries;
}

}  // namespace

TEST_CASE("bound list: fewer rows than wanted are all kept and the floor is infinite", "[scan]") {
  const QueryCandidates out = run(random_entries(7, 1), 8);
  CHECK(out.list.size() == 7);
  CHECK(out.floor == kInf);
}

TEST_CASE("bound list: nothing at all", "[scan]") {
  const QueryCandidates out = run({}, 1);
  CHECK(out.list.empty());
  CHECK(out.floor == kInf);
}

TEST_CASE("bound list: what could be among the wanted is kept, the rest is above the floor",
          "[scan]") {
  for (std::uint32_t seed = 0; seed < 50; ++seed) {
    for (const std::uint32_t want : {1u, 2u, 10u, 100u}) {
      CAPTURE(seed, want);
      const auto entries = random_entries(3'000, seed);
      std::vector<float> uppers;
      for (const auto& entry : entries) uppers.push_back(entry.upper);
      std::nth_element(uppers.begin(), uppers.begin() + (want - 1), uppers.end());
      const float threshold = uppers[want - 1];
      const QueryCandidates out = run(entries, want);
      CHECK(out.floor == std::nextafter(static_cast<double>(threshold), kInf));
      std::vector<bool> listed(entries.size());
      for (const Candidate& candidate : out.list) {
        listed[candidate.position] = true;
        CHECK(candidate.lower == static_cast<double>(entries[candidate.position].lower));
      }
      for (std::size_t i = 0; i < entries.size(); ++i) {
        REQUIRE(listed[i] == (entries[i].lower <= threshold));
      }
    }
  }
}

TEST_CASE("bound list: settled, the threshold is the want-th smallest upper bound", "[scan]") {
  for (const std::uint32_t want : {1u, 64u, 65u, 185u}) {
    for (const bool guessed : {false, true}) {
      CAPTURE(want, guessed);
      const auto entries = random_entries(740, 5);
      SharedThreshold threshold;
      BoundList list;
      list.reset(want, guessed);
      std::vector<float> uppers;
      for (const auto& entry : entries) {
        uppers.push_back(entry.upper);
        list.add(entry);
        list.tighten(threshold);
      }
      list.settle(threshold);
      std::sort(uppers.begin(), uppers.end());
      CHECK(threshold.get() == uppers[want - 1]);
    }
  }
}

TEST_CASE("bound list: within a limit that is never tightened the floor stays infinite", "[scan]") {
  const auto entries = random_entries(500, 3);
  const QueryCandidates out = run(entries, UINT32_MAX, 0.25);
  CHECK(out.floor == kInf);
  const auto within = std::count_if(entries.begin(), entries.end(),
                                    [](const auto& entry) { return entry.lower <= 0.25f; });
  CHECK(out.list.size() == static_cast<std::size_t>(within));
}

TEST_CASE("bound list: equal bounds at the threshold are all kept", "[scan]") {
  std::vector<BoundList::Entry> entries;
  for (std::uint32_t i = 0; i < 1'000; ++i) entries.push_back({2.0f, 2.0f, 0, i});
  const QueryCandidates out = run(entries, 5);
  CHECK(out.list.size() == 1'000);
  CHECK(out.floor > 2.0);
}

TEST_CASE("bound list: lists that share a threshold and are merged lose nothing", "[scan]") {
  const auto entries = random_entries(4'000, 9);
  SharedThreshold threshold;
  threshold.reset(std::numeric_limits<float>::infinity());
  BoundList lists[3];
  for (BoundList& list : lists) list.reset(20);
  for (const auto& entry : entries) {
    BoundList& mine = lists[entry.position % 3];
    if (entry.lower <= threshold.get()) mine.add(entry);
    mine.tighten(threshold);
  }
  lists[0].merge(lists[1]);
  lists[0].merge(lists[2]);
  QueryCandidates merged;
  lists[0].finish(threshold, kInf, merged);
  const QueryCandidates alone = run(entries, 20);
  CHECK(merged.list.size() == alone.list.size());
  CHECK(merged.floor == alone.floor);
}

TEST_CASE("shared threshold: falls and never rises", "[scan]") {
  SharedThreshold threshold;
  threshold.reset(3.0f);
  threshold.lower_to(5.0f);
  CHECK(threshold.get() == 3.0f);
  threshold.lower_to(-1.0f);
  CHECK(threshold.get() == -1.0f);
}
