// One suite over every scanner: the contract of scanner.h for many shapes, masks and data, and the
// whole way from scan to decision against the oracle. Where a shape has them, all blocks but the
// last have sketches. A new scanner is one line in scanners_here().
// Seeded; the test's thread and the pool's. Always holds: answers are compared bit for bit.
#include "engine/scan/scanner.h"

#include <bit>
#include <catch2/catch.hpp>
#include <functional>
#include <map>
#include <string>
#include <tuple>

#include "engine/base/worker_pool.h"
#include "engine/scan/coarse_scanner.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/scan/rescore.h"
#include "tests/support/data.h"
#include "tests/support/match.h"
#include "tests/support/oracle.h"
#include "tests/support/simt/emulated_gpu.h"
#include "tests/support/sketches.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

WorkerPool& pool() {
  static WorkerPool shared(4);
  return shared;
}

std::vector<std::unique_ptr<Scanner>> scanners_here() {
  std::vector<std::unique_ptr<Scanner>> scanners;
  for (const std::string_view name : kernel_names()) {
    scanners.push_back(make_cpu_scanner(*choose_kernels(name).value(), pool()));
    scanners.push_back(make_coarse_scanner(*choose_kernels(name).value(), pool()));
  }
  // The kernels of the GPU under the emulator, and the CPU for the rows that are not mirrored.
  const auto on_gpu = [&](gpu::GroupKernel group, const simt::Mirroring& how) {
    if (VECSERVE_EMULATED == 0) return;
    gpu::GpuOptions options = simt::small_gpu();
    options.tuning.group = group;
    scanners.push_back(simt::make_mirroring_scanner(
        simt::open_emulated_gpu(options), make_coarse_scanner(*choose_kernels("").value(), pool()),
        how));
  };
  for (const bool full : {false, true}) {
    on_gpu(gpu::GroupKernel::mma, {.few = false, .full = full});
    on_gpu(gpu::GroupKernel::mma, {.few = true, .full = full});
  }
  on_gpu(gpu::GroupKernel::wgmma, {});
  // And on a device, where there is one.
  for (const bool full : {false, true}) {
    gpu::OpenedDriver opened = gpu::open_cuda_driver();
    if (opened.driver == nullptr) {
      WARN("not run on a device: " << opened.why_not);
      break;
    }
    scanners.push_back(simt::make_mirroring_scanner(
        gpu::Gpu::open(std::move(opened.driver), simt::small_gpu()).value(),
        make_coarse_scanner(*choose_kernels("").value(), pool()),
        {.few = false, .full = full, .all = true}));
  }
  return scanners;
}

using Bits = std::vector<std::vector<std::uint64_t>>;

// Keeps about one in `one_in` of the bits.
Bits thinned(Bits bits, std::uint64_t one_in, std::uint64_t seed) {
  std::uint64_t state = seed;
  for (auto& block : bits) {
    for (std::uint64_t& word : block) {
      for (int b = 0; b < 64; ++b) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        if ((state >> 33) % one_in != 0) word &= ~(std::uint64_t{1} << b);
      }
    }
  }
  return bits;
}

// With every plane that the metric has bounds for; a scanner uses those it knows.
RowShape with_planes(RowShape shape) {
  shape.coarse = CoarsePlane::serves(shape);
  return shape;
}

// A collection with some queries and masks, and the truth for each query.
struct Case {
  Case(const RowShape& shape, DataKind kind, std::uint32_t row_count, std::uint32_t block_rows,
       std::uint32_t query_count, std::uint64_t seed)
      : rows(with_planes(shape)) {
    VectorSource source(shape, kind, seed);
    std::vector<std::vector<std::byte>> stored;
    for (std::uint32_t r = 0; r < row_count; ++r) {
      stored.push_back(source.next_row());
      // Ids do not rise with positions, so ties are not broken by accident.
      const std::uint64_t id = r * 7919u % 10'007u;
      const std::string text = std::to_string(id);
      rows.add(stored.back(), r % 3 == 0 ? IdView(std::string_view(text)) : IdView(id), block_rows);
    }
    blocks = rows.scan_blocks();
    sketches = make_sketches(rows.shape(), blocks);
    for (std::uint32_t q = 0; q < query_count; ++q) {
      const bool near_row = q % 2 == 1 && row_count != 0;
      queries.emplace_back(shape, near_row ? stored[q * 37 % row_count] : source.next_row(),
                           q % 4 == 3 ? 1e-6f : 0.0f);
    }
    bits.push_back(rows.all_bits());
    bits.push_back(thinned(bits[0], 2, seed + 1));
    bits.push_back(thinned(bits[0], 40, seed + 2));
    bits.push_back(thinned(bits[0], 1'000'000'000, seed + 3));  // nobody
    if (!bits[1].empty()) bits[1][0].assign(bits[1][0].size(), 0);
    for (const Bits& words : bits) masks.push_back(make_mask(words));
  }

  ScanRequest request(const std::vector<ScanQuery>& views, std::uint32_t threads) const {
    ScanRequest request;
    request.shape = rows.shape();
    request.blocks = blocks;
    request.masks = masks;
    request.queries = views;
    request.threads = threads;
    return request;
  }
  // Looked for once, for all scanners.
  const std::vector<OracleRow>& truth(const ScanQuery& query) const {
    const auto* const asked =
        query.bits != nullptr ? static_cast<const void*>(query.bits) : query.f32;
    std::uint64_t seen = 0;
    for (const ScanBlock& block : blocks) seen += block.count;
    const auto [found, fresh] = truths.try_emplace({asked, query.mask, seen});
    if (fresh) found->second = oracle_rows(rows.shape(), blocks, masks[query.mask], asked);
    return found->second;
  }

  TestRows rows;
  std::vector<ScanBlock> blocks;
  std::vector<std::shared_ptr<const SketchPlane>> sketches;
  std::vector<TestQuery> queries;
  std::vector<Bits> bits;
  std::vector<ScanMask> masks;
  // By the query's address, its mask, and how many rows are to be seen.
  mutable std::map<std::tuple<const void*, std::uint32_t, std::uint64_t>, std::vector<OracleRow>>
      truths;
};

// Scans, rescores, scans once more where that was not certified, and compares with the oracle.
// Returns how many queries had to be scanned again.
int check_answers(Scanner& scanner, const Case& data, std::uint32_t k, std::uint32_t want,
                  std::uint32_t threads) {
  std::vector<ScanQuery> views;
  for (std::size_t q = 0; q < data.queries.size(); ++q) {
    views.push_back(data.queries[q].view());
    views.back().want = want;
    views.back().k = q % 2 == 0 ? std::min(k, want) : 0;
    views.back().mask = static_cast<std::uint32_t>(q * 5 / 3 % data.masks.size());
  }
  ScanResult result;
  REQUIRE(scanner.scan(data.request(views, threads), result).ok());
  REQUIRE_FALSE(result.stopped);
  REQUIRE(result.queries.size() == views.size());
  int again = 0;
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  for (std::size_t q = 0; q < views.size(); ++q) {
    const std::vector<OracleRow>& truth = data.truth(views[q]);
    CAPTURE(q);
    REQUIRE(contract_violation(views[q], result.queries[q], truth) == "");
    Decision decision =
        rescore(data.rows.shape(), data.blocks, views[q], k, result.queries[q], spare, best);
    if (!decision.certified) {
      ++again;
      std::vector<ScanQuery> one{views[q]};
      one[0].limit = decision.limit;
      one[0].want = UINT32_MAX;
      ScanResult wider;
      REQUIRE(scanner.scan(data.request(one, threads), wider).ok());
      REQUIRE(contract_violation(one[0], wider.queries[0], truth) == "");
      decision = rescore(data.rows.shape(), data.blocks, one[0], k, wider.queries[0], spare, best);
      REQUIRE(decision.certified);
    }
    REQUIRE(answer_difference(data.blocks, best, truth, k) == "");
  }
  return again;
}

TEST_CASE("scanner: answers are the oracle's for every shape and kind of data", "[scanner]") {
  const auto scanners = scanners_here();
  for (const std::uint32_t dim : {1u, 3u, 16u, 17u, 64u, 127u}) {
    for (const RowShape& shape : all_shapes(dim)) {
      for (const DataKind kind : all_data_kinds()) {
        const std::uint64_t seed = dim * 100 + static_cast<std::uint64_t>(kind);
        const Case data(shape, kind, dim < 64 ? 217 : 330, 100, 6, seed);
        for (const auto& scanner : scanners) {
          CAPTURE(scanner->name(), dim, to_string(shape.metric), to_string(shape.type),
                  to_string(kind), seed);
          REQUIRE(scanner->supports(shape));
          static_cast<void>(check_answers(*scanner, data, 5, 9, 1));
        }
      }
    }
  }
}

TEST_CASE("scanner: any k and want, from one to more than there are rows", "[scanner]") {
  const auto scanners = scanners_here();
  for (const DataKind kind : {DataKind::normal, DataKind::ties, DataKind::equal}) {
    const Case data(RowShape::make(Metric::l2, ScalarType::f32, 15), kind, 700, 0, 5, 77);
    for (const std::uint32_t k : {1u, 2u, 64u, 699u, 700u, 1000u}) {
      for (const std::uint32_t want : {k, k + 7, 3 * k, UINT32_MAX}) {
        for (const auto& scanner : scanners) {
          CAPTURE(scanner->name(), to_string(kind), k, want);
          static_cast<void>(check_answers(*scanner, data, k, want, 1));
        }
      }
    }
  }
}

TEST_CASE("scanner: threads and batches change nothing", "[scanner]") {
  const auto scanners = scanners_here();
  for (const std::uint32_t query_count : {1u, 3u, 40u, 600u}) {
    const Case data(RowShape::make(Metric::l2, ScalarType::f32, 64), DataKind::near_ties, 4000,
                    1500, query_count, 5);
    for (const auto& scanner : scanners) {
      for (const std::uint32_t threads : {1u, 4u}) {
        CAPTURE(scanner->name(), query_count, threads);
        static_cast<void>(check_answers(*scanner, data, 10, 20, threads));
      }
    }
  }
}

TEST_CASE("scanner: ordinary data is certified at once", "[scanner]") {
  const auto scanners = scanners_here();
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine, Metric::l1}) {
    const Case data(RowShape::make(metric, ScalarType::f32, 128), DataKind::normal, 3000, 0, 12,
                    21);
    for (const auto& scanner : scanners) {
      CAPTURE(scanner->name(), to_string(metric));
      CHECK(check_answers(*scanner, data, 10, 20, 2) == 0);
    }
  }
}

// Of the first query of a list, whose limit is the distance of the row of that rank.
void check_limit(Scanner& scanner, const Case& data, std::vector<ScanQuery>& one,
                 std::size_t rank) {
  const std::vector<OracleRow>& truth = data.truth(one[0]);
  one[0].limit = truth[rank].distance;
  one[0].want = UINT32_MAX;
  ScanResult result;
  REQUIRE(scanner.scan(data.request(one, 1), result).ok());
  REQUIRE(contract_violation(one[0], result.queries[0], truth) == "");
  std::vector<Scored> best;
  std::vector<Candidate> spare;
  const Decision decision =
      rescore(data.rows.shape(), data.blocks, one[0], 500, result.queries[0], spare, best);
  REQUIRE(decision.certified);
  std::size_t within = rank;
  while (within < truth.size() && truth[within].distance <= one[0].limit) ++within;
  REQUIRE(answer_difference(data.blocks, best, truth, within) == "");
}

TEST_CASE("scanner: a limit leaves out what is beyond it and nothing else", "[scanner]") {
  const auto scanners = scanners_here();
  for (const RowShape& shape : all_shapes(17)) {
    const Case data(shape, DataKind::normal, 500, 128, 4, 3);
    for (const auto& scanner : scanners) {
      for (const TestQuery& query : data.queries) {
        std::vector<ScanQuery> one{query.view()};
        for (const std::size_t rank : {std::size_t{0}, std::size_t{40}, std::size_t{499}}) {
          CAPTURE(scanner->name(), to_string(shape.metric), to_string(shape.type), rank);
          check_limit(*scanner, data, one, rank);
        }
      }
    }
  }
}

TEST_CASE("scanner: no rows and no queries are fine", "[scanner]") {
  for (const auto& scanner : scanners_here()) {
    const Case data(RowShape::make(Metric::l2, ScalarType::f32, 4), DataKind::normal, 0, 0, 2, 1);
    static_cast<void>(check_answers(*scanner, data, 3, 3, 4));
    ScanResult result;
    REQUIRE(scanner->scan(data.request({}, 4), result).ok());
    CHECK(result.queries.empty());
  }
}

TEST_CASE("scanner: a published count below the block's size hides rows whose bits are set",
          "[scanner]") {
  for (const auto& scanner : scanners_here()) {
    Case data(RowShape::make(Metric::l2, ScalarType::f32, 8), DataKind::normal, 300, 0, 3, 8);
    for (const std::uint32_t count : {0u, 1u, 63u, 64u, 65u, 299u}) {
      CAPTURE(scanner->name(), count);
      data.blocks[0].count = count;
      static_cast<void>(check_answers(*scanner, data, 10, 12, 1));
    }
  }
}

TEST_CASE("scanner: a request that is to stop says so", "[scanner]") {
  for (const auto& scanner : scanners_here()) {
    const Case data(RowShape::make(Metric::l2, ScalarType::f32, 64), DataKind::normal, 3000, 0, 2,
                    4);
    CancelToken cancel;
    cancel.cancel();
    const StopCheck stop(kNoDeadline, &cancel);
    std::vector<ScanQuery> views{data.queries[0].view()};
    ScanRequest request = data.request(views, 4);
    request.stop = &stop;
    ScanResult result;
    REQUIRE(scanner->scan(request, result).ok());
    CHECK(result.stopped);
    const StopCheck late(Deadline::min(), nullptr);
    request.stop = &late;
    REQUIRE(scanner->scan(request, result).ok());
    CHECK(result.stopped);
    request.stop = nullptr;
    REQUIRE(scanner->scan(request, result).ok());
    CHECK_FALSE(result.stopped);
    CHECK(contract_violation(views[0], result.queries[0], data.truth(views[0])) == "");
  }
}

}  // namespace
