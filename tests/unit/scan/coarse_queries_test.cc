// Checks engine/scan/coarse_queries: codes and probes are those of each query alone, thresholds
// begin at the limit, panels hold what was packed, and a query out of range is told. Seeded,
// single-threaded. Always holds: memory of a larger request serves a smaller one.
#include "engine/scan/coarse_queries.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/scan/coarse_kernels.h"
#include "tests/support/data.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

struct Fixture {
  explicit Fixture(std::uint32_t count) : rows(shape()) {
    VectorSource source(rows.shape(), DataKind::normal, 3);
    rows.add(source.next_row(), IdView(std::uint64_t{1}), 8);
    blocks = rows.scan_blocks();
    for (std::uint32_t q = 0; q < count; ++q) {
      queries.emplace_back(rows.shape(), source.next_row());
      views.push_back(queries.back().view());
    }
    request.shape = rows.shape();
    request.blocks = std::span(blocks).first(1);
    request.queries = views;
  }
  static RowShape shape() {
    RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, 70);
    shape.coarse = true;
    return shape;
  }
  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<TestQuery> queries;
  std::vector<ScanQuery> views;
  ScanRequest request;
  CoarseQueries subject;
};

TEST_CASE("coarse queries: codes and probes are those of each query alone", "[scan]") {
  Fixture f(5);
  REQUIRE(f.subject.prepare(f.request));
  CHECK(f.subject.stride() == f.blocks[0].block->coarse()->stride());
  for (std::uint32_t q = 0; q < 5; ++q) {
    std::vector<std::int8_t> codes(f.subject.stride(), 0);
    const CoarseQuery alone = make_coarse_query(Metric::l2, f.views[q].f32, 70, codes.data());
    REQUIRE(std::memcmp(codes.data(), f.subject.codes(q), codes.size()) == 0);
    const CoarseProbe probe = make_probe(Metric::l2, alone);
    CHECK(f.subject.probe(q).limit.scale == probe.limit.scale);
    CHECK(f.subject.probe(q).limit.square == probe.limit.square);
  }
}

TEST_CASE("coarse queries: a threshold begins at the limit, never below, and sets the reach",
          "[scan]") {
  Fixture f(3);
  f.views[0].limit = 0.1;  // not a float
  f.views[1].limit = 2.0;
  REQUIRE(f.subject.prepare(f.request));
  CHECK(static_cast<double>(f.subject.threshold(0).get()) >= 0.1);
  CHECK(static_cast<double>(f.subject.threshold(0).get()) < 0.1001);
  CHECK(f.subject.threshold(1).get() == 2.0f);
  CHECK(std::isinf(f.subject.threshold(2).get()));
  f.subject.threshold(2).lower_to(4.0f);
  CHECK(f.subject.limit(2).reach == reach_of(f.subject.probe(2), 4.0f));
  REQUIRE(f.subject.prepare(f.request));
  CHECK(std::isinf(f.subject.threshold(2).get()));
}

TEST_CASE("coarse queries: groups of several queries have panels, one alone has none", "[scan]") {
  Fixture f(20);
  REQUIRE(f.subject.prepare(f.request));
  const std::vector<Group> groups{{0, 17, 0}, {17, 1, 0}, {18, 2, 0}};
  f.subject.pack(groups);
  const std::size_t stride = f.subject.stride();
  std::vector<std::int8_t> expected(32 * stride);
  pack_queries(f.subject.codes(0), stride, 17, expected.data());
  CHECK(std::memcmp(expected.data(), f.subject.panels(0), expected.size()) == 0);
  expected.resize(16 * stride);
  pack_queries(f.subject.codes(18), stride, 2, expected.data());
  CHECK(std::memcmp(expected.data(), f.subject.panels(2), expected.size()) == 0);
}

TEST_CASE("coarse queries: one that is out of range is told", "[scan]") {
  Fixture f(2);
  std::vector<float> enormous(128, std::numeric_limits<float>::max());
  f.views[1].f32 = enormous.data();
  CHECK_FALSE(f.subject.prepare(f.request));
}

}  // namespace
