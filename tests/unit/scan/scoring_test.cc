// Checks engine/scan/scoring: which candidates come first, and the order of answers of any number.
// Single-threaded; rows come from a seed. Comes before rescore_test, which holds the certificate.
// Always holds: the order is that of sorting by distance, then id.
#include "engine/scan/scoring.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <limits>
#include <utility>

#include "tests/support/dice.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;

// One block of rows of one coordinate, which is the l2 distance's root from the query at 0.
struct Line {
  explicit Line(const std::vector<float>& values)
      : shape(RowShape::make(Metric::l2, ScalarType::f32, 1)), block(shape) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const RowId id(static_cast<std::uint64_t>(i * 7919 % 10'007));
      static_cast<void>(
          block.append(i, IdView(id), reinterpret_cast<const std::byte*>(&values[i]), 0));
      candidates.list.push_back(
          {double{values[i]} * double{values[i]}, 0, static_cast<std::uint32_t>(i)});
    }
    blocks.push_back({&block, block.size()});
    query.f32 = zeros;
    query.limit = std::numeric_limits<double>::infinity();
  }

  void check(std::uint32_t k) {
    CAPTURE(k);
    QueryCandidates mine = candidates;
    std::vector<Scored> best;
    std::vector<Candidate> spare;
    Scoring scoring(shape, blocks, query, k, mine, best);
    scoring.score(scoring.choose_first(spare));
    CHECK(scoring.finish().certified);
    const auto before = [this](const Candidate& a, const Candidate& b) {
      if (a.lower != b.lower) return a.lower < b.lower;
      return block.id(a.position) < block.id(b.position);
    };
    std::vector<Candidate> sorted = candidates.list;
    std::sort(sorted.begin(), sorted.end(), before);
    REQUIRE(best.size() == std::min<std::size_t>(k, sorted.size()));
    for (std::size_t i = 0; i < best.size(); ++i) REQUIRE(best[i].position == sorted[i].position);
  }

  alignas(64) float zeros[16] = {};
  RowShape shape;
  RowBlock block;
  std::vector<ScanBlock> blocks;
  ScanQuery query;
  QueryCandidates candidates;
};

TEST_CASE("scoring: answers come by distance and id, few and many, with ties and far ones",
          "[scan]") {
  const std::uint64_t seed = 9;
  CAPTURE(seed);
  test::Dice dice(seed);
  for (const std::uint64_t spread : {2U, 50U, 1'000'000U}) {
    std::vector<float> values(700);
    for (float& value : values) value = static_cast<float>(dice.below(spread));
    values[17] = 1e15f;
    Line line(values);
    for (const std::uint32_t k : {1U, 10U, 127U, 128U, 500U, 690U, 700U, 9'000U}) line.check(k);
  }
  Line alike(std::vector<float>(300, 3.0f));
  alike.check(200);
  Line(std::vector<float>(300, 3e38f)).check(250);
}

TEST_CASE("scoring: the k least bounds come first, or all when they are hardly more", "[scan]") {
  std::vector<float> values(100);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(99 - i);
  const Line line(values);
  for (const auto& [k, first] : {std::pair{10U, 10U}, {85U, 85U}, {86U, 100U}, {200U, 100U}}) {
    QueryCandidates mine = line.candidates;
    std::vector<Scored> best;
    std::vector<Candidate> spare;
    Scoring scoring(line.shape, line.blocks, line.query, k, mine, best);
    const auto chosen = scoring.choose_first(spare);
    REQUIRE(chosen.size() == first);
    for (const Candidate& candidate : chosen) CHECK(candidate.position >= 100 - first);
  }
}

}  // namespace
