// Checks engine/scan/rescore: the total order, the certificate and its edge, limits, and that
// hopeless candidates are not scored. Single-threaded.
// Part of unit_scan, which links that layer and what is below it, nothing above.
#include "engine/scan/rescore.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <limits>

namespace {

using namespace vecserve;
using namespace vecserve::engine;

constexpr double kInf = std::numeric_limits<double>::infinity();

// One block of one-dimensional u8 rows; the query is 0, so the l1 distance is the value.
struct Rows {
  explicit Rows(const std::vector<std::uint8_t>& values, const std::vector<RowId>& ids)
      : shape(RowShape::make(Metric::l1, ScalarType::u8, 1)), block(shape) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      static_cast<void>(
          block.append(i, IdView(ids[i]), reinterpret_cast<const std::byte*>(&values[i]), 0));
    }
    blocks.push_back({&block, block.size()});
    query.f32 = zeros;
    query.want = 1;
  }
  // Candidates of all rows with bounds `slack` below their distance.
  QueryCandidates candidates(double floor, double slack) const {
    QueryCandidates out;
    out.floor = floor;
    for (std::uint32_t i = 0; i < block.size(); ++i) {
      out.list.push_back({std::to_integer<int>(*block.vector(i)) - slack, 0, i});
    }
    return out;
  }
  alignas(64) float zeros[16] = {};
  RowShape shape;
  RowBlock block;
  std::vector<ScanBlock> blocks;
  ScanQuery query;
};

TEST_CASE("rescore: distance decides, then the id, numbers before strings", "[scan]") {
  const Rows rows({7, 3, 7, 3, 7}, {RowId("b"), RowId(9), RowId("a"), RowId("z"), RowId(50)});
  QueryCandidates candidates = rows.candidates(kInf, 0.5);
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  CHECK(rescore(rows.shape, rows.blocks, rows.query, 4, candidates, spare, best).certified);
  REQUIRE(best.size() == 4);
  CHECK(best[0].position == 1);
  CHECK(best[1].position == 3);
  CHECK(best[2].position == 4);
  CHECK(best[3].position == 2);
  CHECK(best[3].distance == 7.0);
}

TEST_CASE("rescore: certified only when the floor is above the last distance", "[scan]") {
  const Rows rows({1, 2, 3, 4}, {RowId(1), RowId(2), RowId(3), RowId(4)});
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  for (const double floor : {2.0, 3.0, 3.0000001}) {
    CAPTURE(floor);
    QueryCandidates candidates = rows.candidates(floor, 0.1);
    const Decision decision =
        rescore(rows.shape, rows.blocks, rows.query, 3, candidates, spare, best);
    CHECK(decision.certified == (floor > 3.0));
    CHECK(best.size() == 3);
    if (!decision.certified) CHECK(decision.limit == 3.0);
  }
}

TEST_CASE("rescore: fewer than k are exact only when nothing was left out", "[scan]") {
  const Rows rows({1, 2}, {RowId(1), RowId(2)});
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  QueryCandidates all = rows.candidates(kInf, 0.0);
  CHECK(rescore(rows.shape, rows.blocks, rows.query, 5, all, spare, best).certified);
  CHECK(best.size() == 2);
  QueryCandidates some = rows.candidates(10.0, 0.0);
  const Decision decision = rescore(rows.shape, rows.blocks, rows.query, 5, some, spare, best);
  CHECK_FALSE(decision.certified);
  CHECK(decision.limit == kInf);
}

TEST_CASE("rescore: rows beyond the limit are left out, the one on it is not", "[scan]") {
  Rows rows({1, 2, 3, 4}, {RowId(1), RowId(2), RowId(3), RowId(4)});
  rows.query.limit = 3.0;
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  QueryCandidates candidates = rows.candidates(kInf, 2.0);
  CHECK(rescore(rows.shape, rows.blocks, rows.query, 10, candidates, spare, best).certified);
  CHECK(best.size() == 3);
}

TEST_CASE("rescore: what cannot make it is not scored", "[scan]") {
  const Rows rows({1, 2, 3, 4}, {RowId(1), RowId(2), RowId(3), RowId(4)});
  QueryCandidates candidates = rows.candidates(kInf, 0.0);
  // Scoring this one would read far outside the block; its bound says that nobody should.
  candidates.list.push_back({2.5, 0, UINT32_MAX});
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  CHECK(rescore(rows.shape, rows.blocks, rows.query, 2, candidates, spare, best).certified);
  CHECK(best.size() == 2);
}

TEST_CASE("rescore: few are scored beyond those that belong to the answer, and they are counted",
          "[scan]") {
  std::vector<std::uint8_t> values(250);
  std::vector<RowId> ids;
  for (int i = 0; i < 250; ++i) {
    values[static_cast<std::size_t>(i)] = static_cast<std::uint8_t>(i);
    ids.emplace_back(i);
  }
  const Rows rows(values, ids);
  QueryCandidates candidates = rows.candidates(kInf, 0.5);
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  const Decision decision =
      rescore(rows.shape, rows.blocks, rows.query, 100, candidates, spare, best);
  CHECK(decision.certified);
  REQUIRE(best.size() == 100);
  CHECK(best.back().position == 99);
  CHECK(decision.scored >= 100);
  CHECK(decision.scored <= 112);
  candidates = rows.candidates(kInf, 0.5);
  // Of these the bounds say nothing.
  for (std::size_t i = 150; i < 250; ++i) candidates.list[i].lower = -kInf;
  const Decision all = rescore(rows.shape, rows.blocks, rows.query, 100, candidates, spare, best);
  CHECK(best.back().position == 99);
  CHECK(all.scored >= 200);
  CHECK(all.scored <= 220);
}

}  // namespace
