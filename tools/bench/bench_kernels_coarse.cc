// The question: do the coarse kernels read rows as fast as memory gives them, and multiply as fast
// as the machine can?
//   bench_kernels_coarse [--kernels NAME] [--dim N] [--mib N] [--smoke] [--json -]
// Columns: kernels, metric, dim; queries scored together (1 to 64); gb_s, the bytes of the
// plane a second; gterms_s, 10^9 coordinates a second; read_share and unit_share, of what a plain
// reading loop and a plain loop of the byte-multiplying unit reach in the same run. One thread.
// Every case first compares its survivors with those of the generic kernels.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "engine/base/aligned_buffer.h"
#include "engine/rows/coarse_plane.h"
#include "engine/scan/coarse_kernels.h"
#include "tools/bench/bench_report.h"
#include "tools/bench/ceilings.h"

namespace vecserve::bench {
namespace {

using engine::AlignedBuffer;
using engine::CoarseKernels;
using engine::CoarseLimit;
using engine::CoarsePlane;
using engine::CoarseQuery;
using engine::CoarseRows;
using engine::kCoarseQueries;
using engine::RowShape;
using engine::Survivor;

struct Flags {
  CommonFlags common;
  std::string kernels;
  std::uint32_t dim = 0;
  std::size_t mib = 256;
};

// Blocks of random rows, and queries whose limits few of them are within.
class Data {
 public:
  Data(Metric metric, std::uint32_t dim, std::size_t bytes, std::uint64_t seed)
      : shape_(RowShape::make(metric, ScalarType::f32, dim)),
        codes_(kCoarseQueries * CoarsePlane::bytes_per_row(shape_)),
        packed_(codes_.size()),
        found_(std::size_t{kCoarseQueries} * shape_.capacity),
        counts_(kCoarseQueries) {
    const std::size_t block_bytes = shape_.capacity * CoarsePlane::bytes_per_row(shape_);
    const std::vector<float> floats = random_floats(std::size_t{997} * dim, seed);
    for (std::size_t made = 0; made < std::max(bytes, block_bytes); made += block_bytes) {
      blocks_.push_back(std::make_unique<CoarsePlane>(shape_, AlignedBuffer::Use::full));
      for (std::uint32_t r = 0; r < shape_.capacity; ++r) {
        const float* row = &floats[(r * 31 + blocks_.size()) % 997 * dim];
        blocks_.back()->set(r, reinterpret_cast<const std::byte*>(row));
      }
    }
    const std::vector<float> asked = random_floats(std::size_t{kCoarseQueries} * dim, seed + 1);
    auto* const codes = reinterpret_cast<std::int8_t*>(codes_.data());
    for (std::uint32_t q = 0; q < kCoarseQueries; ++q) {
      add_limit(engine::make_coarse_query(metric, &asked[std::size_t{q} * dim], dim,
                                          codes + std::size_t{q} * blocks_[0]->stride()));
    }
    engine::pack_queries(codes, blocks_[0]->stride(), kCoarseQueries,
                         reinterpret_cast<std::int8_t*>(packed_.data()));
  }

  // How many survive.
  std::size_t scan(const CoarseKernels& table, std::uint32_t queries, std::size_t block) {
    const CoarsePlane& plane = *blocks_[block];
    const CoarseRows rows{plane.codes(),   plane.stride(),    plane.scales(),
                          plane.squares(), plane.residuals(), plane.norms(),
                          nullptr,         shape_.capacity,   shape_.dim};
    const bool l2 = shape_.metric == Metric::l2;
    if (queries == 1) {
      return (l2 ? table.one_l2 : table.one_dot)(
          rows, reinterpret_cast<const std::int8_t*>(codes_.data()), limits_[0], found_.data());
    }
    (l2 ? table.batch_l2 : table.batch_dot)(
        rows, {reinterpret_cast<const std::int8_t*>(packed_.data()), limits_.data(), queries,
               found_.data(), shape_.capacity, counts_.data(),
               reinterpret_cast<const std::int8_t*>(codes_.data())});
    std::size_t sum = 0;
    for (std::uint32_t q = 0; q < queries; ++q) sum += counts_[q];
    return sum;
  }

  [[nodiscard]] const RowShape& shape() const { return shape_; }
  [[nodiscard]] std::size_t blocks() const { return blocks_.size(); }

 private:
  // Coordinates between -1 and 1: squared distances are 2 d / 3 on average with a deviation of
  // 0.79 sqrt(d), products 0 with sqrt(d) / 3. Three deviations off leave about one row in 1,000.
  void add_limit(const CoarseQuery& query) {
    const bool l2 = shape_.metric == Metric::l2;
    const auto dim = static_cast<float>(shape_.dim);
    CoarseLimit limit;
    limit.scale = l2 ? 2 * query.scale : query.scale;
    limit.square = query.square;
    limit.reach = l2 ? std::sqrt(dim * 0.667f - 2.37f * std::sqrt(dim)) : -std::sqrt(dim);
    limit.residual = query.residual;
    limit.coarse_norm = query.coarse_norm;
    limit.bias = 128 * query.code_sum;
    limits_.push_back(limit);
  }

  RowShape shape_;
  std::vector<std::unique_ptr<CoarsePlane>> blocks_;
  AlignedBuffer codes_;
  AlignedBuffer packed_;
  std::vector<CoarseLimit> limits_;
  std::vector<Survivor> found_;
  std::vector<std::uint32_t> counts_;
};

void measure(const Flags& flags, const CoarseKernels& table, Data& data, std::uint32_t queries,
             CeilingProbe& probe, Report& report) {
  const RowShape& shape = data.shape();
  const CoarseKernels& plain = engine::coarse_kernels_for("generic");
  const std::size_t expected = data.scan(plain, queries, 0);
  const std::size_t found = data.scan(table, queries, 0);
  // Rows at the very border may fall on either side.
  require(std::max(found, expected) - std::min(found, expected) <= 2 + expected / 1000,
          "a coarse kernel keeps other rows");
  probe.use_units(probe.f32_unit(), i8_unit_of(table.name));
  double best = 1e9;
  for (int run = 0; run < (flags.common.smoke ? 1 : 4); ++run) {
    probe.measure();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t block = 0; block < data.blocks(); ++block) data.scan(table, queries, block);
    best = std::min(
        best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  const double rows = static_cast<double>(data.blocks()) * shape.capacity;
  const double bytes = rows * static_cast<double>(CoarsePlane::bytes_per_row(shape));
  const double terms = rows * shape.dim * queries;
  report.add({{"kernels", table.name},
              {"metric", to_string(shape.metric)},
              {"dim", shape.dim},
              {"queries", queries},
              {"gb_s", bytes / best / 1e9},
              {"gterms_s", terms / best / 1e9},
              {"read_share", bytes / best / probe.best().read_bytes},
              {"unit", probe.i8_unit()},
              {"unit_share", terms / best / probe.best().i8_terms},
              {"survivors", found}});
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("How fast the coarse kernels read and multiply");
  add_common_flags(app, flags.common);
  app.add_option("--kernels", flags.kernels, "only this table");
  app.add_option("--dim", flags.dim, "only this dimension (default: 128 and 784)");
  app.add_option("--mib", flags.mib, "MiB of rows per case");
  parse_flags(app, argc, argv);
  Report report("kernels_coarse", flags.common);
  std::vector<std::uint32_t> dims{128, 784};
  if (flags.dim != 0) dims = {flags.dim};
  const std::size_t bytes = flags.common.smoke ? std::size_t{1} << 20 : flags.mib << 20;
  CeilingProbe probe(1, bytes, flags.common.smoke ? 0.001 : 0.05);
  for (const std::uint32_t dim : dims) {
    for (const Metric metric : {Metric::l2, Metric::dot}) {
      Data data(metric, dim, bytes, flags.common.seed);
      for (const CoarseKernels* table : engine::coarse_kernel_tables()) {
        if (!table->supported()) continue;
        if (!flags.kernels.empty() && flags.kernels != table->name) continue;
        for (const std::uint32_t queries : {1u, 4u, 10u, 16u, kCoarseQueries}) {
          measure(flags, *table, data, queries, probe, report);
        }
      }
    }
  }
}

}  // namespace
}  // namespace vecserve::bench

int main(int argc, char** argv) {
  return vecserve::bench::run_bench("kernels_coarse", vecserve::bench::run, argc, argv);
}
