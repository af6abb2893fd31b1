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

constexpr std::uint32_t kDim = 160;
constexpr std::uint32_t kRows = 40'000;
constexpr std::uint64_t kSeed = 20'717;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

RowShape shape_here() {
  RowShape shape = RowShape::make(Metric::l2, ScalarType::f32, kDim);
  shape.coarse = true;
  return shape;
}

std::vector<Piece> all_pieces() {
  const std::uint32_t capacity = shape_here().capacity;
  std::vector<Piece> pieces;
  for (std::uint32_t row = 0; row < kRows; row += capacity) {
    pieces.push_back({row / capacity, 0, std::min(capacity, kRows - row), true});
  }
  return pieces;
}

// Rows that differ along sixteen coordinates and hardly along the others, and a query of zero; or
// with a large `other` along all, and a query like them, of which sketches see too little. near(r)
// says which rows lie closer to the query.
struct Fixture {
  template <typename Near>
  explicit Fixture(Near&& near, float other = 0.05f) : rows(shape_here()) {
    std::mt19937 random(kSeed);
    std::normal_distribution<float> normal;
    std::vector<float> centre(kDim);
    for (float& value : centre) value = other < 1.0f ? 0.0f : other * normal(random);
    std::vector<float> vector(kDim);
    std::vector<std::byte> bytes(rows.shape().row_bytes);
    std::memcpy(bytes.data(), centre.data(), bytes.size());
    query.emplace(rows.shape(), bytes);
    for (std::uint32_t r = 0; r < kRows; ++r) {
      const float size = near(r) && other < 1.0f ? 0.01f : 1.0f;
      const float pull = near(r) ? 0.15f : 0.0f;
      for (std::uint32_t i = 0; i < kDim; ++i) {
        vector[i] = pull * centre[i] + size * (i < 16 ? 3.0f : other) * normal(random);
      }
      std::memcpy(bytes.data(), vector.data(), bytes.size());
      rows.add(bytes, IdView(std::uint64_t{r}), 0);
      distances.push_back(reference_distance(rows.shape(), query->vector(), bytes.data()));
    }
    rows.add(bytes, IdView(std::uint64_t{kRows}), 1);  // a last block, which has no sketch
    blocks = rows.scan_blocks();
    sketches = make_sketches(rows.shape(), blocks);
    blocks.pop_back();
    bits = rows.all_bits();
    bits.pop_back();
    masks.push_back(make_mask(bits));
    views.push_back(query->view());
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
  }

  // What a query for k rows begins with.
  FirstThreshold::Found find(std::uint32_t k, bool may_guess) {
    prepare(k);
    const CoarseJob job{request, queries, coarse_kernels_for("generic")};
    CoarsePass pass;
    FirstThreshold::Bench bench;
    return first.find(job, sieve, 0, may_guess, pass, bench);
  }
  // All queries together; which of them guessed.
  std::vector<std::uint8_t> find_some(std::uint32_t k) {
    prepare(k);
    const auto count = static_cast<std::uint32_t>(views.size());
    const Group all{0, count, 0};
    queries.pack({&all, 1});
    const CoarseJob job{request, queries, coarse_kernels_for("generic")};
    REQUIRE(first.can_read(job, all));
    sifting.reset(true);
    CoarsePass pass;
    FirstThreshold::Bench bench;
    std::vector<std::uint8_t> guessed(count);
    first.find_some(job, sieve, {all, queries.panels(0), &sifting}, true, pass, bench, guessed,
                    counts);
    return guessed;
  }
  // All queries ask for k rows.
  void prepare(std::uint32_t k) {
    for (ScanQuery& view : views) view.want = view.k = k;
    REQUIRE(test::prepare(sieve, request));
    REQUIRE(queries.prepare(request));
    first.prepare(request, all_pieces());
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
  Sifting sifting;
  ScanCounts counts;
};

// With nothing near; made once.
Fixture& plain() {
  static Fixture fixture([](std::uint32_t) { return false; });
  return fixture;
}

// All queries found what brute force finds, and say so.
void check_answers(const Fixture& f, const ScanResult& result) {
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

TEST_CASE("first threshold: many queries read a sample together where sketches say too little") {
  for (const bool much : {false, true}) {
    CAPTURE(much, kSeed);
    Fixture f([](std::uint32_t) { return false; }, much ? 3.0f : 0.05f);
    f.views.assign(24, f.views[0]);
    f.request.queries = f.views;
    const std::vector<std::uint8_t> guessed = f.find_some(1'000);
    CHECK(f.sifting.on() != much);
    CHECK((f.counts.coarse > 24 * kRows / 16) == much);
    for (std::uint32_t q = 0; q < f.views.size(); ++q) {
      CHECK(guessed[q] == 1);
      const std::size_t left = f.within(f.queries.threshold(q).get());
      CHECK(left >= 1'000);
      CHECK(left <= 2'000);
    }
  }
}

TEST_CASE("first threshold: of two halves of a sample the one that saw less guesses") {
  // All that is near lies in every second window of those that are read.
  std::vector<bool> near(kRows);
  std::vector<Piece> sample;
  cut_sample(all_pieces(), sample);
  for (std::size_t i = 0; i < sample.size(); i += 8) {
    for (std::uint32_t r = 0; r < 400; ++r) {
      near[sample[i].block * shape_here().capacity + sample[i].first + r] = true;
    }
  }
  Fixture f([&](std::uint32_t r) { return near[r]; }, 3.0f);
  f.views.assign(24, f.views[0]);
  f.request.queries = f.views;
  const std::vector<std::uint8_t> guessed = f.find_some(2'500);
  REQUIRE_FALSE(f.sifting.on());
  for (std::uint32_t q = 0; q < f.views.size(); ++q) {
    CHECK(guessed[q] == 1);
    CHECK(f.within(f.queries.threshold(q).get()) >= 2'500);
  }
}

TEST_CASE("coarse scanner: two threads that read samples for their queries find all") {
  Fixture f([](std::uint32_t) { return false; }, 3.0f);
  f.views.assign(96, f.views[0]);
  for (ScanQuery& view : f.views) view.want = view.k = 1'000;
  f.request.queries = f.views;
  f.request.threads = 2;
  WorkerPool pool(2);
  const auto scanner = make_coarse_scanner(*choose_kernels("").value(), pool);
  ScanResult result;
  REQUIRE(scanner->scan(f.request, result).ok());
  CHECK(result.counts.sketch == 0);
  CHECK(result.counts.coarse > 96 * (kRows + kRows / 16));
  check_answers(f, result);
}

TEST_CASE("coarse scanner: a guess that was too low is made good") {
  // All that is near lies where the sample looks: in every second of its windows.
  const std::uint32_t capacity = shape_here().capacity;
  std::vector<Piece> sample;
  cut_sample(all_pieces(), sample);
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
  check_answers(f, result);
}
