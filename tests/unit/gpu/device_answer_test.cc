// Survivors that no honest device can send are found out, each kind of them; honest ones become
// candidates. Comes before the scanner's tests. Test thread only. Always holds: each case changes
// one field of a survivor that was accepted before; the batch has some of the request's queries, in
// another order.
#include "engine/gpu/device_answer.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <set>

#include "engine/scan/reference.h"
#include "tests/support/simt/emulated_driver.h"
#include "tests/support/simt/gpu_case.h"
#include "tests/support/simt/on_device.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test::simt;

constexpr std::uint32_t kMirrored = 100;                        // rows of the first block
constexpr float kFar = std::numeric_limits<float>::infinity();  // nothing was left out

// Two blocks, of which a part of the first is mirrored; the third query of the request, which may
// have all rows, and the first, which may not have row 1 of the first block, nor the second block.
struct Asked {
  explicit Asked(Metric metric, float times = 1.0f) : data(metric, 64, 240, 120, 3, 8) {
    if (times != 1.0f) scale_rows(metric, times);
    few = data.bits;
    few[0][0] &= ~std::uint64_t{2};
    data.masks = {vecserve::test::make_mask(few), vecserve::test::make_mask(data.bits)};
    data.masks[0].words[1] = nullptr;
    data.views[2].mask = 1;
    device = std::make_shared<Device>(make_emulated_driver());
    mirror = Mirror::make(device, std::size_t{8} << 20, std::size_t{64} << 10).value();
    REQUIRE(mirror->cover(*data.blocks[0].block, kMirrored).ok());
    blocks = {{mirror->find(data.blocks[0].block->serial()), nullptr, nullptr, kMirrored},
              {nullptr, nullptr, nullptr, 120}};
    for (std::size_t q = 0; q < 3; ++q) {
      auto* const mine = reinterpret_cast<std::int8_t*>(codes.data()) + q * 64;
      probes.push_back(make_probe(metric, make_coarse_query(metric, data.views[q].f32, 64, mine)));
    }
    request = data.request();
    fill_batch(*this);
    batch.stride = 64;
  }
  void scale_rows(Metric metric, float times) {
    GpuCase larger(metric, 64, 0, 0, 3, 8);
    for (const ScanBlock& block : data.blocks) {
      for (std::uint32_t r = 0; r < block.count; ++r) {
        const auto* const from = reinterpret_cast<const float*>(block.block->vector(r));
        std::vector<float> row(from, from + 64);
        for (float& value : row) value *= times;
        const auto* const bytes = reinterpret_cast<const std::byte*>(row.data());
        larger.rows.add({bytes, bytes + 256}, IdView(std::uint64_t{r}), 120);
      }
    }
    larger.blocks = larger.rows.scan_blocks();
    larger.bits = larger.rows.all_bits();
    data = std::move(larger);
  }
  // What the device makes of a row of the first block.
  PackedSurvivor honest(std::uint32_t query, std::uint32_t row) const {
    const std::uint32_t q = queries[query];
    const CoarsePlane& plane = *data.blocks[0].block->coarse();
    int sum = 0;
    for (std::size_t i = 0; i < 64; ++i) {
      sum += (plane.codes()[row * 64 + i] - 128) * batch.codes[q * 64 + i];
    }
    const float product = static_cast<float>(sum) * plane.scales()[row] * probes[q].limit.scale;
    const bool is_l2 = probes[q].metric == Metric::l2;
    return {query, 0, row,
            (is_l2 ? plane.squares()[row] + probes[q].limit.square : 0.0f) - product};
  }
  DistanceBounds bounds(std::uint32_t query, std::uint32_t row) const {
    return bounds_of(probes[queries[query]], *data.blocks[0].block->coarse(), row,
                     honest(query, row).score);
  }
  bool accepts(const PackedSurvivor& survivor, std::uint32_t recheck_every = 1) {
    return answer.take(batch, std::span(&survivor, 1), recheck_every);
  }

  GpuCase data;
  std::vector<std::vector<std::uint64_t>> few;
  std::shared_ptr<Device> device;
  std::unique_ptr<Mirror> mirror;
  std::vector<MirroredBlock> blocks;
  AlignedBuffer codes{3 * 64};
  std::vector<CoarseProbe> probes;
  const std::vector<std::uint32_t> queries = {2, 0};
  const std::vector<std::uint32_t> wants = {5, 5};
  ScanRequest request;
  DeviceBatch batch;
  DeviceAnswer answer;
};

TEST_CASE("device answer: what a device could not have found is refused") {
  Asked asked(Metric::l2);
  const PackedSurvivor right = asked.honest(1, 3);
  REQUIRE(asked.accepts(right));
  QueryCandidates candidates;
  asked.answer.finish(asked.batch, 1, kFar, candidates);
  REQUIRE(candidates.list.size() == 1);
  CHECK(candidates.list[0].position == 3);
  const auto refuses = [&](auto member, auto value) {
    PackedSurvivor wrong = right;
    wrong.*member = value;
    return !asked.accepts(wrong, 0);
  };
  CHECK_FALSE(refuses(&PackedSurvivor::position, 4u));
  CHECK(refuses(&PackedSurvivor::query, 2u));
  CHECK(refuses(&PackedSurvivor::block, 1u));  // not eligible
  CHECK(refuses(&PackedSurvivor::block, 2u));
  CHECK(refuses(&PackedSurvivor::position, kMirrored));  // published, but not mirrored
  CHECK(refuses(&PackedSurvivor::position, 1u));         // not eligible
  // The other query may have row 1, and the second block, whose page is not there.
  REQUIRE(asked.accepts(asked.honest(0, 1)));
  PackedSurvivor elsewhere = asked.honest(0, 1);
  elsewhere.block = 1;
  CHECK_FALSE(asked.accepts(elsewhere, 0));
  // A page is not enough for a query that has no words there.
  asked.blocks[1] = {asked.blocks[0].page, nullptr, nullptr, kMirrored};
  CHECK(asked.accepts(elsewhere, 0));
  elsewhere.query = 1;
  CHECK_FALSE(asked.accepts(elsewhere, 0));
}

TEST_CASE(
    "device answer: of every metric, scores that the codes give are held for true, and no others") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    Asked asked(metric);
    for (std::uint32_t query = 0; query < 2; ++query) {
      for (std::uint32_t row = 2; row < kMirrored; ++row) {
        CAPTURE(to_string(metric), query, row);
        PackedSurvivor survivor = asked.honest(query, row);
        REQUIRE(asked.accepts(survivor));
        survivor.score += 0.001f * (1.0f + std::fabs(survivor.score));
        REQUIRE_FALSE(asked.accepts(survivor));
        REQUIRE(asked.accepts(survivor, 0));  // nobody looked
      }
    }
  }
}

TEST_CASE("device answer: rows that floats cannot bound have a score, which is checked as well") {
  Asked asked(Metric::l2, 1e25f);
  PackedSurvivor survivor = asked.honest(1, 3);
  REQUIRE(asked.accepts(survivor));
  QueryCandidates candidates;
  asked.answer.finish(asked.batch, 1, kFar, candidates);
  CHECK(candidates.list.size() == 1);
  for (const float wrong : {survivor.score + 1.0f, std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
    survivor.score = wrong;
    CHECK_FALSE(asked.accepts(survivor));
  }
}

TEST_CASE("device answer: every so-many-th survivor is looked at") {
  Asked asked(Metric::dot);
  std::vector<PackedSurvivor> survivors;
  for (std::uint32_t row = 2; row < 9; ++row) survivors.push_back(asked.honest(1, row));
  for (std::size_t at = 0; at < survivors.size(); ++at) {
    CAPTURE(at);
    std::vector<PackedSurvivor> wrong = survivors;
    wrong[at].score += 100.0f;
    CHECK(asked.answer.take(asked.batch, wrong, 3) == (at % 3 != 2));
  }
}

TEST_CASE(
    "device answer: each query keeps as many rows as it wants, by the bounds of its own probe") {
  for (const bool swapped : {false, true}) {
    CAPTURE(swapped);
    Asked asked(Metric::l2);
    asked.data.views[0].k = swapped ? 3 : 40;
    asked.data.views[2].k = swapped ? 40 : 3;
    asked.request = asked.data.request();
    // A batch of one query first: the next has more lists than were needed so far.
    asked.batch.queries = std::span(asked.queries).first(1);
    REQUIRE(asked.accepts(asked.honest(0, 5)));
    asked.batch.queries = asked.queries;
    std::vector<PackedSurvivor> survivors;
    for (std::uint32_t query = 0; query < 2; ++query) {
      for (std::uint32_t row = 2; row < kMirrored; ++row) {
        survivors.push_back(asked.honest(query, row));
      }
    }
    REQUIRE(asked.answer.take(asked.batch, survivors, 1));
    for (std::uint32_t query = 0; query < 2; ++query) {
      const std::uint32_t q = asked.queries[query];
      QueryCandidates candidates;
      asked.answer.finish(asked.batch, query, kFar, candidates);
      std::set<std::uint32_t> kept;
      for (const Candidate& candidate : candidates.list) {
        kept.insert(candidate.position);
        CHECK(candidate.lower == asked.bounds(query, candidate.position).lower);
      }
      // What was turned away is above the k-th smallest upper bound, and no more is said of it.
      std::vector<float> uppers;
      for (std::uint32_t row = 2; row < kMirrored; ++row) {
        uppers.push_back(asked.bounds(query, row).upper);
      }
      std::sort(uppers.begin(), uppers.end());
      CHECK(candidates.floor == std::nextafter(double{uppers[asked.data.views[q].k - 1]},
                                               std::numeric_limits<double>::infinity()));
      std::uint32_t nearest = 0;
      for (const vecserve::test::OracleRow& row :
           vecserve::test::oracle_rows(asked.request.shape, asked.data.blocks,
                                       asked.request.masks[1], asked.data.views[q].f32)) {
        if (row.block != 0 || row.position < 2 || row.position >= kMirrored) continue;
        if (nearest++ == asked.data.views[q].k) break;
        CHECK(kept.contains(row.position));
      }
      CHECK(kept.size() >= asked.data.views[q].k);
      CHECK(kept.size() < asked.data.views[q].k + 30);
    }
  }
}

TEST_CASE("device answer: of rows whose vectors were read the sum is looked at, up and down") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    CAPTURE(to_string(metric));
    Asked asked(metric);
    std::vector<ScoreBound> fulls;
    for (const ScanQuery& query : asked.request.queries) {
      fulls.push_back(make_full_bound(asked.request.shape, query.norm));
    }
    asked.batch.fulls = fulls;
    asked.blocks[0].full_count = 50;
    const RowBlock& block = *asked.data.blocks[0].block;
    for (const std::uint32_t row : {3u, 49u, 50u}) {
      PackedSurvivor survivor = asked.honest(1, row);
      const bool sharpened = row < 50;
      CHECK(is_sharpened(asked.batch, survivor) == sharpened);
      if (!sharpened) {
        CHECK(asked.accepts(survivor));  // by its codes
        continue;
      }
      const auto* const q = asked.request.queries[asked.queries[1]].f32;
      const auto* const x = reinterpret_cast<const float*>(block.vector(row));
      double sum = 0.0;
      for (std::size_t i = 0; i < 64; ++i) {
        const double apart = double{q[i]} - double{x[i]};
        sum += metric == Metric::l2 ? apart * apart : double{q[i]} * double{x[i]};
      }
      survivor.score = static_cast<float>(sum);
      REQUIRE(asked.accepts(survivor));
      QueryCandidates candidates;
      asked.answer.finish(asked.batch, 1, kFar, candidates);
      REQUIRE(candidates.list.size() == 1);
      const double exact = reference_distance(asked.request.shape, q, block.vector(row));
      CHECK(candidates.list[0].lower <= exact);
      CHECK(candidates.list[0].lower >= exact - 1e-3);
      for (const float wrong : {-0.05f, 0.05f}) {
        survivor.score = static_cast<float>(sum) + wrong;
        CHECK_FALSE(asked.accepts(survivor));
        CHECK(asked.accepts(survivor, 0));  // nobody looked
      }
    }
  }
}

TEST_CASE("device answer: what the device left out for a threshold of its own is outside") {
  Asked asked(Metric::l2);
  std::vector<PackedSurvivor> survivors;
  for (std::uint32_t row = 2; row < 40; ++row) survivors.push_back(asked.honest(1, row));
  REQUIRE(asked.answer.take(asked.batch, survivors, 1));
  QueryCandidates all;
  asked.answer.finish(asked.batch, 1, kFar, all);
  std::vector<double> lowers;
  for (const Candidate& candidate : all.list) lowers.push_back(candidate.lower);
  std::sort(lowers.begin(), lowers.end());
  const auto threshold = static_cast<float>(lowers[2]);
  REQUIRE(asked.answer.take(asked.batch, survivors, 1));
  QueryCandidates some;
  asked.answer.finish(asked.batch, 1, threshold, some);
  CHECK(some.list.size() == 3);
  CHECK(some.floor == std::nextafter(double{threshold}, double{kFar}));
  CHECK(all.floor > some.floor);
}

TEST_CASE("device answer: what is beyond the query's limit is no candidate") {
  Asked asked(Metric::l2);
  const auto truth = vecserve::test::oracle_rows(asked.request.shape, asked.data.blocks,
                                                 asked.request.masks[1], asked.data.views[0].f32);
  asked.data.views[0].limit = truth[60].distance;
  asked.data.views[0].k = 100;
  asked.request = asked.data.request();
  std::vector<PackedSurvivor> survivors;
  for (std::uint32_t row = 2; row < kMirrored; ++row) survivors.push_back(asked.honest(1, row));
  REQUIRE(asked.answer.take(asked.batch, survivors, 1));
  QueryCandidates candidates;
  asked.answer.finish(asked.batch, 1, kFar, candidates);
  std::set<std::uint32_t> kept;
  for (const Candidate& candidate : candidates.list) kept.insert(candidate.position);
  std::size_t near = 0;
  for (std::size_t i = 0; i <= 60; ++i) {
    if (truth[i].block != 0 || truth[i].position < 2 || truth[i].position >= kMirrored) continue;
    CHECK(kept.contains(truth[i].position));
    ++near;
  }
  CHECK(candidates.floor == std::numeric_limits<double>::infinity());
  CHECK(kept.size() < near + 20);
  CHECK(kept.size() < survivors.size());
}

TEST_CASE("device answer: of rows of bits the score is the distance itself") {
  vecserve::test::TestRows rows(RowShape::make(Metric::hamming, ScalarType::bit, 200));
  vecserve::test::VectorSource source(rows.shape(), vecserve::test::DataKind::normal, 5);
  for (std::uint64_t r = 0; r < 50; ++r) rows.add(source.next_row(), IdView(r), 0);
  const std::vector<ScanBlock> scanned = rows.scan_blocks();
  const auto bits = rows.all_bits();
  const std::vector<ScanMask> masks = {vecserve::test::make_mask(bits)};
  const vecserve::test::TestQuery other(rows.shape(), source.next_row());
  const vecserve::test::TestQuery query(rows.shape(), source.next_row());
  std::vector<ScanQuery> views = {other.view(), query.view()};
  for (ScanQuery& view : views) view.k = view.want = 50;
  const auto device = std::make_shared<Device>(make_emulated_driver());
  const auto mirror = Mirror::make(device, std::size_t{1} << 20, std::size_t{8} << 10).value();
  REQUIRE(mirror->cover(*scanned[0].block, 50).ok());
  const std::vector<MirroredBlock> blocks = {
      {mirror->find(scanned[0].block->serial()), nullptr, nullptr, 50}};
  ScanRequest request;
  request.shape = rows.shape();
  request.blocks = scanned;
  request.masks = masks;
  request.queries = views;
  const std::vector<std::uint32_t> queries = {1};
  DeviceBatch batch;
  batch.request = &request;
  batch.blocks = blocks;
  batch.queries = queries;
  DeviceAnswer answer;
  for (std::uint32_t row = 0; row < 50; ++row) {
    const double distance =
        reference_distance(rows.shape(), query.view().bits, scanned[0].block->vector(row));
    PackedSurvivor survivor = {0, 0, row, static_cast<float>(distance)};
    REQUIRE(answer.take(batch, std::span(&survivor, 1), 1));
    QueryCandidates candidates;
    answer.finish(batch, 0, kFar, candidates);
    REQUIRE(candidates.list.size() == 1);
    survivor.score += 1.0f;
    CHECK_FALSE(answer.take(batch, std::span(&survivor, 1), 1));
    survivor.score = std::numeric_limits<float>::infinity();
    CHECK_FALSE(answer.take(batch, std::span(&survivor, 1), 0));
  }
}

}  // namespace
