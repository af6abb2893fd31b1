// Checks engine/scan/first_threshold: what is proven holds, what is guessed leaves enough rows and
// not many more, and nothing is guessed where it does not pay. And in coarse_scanner: a guess that
// was too low is made good. Seeded, single-threaded. Always holds: judged by brute force.
#include "engine/scan/first_threshold.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <limits>
#include <random>

#include "engine/scan/coarse_scanner.h"
#include "engine/scan/reference.h"
#include "tests/support/data.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 80;
constexpr std::uint32_t kRows = 40'000;
constexpr std::uint64_t kSeed = 20'717;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

RowShape shape_here() {
  RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  shape.coarse = true;
  return shape;
}

// Rows that differ along sixteen coordinates and hardly along the others. near(r) says which of
// them lie close to the query, which is zero.
struct Fixture {
  template <typename Near>
  explicit Fixture(Near&& near) : rows(shape_here()) {
    std::mt19937 random(kSeed);
    std::normal_distribution<float> normal;
    std::vector<float> vector(kDim);
    std::vector<std::byte> bytes(rows.shape().row_bytes);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      const float size = near(r) ? 0.01f : 1.0f;
      for (std::uint32_t i = 0; i < kDim; ++i) {
        vector[i] = size * (i < 16 ? 3.0f : 0.05f) * normal(random);
      }
      std::memcpy(bytes.data(), vector.data(), bytes.size());
      rows.add(bytes, IdView(std::uint64_t{r}), 0);
      const TestQuery zero(rows.shape(), std::vector<std::byte>(bytes.size()));
      distances.push_back(reference_distance(rows.shape(), zero.vector(), bytes.data()));
    }
    rows.add(bytes, IdView(std::uint64_t{kRows}), 1);  // a last block, which has no sketch
    blocks = rows.scan_blocks();
    sketches = make_sketches(rows.shape(), blocks);
    blocks.pop_back();
    bits = rows.all_bits();
    bits.pop_back();
    masks.push_back(make_mask(bits));
    query.emplace(rows.shape(), std::vector<std::byte>(bytes.size()));
    views.push_back(query->view());
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
  }

  // What a query for k rows begins with.
  FirstThreshold::Found find(std::uint32_t k, bool may_guess) {
    views[0].want = views[0].k = k;
    std::vector<Piece> pieces;
    for (std::uint32_t b = 0; b < blocks.size(); ++b) {
      pieces.push_back({b, 0, blocks[b].count, true});
    }
    REQUIRE(test::prepare(sieve, request));
    REQUIRE(queries.prepare(request));
    first.prepare(request, pieces);
    const CoarseJob job{request, queries, coarse_kernels_for("generic")};
    CoarsePass pass;
    FirstThreshold::Bench bench;
    return first.find(job, sieve, 0, may_guess, pass, bench);
  }
  [[nodiscard]] std::size_t within(float threshold) const {
    return static_cast<std::size_t>(
        std::count_if(distances.begin(), distances.end(),
                      [&](double one) { return one <= static_cast<double>(threshold); }));
  }

  TestRows rows;
  std::vector<double> distances;
  std::vector<ScanBlock> blocks;
  std::vector<std::shared_ptr<const SketchPlane>> sketches;
  std::vector<std::vector<std::uint64_t>> bits;
  std::vector<ScanMask> masks;
  std::optional<TestQuery> query;
  std::vector<ScanQuery> views;
  ScanRequest request;
  SketchSieve sieve{sketch_kernels_for("generic")};
  CoarseQueries queries;
  FirstThreshold first;
};

// With nothing near; made once.
Fixture& plain() {
  static Fixture fixture([](std::uint32_t) { return false; });
  return fixture;
}

}  // namespace

TEST_CASE("first threshold: a rank in a sample is above its mean, by less the more there are") {
  CHECK(sample_rank(10, 0.0) == 2);
  CHECK(sample_rank(100, 1.0) == 142);
  CHECK(sample_rank(1'000, 0.1) == 142);
  CHECK(sample_rank(10'000, 0.1) == 1'129);
}

TEST_CASE("first threshold: what is not guessed has as many rows within as are wanted") {
  for (const std::uint32_t k : {1u, 10u, 300u, 1'000u}) {
    CAPTURE(k, kSeed);
    Fixture& f = plain();
    const FirstThreshold::Found found = f.find(k, false);
    CHECK_FALSE(found.guessed);
    CHECK(found.read >= k);
    CHECK(f.queries.threshold(0).get() < kInfinity);
    CHECK(f.within(f.queries.threshold(0).get()) >= k);
  }
}

TEST_CASE("first threshold: a guess leaves what is wanted and not many more, and reads less") {
  for (const std::uint32_t k : {300u, 1'000u, 2'000u, 5'000u}) {
    CAPTURE(k, kSeed);
    Fixture& f = plain();
    const FirstThreshold::Found found = f.find(k, true);
    CHECK(found.guessed);
    CHECK(found.read < 3 * k);
    const std::size_t left = f.within(f.queries.threshold(0).get());
    CHECK(left >= k);
    CHECK(left <= 2 * k);
  }
}

TEST_CASE("first threshold: nothing is guessed for few rows, nor found for nearly all of them") {
  Fixture& f = plain();
  CHECK_FALSE(f.find(10, true).guessed);
  CHECK(f.queries.threshold(0).get() < kInfinity);
  CHECK_FALSE(f.find(kRows, true).guessed);
  CHECK(f.queries.threshold(0).get() == kInfinity);
}

TEST_CASE("coarse scanner: a guess that was too low is made good") {
  // All that is near lies where the sample looks: in every second of its windows.
  const std::uint32_t capacity = shape_here().capacity;
  std::vector<Piece> pieces;
  for (std::uint32_t row = 0; row < kRows; row += capacity) {
    pieces.push_back({row / capacity, 0, std::min(capacity, kRows - row), true});
  }
  std::vector<Piece> sample;
  cut_sample(pieces, sample);
  std::vector<bool> near(kRows);
  for (std::size_t i = 0; i < sample.size(); i += 2) {
    for (std::uint32_t r = 0; r < 100; ++r) {
      near[sample[i].block * capacity + sample[i].first + r] = true;
    }
  }
  Fixture f([&](std::uint32_t r) { return near[r]; });
  const FirstThreshold::Found found = f.find(1'200, true);
  REQUIRE(found.guessed);
  REQUIRE(f.within(f.queries.threshold(0).get()) < 1'200);

  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  f.request.threads = 2;
  // Beside one that is not guessed.
  f.views.push_back(f.views[0]);
  f.views[1].want = f.views[1].k = 5;
  f.request.queries = f.views;
  ScanResult result;
  REQUIRE(scanner->scan(f.request, result).ok());
  CHECK(result.counts.sketch > 2 * kRows);
  std::vector<double> sorted = f.distances;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t q = 0; q < f.views.size(); ++q) {
    const double last = sorted[f.views[q].k - 1];
    const QueryCandidates& candidates = result.queries[q];
    std::size_t listed = 0;
    for (const Candidate& one : candidates.list) {
      const double distance = f.distances[f.blocks[0].count * one.block + one.position];
      CHECK(one.lower <= distance);
      listed += distance <= last ? 1 : 0;
    }
    CHECK(listed == f.views[q].k);
    CHECK(candidates.floor > last);
  }
}
