// One launch at a time: the kernels for one query, a few and many, with thresholds that fall while
// they run, and what happens when survivors do not fit. Comes before the scanner's tests. Test
// thread only. Always holds: every row that belongs to the answer is among the survivors.
#include "engine/gpu/device_scan.h"

#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstring>
#include <set>
#include <tuple>

#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/simt/on_device.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::engine::gpu;
using namespace vecserve::test;
using namespace vecserve::test::simt;

using Found = std::set<std::tuple<std::uint32_t, std::uint32_t, std::uint32_t>>;

Found rows_of(const OnDevice& on) {
  Found rows;
  for (const PackedSurvivor& s : on.scan.survivors()) rows.insert({s.query, s.block, s.position});
  return rows;
}

// [no_tsan]: the emulator has one thread, and TSan takes minutes for it.
TEST_CASE("device scan: every kernel finds the answers, and thresholds leave out most rows",
          "[no_tsan]") {
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
    for (const std::uint32_t queries : {1u, 4u, 5u, 70u}) {
      CAPTURE(to_string(metric), queries);
      const GpuCase data(metric, 130, 1'500, 700, queries, 9);
      OnDevice on(data, small_gpu().tuning);
      REQUIRE(on.run().ok());
      CHECK(on.device->failure() == "");
      CHECK(on.has_answers(data, 5));
      CHECK(on.scan.survivors().size() < std::size_t{queries} * 300);
      for (std::size_t q = 0; q < queries; ++q) CHECK_FALSE(on.scan.overflowed(q));
    }
  }
}

TEST_CASE("device scan: rows that come nearer and nearer overflow, and are scanned once more") {
  // Each row is nearer than all before it, so that none is ever ruled out while it comes.
  GpuCase data(Metric::l2, 16, 0, 0, 1, 2);
  std::vector<float> row(16, 0.0f);
  for (std::uint32_t r = 0; r < 3'000; ++r) {
    row[0] = 40.0f - 0.01f * static_cast<float>(r);
    std::vector<std::byte> bytes(64);
    std::memcpy(bytes.data(), row.data(), 64);
    data.rows.add(bytes, IdView(std::uint64_t{r}), 0);
  }
  data.blocks = data.rows.scan_blocks();
  data.bits = data.rows.all_bits();
  data.masks = {make_mask(data.bits)};
  DeviceTuning tuning = small_gpu().tuning;
  tuning.survivors_max = 4'096;
  OnDevice roomy(data, tuning);
  REQUIRE(roomy.run().ok());
  tuning.survivors_max = small_gpu().tuning.survivors_max;
  for (const bool graphs : {false, true}) {
    CAPTURE(graphs);
    tuning.graphs = graphs;
    OnDevice on(data, tuning);
    const std::uint64_t before = on.device->calls();
    REQUIRE(on.run().ok());
    const std::uint64_t calls = on.device->calls() - before;
    CHECK(calls > (graphs ? 7 : 15));  // more than one launch makes
    // The last has room for all that the thresholds of the others let pass, and nothing of theirs.
    CHECK_FALSE(on.scan.overflowed(0));
    CHECK(on.has_answers(data, 5));
    // Nor is anything left of the launches before: it is as if there had been room at once.
    CHECK(rows_of(on) == rows_of(roomy));
    CHECK(rows_of(on).size() == on.scan.survivors().size());
    for (const PackedSurvivor& survivor : on.scan.survivors()) CHECK(survivor.position > 2'900);
  }
}

TEST_CASE("device scan: rows that tie at the threshold all come, where their bounds are tightest") {
  // Rows opposite to the query, both exact in the coarse plane, whose scales have 16 bits: no slack
  // hides a threshold that is a little too near.
  for (int i = 0; i < 16; ++i) {
    CAPTURE(i);
    GpuCase data(Metric::l2, 16, 0, 0, 0, 2);
    const std::vector<float> row(16, 127.0f * static_cast<float>(33'333 + 154 * i) * 0x1p-13f);
    const std::vector<float> opposite(16, -row[0]);
    const auto bytes_of = [](const std::vector<float>& vector) {
      const auto* const begin = reinterpret_cast<const std::byte*>(vector.data());
      return std::vector<std::byte>(begin, begin + vector.size() * sizeof(float));
    };
    for (std::uint64_t r = 0; r < 200; ++r) data.rows.add(bytes_of(row), IdView(r), 0);
    data.queries.emplace_back(data.rows.shape(), bytes_of(opposite));
    data.views.push_back(data.queries[0].view());
    data.views[0].want = 10;
    data.views[0].k = 5;
    data.blocks = data.rows.scan_blocks();
    data.bits = data.rows.all_bits();
    data.masks = {make_mask(data.bits)};
    OnDevice on(data, small_gpu().tuning);
    REQUIRE(on.run().ok());
    CHECK(on.scan.survivors().size() == 200);
  }
}

TEST_CASE(
    "device scan: without a threshold all rows within the limit come, or the query overflows") {
  GpuCase data(Metric::l2, 24, 800, 300, 2, 12);
  const auto truth = oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[0].f32);
  data.views[0].limit = truth[200].distance;
  OnDevice on(data, small_gpu().tuning);
  on.wants[0] = 0;
  REQUIRE(on.run().ok());
  CHECK_FALSE(on.scan.overflowed(0));
  CHECK(on.has_answers(data, 5));
  const auto of_first = std::count_if(on.scan.survivors().begin(), on.scan.survivors().end(),
                                      [](const PackedSurvivor& s) { return s.query == 0; });
  CHECK(of_first >= 201);
  CHECK(of_first < 400);
  DeviceTuning tiny = small_gpu().tuning;
  tiny.survivors_max = 128;
  OnDevice small(data, tiny);
  small.wants[0] = 0;
  REQUIRE(small.run().ok());
  CHECK(small.scan.overflowed(0));
  // Or there is no room on the way to the host.
  DeviceTuning narrow = small_gpu().tuning;
  narrow.packed = 128;
  OnDevice packed(data, narrow);
  packed.wants[0] = 0;
  REQUIRE(packed.run().ok());
  CHECK(packed.scan.overflowed(0));
  CHECK(packed.scan.survivors().size() == 128);
}

using Bits = std::vector<std::vector<std::uint64_t>>;

// Masks of about one row in so many each, for queries in turn. Their words, which must stay.
[[nodiscard]] std::vector<Bits> thin_out(GpuCase& data, std::uint32_t masks, std::uint32_t one_in) {
  std::vector<Bits> kept(masks, data.bits);
  std::uint64_t state = one_in;
  for (Bits& of_mask : kept) {
    for (auto& words : of_mask) {
      for (std::uint64_t& word : words) {
        for (int b = 0; b < 64; ++b) {
          state = state * 6364136223846793005u + 1442695040888963407u;
          if ((state >> 33) % one_in != 0) word &= ~(std::uint64_t{1} << b);
        }
      }
    }
  }
  data.masks.clear();
  for (const Bits& of_mask : kept) data.masks.push_back(make_mask(of_mask));
  for (std::uint32_t q = 0; q < data.views.size(); ++q) data.views[q].mask = q % masks;
  return kept;
}

TEST_CASE("device scan: of rows that no query's mask has nothing is read", "[no_tsan]") {
  for (const std::uint32_t queries : {1u, 4u, 70u}) {
    for (const std::uint32_t one_in : {1u, 9u, 40u}) {
      CAPTURE(queries, one_in);
      GpuCase data(Metric::l2, 64, 900, 500, queries, 3);
      const auto bits = thin_out(data, 2, one_in);
      OnDevice on(data, small_gpu().tuning);
      std::size_t read = 0;
      std::size_t wanted = 0;
      for (std::uint32_t b = 0; b < on.blocks.size(); ++b) {
        const std::uint32_t count = on.blocks[b].count;
        const ReadLog log(on.blocks[b].page->codes(), std::size_t{count} * 64);
        REQUIRE(on.run().ok());
        for (std::uint32_t r = 0; r < count; ++r) {
          bool eligible = false;
          for (std::uint32_t m = 0; m < std::min(queries, 2u); ++m) {
            eligible = eligible || (data.masks[m].words[b][r / 64] >> (r % 64) & 1) != 0;
          }
          const std::size_t bytes = log.bytes(std::size_t{r} * 64, 64);
          CHECK(bytes == (eligible ? 64 : 0));
          read += bytes;
          wanted += eligible ? 64 : 0;
        }
      }
      CHECK(read == wanted);
      CHECK(on.has_answers(data, 5));
    }
  }
}

TEST_CASE("device scan: live bits that the device has are used there, and others are sent") {
  GpuCase data(Metric::l2, 64, 700, 300, 1, 5);
  const auto bits = thin_out(data, 1, 2);
  OnDevice on(data, small_gpu().tuning);
  std::vector<Mirror::Live> live;
  for (std::size_t b = 0; b < data.blocks.size(); ++b) {
    const LiveWords words(std::shared_ptr<const void>(), data.masks[0].words[b]);
    live.push_back({data.blocks[b].block->serial(), words, (data.blocks[b].count + 63) / 64});
  }
  REQUIRE(on.mirror->cover_live(live).ok());
  CHECK(on.mirror->report().masked == data.blocks.size());
  on.pin();
  REQUIRE(on.run().ok());
  CHECK(on.has_answers(data, 5));
  // Emulated device memory is host memory: without its bits there, a block has no row.
  const auto none_of_block = [&](std::uint32_t block) {
    return std::none_of(on.scan.survivors().begin(), on.scan.survivors().end(),
                        [&](const PackedSurvivor& s) { return s.block == block; });
  };
  CHECK_FALSE(none_of_block(1));
  auto* const words = const_cast<std::uint64_t*>(on.blocks[1].live->on_device());
  std::fill(words, words + (data.blocks[1].count + 63) / 64, std::uint64_t{0});
  REQUIRE(on.run().ok());
  CHECK(none_of_block(1));
  // The same bits at another place are another mask.
  const auto others = bits;
  data.masks = {make_mask(others[0])};
  on.request = data.request();
  REQUIRE(on.run().ok());
  CHECK_FALSE(none_of_block(1));
  CHECK(on.has_answers(data, 5));
  // All alive again.
  for (Mirror::Live& block : live) block.words = nullptr;
  REQUIRE(on.mirror->cover_live(live).ok());
  CHECK(on.mirror->report().masked == 0);
}

TEST_CASE("device scan: live bits of fewer rows than are mirrored are of no use") {
  GpuCase data(Metric::l2, 64, 700, 700, 1, 5);
  const auto bits = thin_out(data, 1, 2);
  OnDevice on(data, small_gpu().tuning);
  const ScanBlock& block = data.blocks[0];
  const LiveWords words(std::shared_ptr<const void>(), data.masks[0].words[0]);
  for (const std::uint32_t count : {2u, 10u, 11u}) {  // of 11 words
    CAPTURE(count);
    const Mirror::Live live[] = {{block.block->serial(), words, count}};
    REQUIRE(on.mirror->cover_live(live).ok());
    on.pin();
    REQUIRE(on.blocks[0].live->word_count == count);
    REQUIRE(on.run().ok());
    CHECK(on.device->failure() == "");
    CHECK(on.has_answers(data, 5));
  }
}

TEST_CASE("device scan: a limit between two floats becomes the one above it") {
  GpuCase data(Metric::l2, 32, 300, 0, 1, 5);
  data.views[0].limit = 1.0 + 1e-9;  // nearer to 1 than to any other float
  OnDevice on(data, small_gpu().tuning);
  on.wants[0] = 0;  // so that the threshold stays at the limit
  REQUIRE(on.run().ok());
  const auto* const states = reinterpret_cast<const QueryState*>(on.lane->output_host);
  const float threshold = std::bit_cast<float>(states[0].threshold ^ 0x80000000u);
  CHECK(threshold == std::nextafter(1.0f, 2.0f));
}

TEST_CASE("device scan: masks that a lane cannot hold together do not fit") {
  GpuCase data(Metric::l2, 64, 4'000, 0, 6, 5);
  const auto bits = thin_out(data, 6, 2);
  DeviceTuning tuning = small_gpu().tuning;
  tuning.input_bytes = 3'000;
  OnDevice on(data, tuning);
  CHECK_FALSE(on.scan.fits(on.batch));
  CHECK(on.run().code() == StatusCode::resource_exhausted);
  on.batch.queries = std::span(on.queries).first(2);
  REQUIRE(on.scan.fits(on.batch));
  CHECK(on.run().ok());
}

TEST_CASE("device scan: a batch that a lane cannot hold is refused before anything is copied") {
  const GpuCase data(Metric::l2, 64, 300, 100, 3, 1);
  DeviceTuning tuning = small_gpu().tuning;
  tuning.input_bytes = 256;
  OnDevice on(data, tuning);
  const std::uint64_t before = on.device->calls();
  CHECK(on.run().code() == StatusCode::resource_exhausted);
  CHECK(on.device->calls() == before);
}

// [no_tsan]: as above.
TEST_CASE("device scan: a launch is one replay of a graph, and finds what its steps find",
          "[no_tsan]") {
  for (const std::uint32_t queries : {1u, 3u, 70u}) {
    for (const bool sketched : {false, true}) {
      for (const std::uint32_t rows : {40u, 1'500u}) {  // 40: the first launch sees all of them
        CAPTURE(queries, sketched, rows);
        GpuCase data(Metric::l2, 64, rows, 700, queries, 9, true);
        data.sketch();
        const auto run = [&](bool graphs) {
          DeviceTuning tuning = small_gpu().tuning;
          tuning.graphs = graphs;
          auto on = std::make_unique<OnDevice>(data, tuning);
          if (sketched && queries <= kFewQueries && rows > 700) {
            on->sift(data.planes[0]->axes());
          }
          const std::uint64_t before = on->device->calls();
          REQUIRE(on->run().ok());
          CHECK(on->device->failure() == "");
          CHECK(on->has_answers(data, 5));
          // Arguments, the graph, the record and the wait; sometimes more survivors than expected.
          const std::uint64_t calls = on->device->calls() - before;
          const bool more = on->scan.survivors().size() > tuning.packed_first;
          if (graphs) CHECK(calls == (more ? 7 : 4));
          if (!graphs) CHECK(calls > 8);
          REQUIRE(on->run().ok());  // with the parameters of the first time
          CHECK(on->has_answers(data, 5));
          return on;
        };
        const auto replayed = run(true);
        const auto stepped = run(false);
        bool overflowed = false;
        for (std::size_t q = 0; q < queries; ++q) {
          CHECK(replayed->scan.overflowed(q) == stepped->scan.overflowed(q));
          overflowed = overflowed || stepped->scan.overflowed(q);
        }
        // Blocks and warps run in the same order in both.
        CHECK_FALSE(overflowed);
        CHECK(rows_of(*replayed) == rows_of(*stepped));
      }
    }
  }
}

TEST_CASE("device scan: a graph that fails is given up, and its steps go one by one") {
  for (const DriverCode code : {DriverCode::failed, DriverCode::out_of_memory}) {
    const GpuCase data(Metric::l2, 64, 900, 400, 1, 9);
    bool armed = false;
    std::uint64_t made = 0;
    OnDevice on(data, small_gpu().tuning, [&](std::uint64_t) {
      return armed && made++ == 1 ? code : DriverCode::ok;  // the replay, after the arguments
    });
    REQUIRE(on.run().ok());
    const Found found = rows_of(on);
    const std::uint64_t before = on.device->calls();
    armed = true;
    REQUIRE(on.run().ok());
    CHECK(on.device->calls() - before > 8);
    CHECK(on.has_answers(data, 5));
    const std::uint64_t after = on.device->calls();
    REQUIRE(on.run().ok());
    CHECK(on.device->calls() - after > 8);  // nor is it tried again
    CHECK(on.has_answers(data, 5));
    CHECK(on.device->alive());
    CHECK_FALSE(found.empty());
  }
}

TEST_CASE("device scan: after an error nothing is left in the stream") {
  const GpuCase data(Metric::l2, 64, 300, 0, 1, 9);
  DeviceTuning tuning = small_gpu().tuning;
  tuning.graphs = false;
  bool armed = false;
  std::uint64_t made = 0;
  OnDevice on(data, tuning, [&](std::uint64_t) {
    return armed && made++ == 2 ? DriverCode::failed : DriverCode::ok;  // the first launch
  });
  armed = true;
  REQUIRE_FALSE(on.run().ok());
  const std::byte there = on.lane->input[0];
  on.lane->input_host[0] = ~there;  // what a copy that still waited would bring over
  REQUIRE(on.device->drain(on.lane->stream).ok());
  CHECK(on.lane->input[0] == there);
}

TEST_CASE("device scan: queries and rows change from replay to replay") {
  const GpuCase data(Metric::dot, 64, 1'200, 400, 4, 9);
  OnDevice on(data, small_gpu().tuning);
  const std::vector<std::uint32_t> all = on.queries;
  for (const std::size_t count : {4u, 2u, 3u, 4u}) {
    on.batch.queries = std::span(all).first(count);
    for (std::uint32_t rows : {400u, 130u, 399u}) {
      CAPTURE(count, rows);
      for (std::size_t b = 0; b < on.blocks.size(); ++b) on.blocks[b].count = rows;
      REQUIRE(on.run().ok());
      for (const PackedSurvivor& s : on.scan.survivors()) {
        CHECK(s.query < count);
        CHECK(s.position < rows);
      }
      Found best;  // the nearest row of each query among those that are looked at
      for (std::uint32_t q = 0; q < count; ++q) {
        const auto truth =
            oracle_rows(data.rows.shape(), data.blocks, data.masks[0], data.views[q].f32);
        const auto first = std::find_if(truth.begin(), truth.end(),
                                        [&](const OracleRow& row) { return row.position < rows; });
        best.insert({q, first->block, first->position});
      }
      const Found found = rows_of(on);
      CHECK(std::includes(found.begin(), found.end(), best.begin(), best.end()));
    }
  }
}

}  // namespace
