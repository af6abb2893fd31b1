// Bounds from vectors on the device: coordinates are what the host reads, bounds are the host's,
// sums of all types and metrics lie within them; few survivors are left, and vectors of rows that
// cannot be near are never read. Comes after the tests of device_scan. Test thread only. Always
// holds: the seed is the case's own.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/base/half.h"
#include "engine/scan/reference.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/machine.h"
#include "tests/support/simt/on_device.h"

// After the names that it is written against.
#include "engine/gpu/sharpen.cuh"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using namespace vecserve::test::simt;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr std::uint32_t kAll = 1'000'000;  // rows

TEST_CASE("sharpen: coordinates of every type are what the host reads") {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    // On either side of a word, beside something else.
    for (const std::uint32_t other : {0u, 0xffffu}) {
      const unsigned words[2] = {other << 16 | bits, bits << 16 | other};
      for (unsigned i = 0; i < 2; ++i) {
        const float brain = gpu::CodedBf16::value(words[i], i);
        REQUIRE(std::bit_cast<std::uint32_t>(brain) == bits << 16);
        if ((bits >> 10 & 31u) == 31u) continue;  // is never stored
        const float value = gpu::CodedF16::value(words[i], i);
        REQUIRE(std::bit_cast<std::uint32_t>(value) ==
                std::bit_cast<std::uint32_t>(float_from_f16(half)));
      }
    }
  }
  for (std::uint32_t bits = 0; bits < 256; ++bits) {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned word = (bits << (8 * i)) | (0x5aa5c33cu & ~(0xffu << (8 * i)));
      REQUIRE(gpu::CodedI8::value(word, i) == static_cast<float>(static_cast<std::int8_t>(bits)));
      REQUIRE(gpu::CodedU8::value(word, i) == static_cast<float>(bits));
    }
  }
  CHECK(gpu::CodedF32::value(std::bit_cast<unsigned>(-1.5f), 0) == -1.5f);
}

TEST_CASE("sharpen: bounds are the host's, also at the ends of the floats") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const double query_norm : {0.0, 1e-40, 1e-20, 0.5, 2.0, 1e20, 1e35, 1e60}) {
      const RowShape shape = RowShape::make(metric, ScalarType::f32, 300);
      const ScoreBound host = gpu::make_full_bound(shape, query_norm);
      const gpu::DeviceFullQuery device = {host.factor, host.absolute, host.per_norm, host.inverse};
      for (const float norm : {0.0f, 0x1p-130f, 1e-20f, 1.0f, 3.0f, 1e30f, kInfinity}) {
        for (const float sum : {0.0f, 1e-44f, 1e-20f, 0.5f, 1.0f, 6.0f, 1e30f, 3e38f, kInfinity}) {
          for (const float sign : {1.0f, -1.0f}) {
            if (metric == Metric::l2 && sign < 0.0f) continue;
            CAPTURE(to_string(metric), query_norm, norm, sum, sign);
            const gpu::DeviceBounds bounds = gpu::full_bounds(
                metric == Metric::l2, metric == Metric::cosine, device, norm, sign * sum);
            CHECK(bounds.lower == lower_bound(host, norm, sign * sum));
            CHECK(bounds.upper == upper_bound(host, norm, sign * sum));
          }
        }
        if (metric == Metric::l2) continue;  // has no NaN
        const gpu::DeviceBounds bounds =
            gpu::full_bounds(false, metric == Metric::cosine, device, norm, kNan);
        CHECK(bounds.lower == lower_bound(host, norm, kNan));
        CHECK(bounds.upper == upper_bound(host, norm, kNan));
      }
    }
  }
}

// Rows of a type with their sums, by one warp. The queries are floats, as all queries.
struct Summed {
  Summed(Metric metric, ScalarType type, std::uint32_t dim, DataKind kind)
      : rows(RowShape::make(metric, type, dim)) {
    VectorSource source(rows.shape(), kind, dim + static_cast<std::uint64_t>(type));
    for (std::uint64_t r = 0; r < 9; ++r) rows.add(source.next_row(), IdView(r), 0);
    const TestQuery query(rows.shape(), source.next_row());
    const RowBlock& block = *rows.scan_blocks()[0].block;
    const RowShape& shape = rows.shape();
    const ScoreBound bound = gpu::make_full_bound(shape, query.view().norm);
    DeviceMemory memory(std::size_t{16} << 20);
    const std::size_t bytes = std::size_t{9} * shape.stride;
    auto* const vectors = static_cast<std::byte*>(memory.allocate(bytes));
    REQUIRE(DeviceMemory::touch(Access::write, vectors, bytes).empty());
    std::memcpy(vectors, block.vectors(), bytes);
    gpu::ScanArguments a{};
    a.is_l2 = metric == Metric::l2 ? 1 : 0;
    a.full_type = static_cast<std::uint32_t>(type);
    a.full_chunks = (shape.row_bytes + 15) / 16;
    a.full_width = (dim + 15) / 16 * 16;
    for (std::uint32_t r = 0; r < 9; ++r) {
      float sum = 0.0f;
      const auto* const row =
          reinterpret_cast<const std::uint8_t*>(vectors) + std::size_t{r} * shape.stride;
      const std::string wrong = run({1, 32, a.full_width * sizeof(float), r}, [&] {
        for (unsigned i = gpu::lane_of(); i < a.full_width; i += 32) {
          gpu::shared_at<float>(0)[i] = query.view().f32[i];
        }
        __syncthreads();
        const float mine = gpu::sum_vector(a, row, gpu::shared_at<float4>(0));
        if (gpu::lane_of() == 31) sum = mine;
      });
      REQUIRE(wrong == "");
      const double distance = reference_distance(shape, query.view().f32, block.vector(r));
      const float norm = block.norms() == nullptr ? 0.0f : block.norms()[r];
      const double lower = double{lower_bound(bound, norm, sum)};
      const double upper = double{upper_bound(bound, norm, sum)};
      CAPTURE(r, sum, distance, lower, upper);
      CHECK(lower <= distance);
      CHECK(upper >= distance);
      // And near, where the data is ordinary.
      if (kind != DataKind::normal) continue;
      const double reach =
          metric == Metric::dot ? query.view().norm * double{norm} : 2 * distance + 1;
      CHECK(upper - lower <= 1e-5 * reach + 1e-20);
    }
  }
  TestRows rows;
};

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("sharpen: sums over vectors of every type lie within their bounds", "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const ScalarType type :
         {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8, ScalarType::u8}) {
      for (const std::uint32_t dim : {1u, 7u, 64u, 130u, 1'100u}) {
        for (const DataKind kind : all_data_kinds()) {
          CAPTURE(to_string(metric), to_string(type), dim, to_string(kind));
          const Summed summed(metric, type, dim, kind);
        }
      }
    }
  }
}

std::size_t survivors_of(const OnDevice& on, std::uint32_t query) {
  const auto survivors = on.scan.survivors();
  return static_cast<std::size_t>(
      std::count_if(survivors.begin(), survivors.end(),
                    [&](const gpu::PackedSurvivor& s) { return s.query == query; }));
}

TEST_CASE("sharpen: the nearest survive and hardly anything else, and others' vectors are not read",
          "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t queries : {1u, 3u, 70u}) {
      CAPTURE(to_string(metric), queries);
      const GpuCase data(metric, 100, 900, 400, queries, 3);
      OnDevice on(data, small_gpu().tuning);
      REQUIRE(on.run().ok());
      const std::size_t before = on.scan.survivors().size();
      CHECK(on.scan.totals().sharpened == 0);
      on.sharpen(kAll);
      const std::size_t bytes = std::size_t{400} * data.rows.shape().stride;
      const ReadLog log(on.blocks[0].full->vectors(), bytes);
      REQUIRE(on.run().ok());
      CHECK(on.device->failure() == "");
      CHECK(on.has_answers(data, 5));
      CHECK(on.scan.totals().sharpened <= before + queries);  // thresholds differ by a little
      CHECK(on.scan.totals().sharpened >= on.scan.survivors().size());
      if (queries == 70) CHECK(on.scan.survivors().size() < before);
      for (std::uint32_t q = 0; q < queries; ++q) {
        CHECK(survivors_of(on, q) == 5);
        CHECK_FALSE(on.scan.overflowed(q));
      }
      if (queries == 1) CHECK(log.bytes(0, bytes) < bytes / 10);
    }
  }
}

TEST_CASE("sharpen: rows whose vectors are not there keep the bounds of their codes", "[no_tsan]") {
  const GpuCase data(Metric::l2, 101, 900, 400, 3, 3);  // the last sixteen bytes are not full
  const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[0].f32);
  // Also up to a row that survives, and not with it.
  for (const std::uint32_t there : {0u, 150u, truth[0].position, 399u}) {
    CAPTURE(there);
    OnDevice on(data, small_gpu().tuning);
    on.sharpen(there);
    REQUIRE(on.run().ok());
    CHECK(on.device->failure() == "");
    CHECK(on.has_answers(data, 5));
    for (const gpu::PackedSurvivor& survivor : on.scan.survivors()) {
      const bool sharpened = gpu::is_sharpened(on.batch, survivor);
      CHECK(sharpened == (survivor.position < there));
      const RowBlock& block = *data.blocks[survivor.block].block;
      const double exact = reference_distance(data.rows.shape(), data.views[survivor.query].f32,
                                              block.vector(survivor.position));
      const double off = std::fabs(double{survivor.score} - exact);
      CHECK((off <= 1e-5 * exact) == sharpened);
    }
  }
}

TEST_CASE("sharpen: rows that tie for the last place all stay", "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    GpuCase data(metric, 40, 0, 0, 2, 11);
    VectorSource source(data.rows.shape(), DataKind::normal, 12);
    // Every row nine times, here and there.
    std::vector<std::vector<std::byte>> rows;
    for (int r = 0; r < 50; ++r) rows.push_back(source.next_row());
    for (std::uint64_t r = 0; r < 450; ++r) data.rows.add(rows[r * 7 % 50], IdView(r), 200);
    data.blocks = data.rows.scan_blocks();
    data.bits = data.rows.all_bits();
    data.masks = {make_mask(data.bits)};
    OnDevice on(data, small_gpu().tuning);
    on.sharpen(kAll);
    REQUIRE(on.run().ok());
    CHECK(on.has_answers(data, 9));  // of which five are asked for
    for (std::uint32_t q = 0; q < 2; ++q) CHECK(survivors_of(on, q) == 9);
  }
}

TEST_CASE("sharpen: within a limit and without a threshold what is beyond the limit goes",
          "[no_tsan]") {
  GpuCase data(Metric::l2, 100, 600, 300, 2, 3);
  const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[0].f32);
  data.views[0].limit = truth[40].distance;
  data.views[0].k = data.views[0].want = 600;
  OnDevice on(data, small_gpu().tuning);
  on.wants[0] = 0;
  REQUIRE(on.run().ok());
  const std::size_t before = survivors_of(on, 0);
  on.sharpen(kAll);
  REQUIRE(on.run().ok());
  CHECK(on.device->failure() == "");
  CHECK(on.has_answers(data, 5));
  CHECK(survivors_of(on, 0) >= 41);
  CHECK(survivors_of(on, 0) <= 42);
  CHECK(before > 42);
  CHECK(double{on.scan.threshold(0)} >= truth[40].distance);
}

TEST_CASE("sharpen: more survivors than room are looked for again, with what was sharpened",
          "[no_tsan]") {
  const GpuCase data(Metric::l2, 64, 900, 450, 2, 5);
  gpu::DeviceTuning tuning = small_gpu().tuning;
  tuning.survivors = 256;
  tuning.survivors_min = 64;
  tuning.survivors_max = 64;
  OnDevice on(data, tuning);
  on.sharpen(kAll);
  REQUIRE(on.run().ok());
  CHECK(on.device->failure() == "");
  CHECK(on.has_answers(data, 5));
  for (std::uint32_t q = 0; q < 2; ++q) CHECK_FALSE(on.scan.overflowed(q));
}

}  // namespace
