// The question: does a kernel read rows as fast as memory gives them?
//   bench_kernels [--kernels NAME] [--dim N] [--mib N] [--list] [--smoke] [--json -]
// Columns: kernels, metric, type, dim; queries scored together (1 or 32); gb_s, the rows' bytes per
// second; read_gb_s, a plain loop that only reads them, in the same run; share, of the first in the
// second (with 32 queries a share below 1 is no loss: gterms_s, 10^9 coordinates a second, tells).
// One thread. Every case first compares its sums with the generic kernels.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>

#include "engine/base/aligned_buffer.h"
#include "engine/base/half.h"
#include "engine/scan/cpu_scanner.h"
#include "engine/scan/kernels.h"
#include "tools/bench/bench_report.h"

namespace vecserve::bench {
namespace {

using engine::AlignedBuffer;
using engine::KernelTable;
using engine::kTileQueries;
using engine::kTileRows;
using engine::RowShape;

struct Flags {
  CommonFlags common;
  std::string kernels;
  std::uint32_t dim = 0;
  std::size_t mib = 64;
  bool list = false;
};

double seconds_of(const auto& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The best of a few runs: what the machine can do when nobody disturbs it.
double best_seconds(bool smoke, const auto& body) {
  double best = 1e9;
  for (int i = 0; i < (smoke ? 1 : 5); ++i) best = std::min(best, seconds_of(body));
  return best;
}

// Rows and queries of one shape; the rows repeat a short run of random ones.
struct Data {
  Data(const RowShape& shape_in, std::size_t bytes, std::uint64_t seed)
      : shape(shape_in),
        row_count(std::max<std::size_t>(1, bytes / shape.stride / kTileRows) * kTileRows),
        rows(row_count * shape.stride),
        queries(std::size_t{kTileQueries} * query_floats() * sizeof(float)) {
    const std::vector<float> values = random_floats(std::size_t{kTileRows} * shape.dim, seed);
    for (std::size_t r = 0; r < row_count; ++r) {
      std::byte* row = rows.data() + r * shape.stride;
      if (r >= kTileRows) {
        std::memcpy(row, rows.data() + r % kTileRows * shape.stride, shape.row_bytes);
      } else {
        store(&values[r * shape.dim], row);
      }
    }
    const std::vector<float> asked = random_floats(std::size_t{kTileQueries} * shape.dim, seed + 1);
    for (std::size_t q = 0; q < kTileQueries; ++q) {
      std::byte* at = queries.data() + q * query_floats() * sizeof(float);
      if (shape.type == ScalarType::bit) {
        store(&asked[q * shape.dim], at);
      } else {
        std::memcpy(at, &asked[q * shape.dim], shape.dim * sizeof(float));
      }
      floats.push_back(reinterpret_cast<const float*>(at));
      bits.push_back(reinterpret_cast<const std::uint64_t*>(at));
    }
  }

  [[nodiscard]] std::size_t query_floats() const { return (shape.dim + 15) / 16 * 16; }

  void store(const float* values, std::byte* row) const {
    for (std::uint32_t i = 0; i < shape.dim; ++i) {
      const std::uint16_t half = engine::f16_from_float(values[i]);
      const std::uint16_t brain = engine::bf16_from_float(values[i]);
      const auto i8 = static_cast<std::int8_t>(values[i] * 127);
      const auto u8 = static_cast<std::uint8_t>(std::abs(values[i]) * 255);
      switch (shape.type) {
        case ScalarType::f32:
          std::memcpy(row + std::size_t{i} * 4, &values[i], 4);
          break;
        case ScalarType::f16:
          std::memcpy(row + std::size_t{i} * 2, &half, 2);
          break;
        case ScalarType::bf16:
          std::memcpy(row + std::size_t{i} * 2, &brain, 2);
          break;
        case ScalarType::i8:
          std::memcpy(row + i, &i8, 1);
          break;
        case ScalarType::u8:
          std::memcpy(row + i, &u8, 1);
          break;
        case ScalarType::bit:
          if (values[i] > 0) row[i / 8] |= std::byte{1} << (i % 8);
          break;
      }
    }
  }

  // Scores the tile that begins with row `first`; counts of bits come as floats.
  void score(const KernelTable& table, std::size_t first, std::uint32_t query_count, float* sums,
             std::uint32_t* counts) const {
    const std::byte* at = rows.data() + first * shape.stride;
    if (shape.type == ScalarType::bit) {
      table.hamming({bits.data(), at, counts, shape.stride, query_count, kTileRows,
                     (shape.row_bytes + 7) / 8});
      for (std::size_t i = 0; i < std::size_t{query_count} * kTileRows; ++i) {
        sums[i] = static_cast<float>(counts[i]);
      }
    } else {
      engine::float_kernel(table, shape.metric, shape.type)(
          {floats.data(), at, sums, shape.stride, query_count, kTileRows, shape.dim});
    }
  }

  RowShape shape;
  std::size_t row_count;
  AlignedBuffer rows;
  AlignedBuffer queries;
  std::vector<const float*> floats;
  std::vector<const std::uint64_t*> bits;
};

std::uint64_t read_all(const AlignedBuffer& buffer) {
  std::uint64_t sums[8] = {};
  for (std::size_t i = 0; i + 64 <= buffer.size(); i += 64) {
    for (std::size_t lane = 0; lane < 8; ++lane) {
      std::uint64_t word;
      std::memcpy(&word, buffer.data() + i + lane * 8, 8);
      sums[lane] += word;
    }
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : sums) sum += lane;
  return sum;
}

void check(const Data& data, const KernelTable& table) {
  std::vector<float> mine(kTileQueries * kTileRows);
  std::vector<float> plain(mine.size());
  std::vector<std::uint32_t> counts(mine.size());
  data.score(table, 0, kTileQueries, mine.data(), counts.data());
  data.score(engine::generic_kernels(), 0, kTileQueries, plain.data(), counts.data());
  for (std::size_t i = 0; i < mine.size(); ++i) {
    const float slack = 1e-4f * std::fabs(plain[i]) + 1e-3f * static_cast<float>(data.shape.dim);
    require(std::fabs(mine[i] - plain[i]) <= slack, "a kernel sums differently");
  }
}

void measure(const Flags& flags, const KernelTable& table, const Data& data, double read_s,
             Report& report) {
  check(data, table);
  std::vector<float> sums(kTileQueries * kTileRows);
  std::vector<std::uint32_t> counts(sums.size());
  const double bytes = static_cast<double>(data.rows.size());
  for (const std::uint32_t query_count : {1u, kTileQueries}) {
    const double seconds = best_seconds(flags.common.smoke, [&] {
      for (std::size_t first = 0; first < data.row_count; first += kTileRows) {
        data.score(table, first, query_count, sums.data(), counts.data());
      }
    });
    const double terms = static_cast<double>(data.row_count) * data.shape.dim * query_count;
    report.add({{"kernels", table.name},
                {"metric", to_string(data.shape.metric)},
                {"type", to_string(data.shape.type)},
                {"dim", data.shape.dim},
                {"queries", query_count},
                {"gb_s", bytes / seconds / 1e9},
                {"read_gb_s", bytes / read_s / 1e9},
                {"share", read_s / seconds},
                {"gterms_s", terms / seconds / 1e9}});
  }
}

std::vector<RowShape> shapes_of(std::uint32_t dim) {
  std::vector<RowShape> shapes;
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::l1}) {  // cosine sums as dot
    for (const ScalarType type :
         {ScalarType::f32, ScalarType::f16, ScalarType::bf16, ScalarType::i8, ScalarType::u8}) {
      shapes.push_back(RowShape::make(metric, type, dim));
    }
  }
  shapes.push_back(RowShape::make(Metric::hamming, ScalarType::bit, dim));
  return shapes;
}

void run(int argc, char** argv) {
  Flags flags;
  CLI::App app("How fast the scan kernels read rows");
  add_common_flags(app, flags.common);
  app.add_option("--kernels", flags.kernels, "only this table");
  app.add_option("--dim", flags.dim, "only this dimension (default: 128 and 784)");
  app.add_option("--mib", flags.mib, "MiB of rows per case");
  app.add_flag("--list", flags.list, "print the kernel tables that run here, best first, and exit");
  parse_flags(app, argc, argv);
  if (flags.list) {
    for (const std::string_view name : engine::kernel_names()) std::puts(std::string(name).c_str());
    return;
  }
  Report report("kernels", flags.common);
  std::vector<std::uint32_t> dims{128, 784};
  if (flags.dim != 0) dims = {flags.dim};
  const std::size_t bytes = flags.common.smoke ? std::size_t{64} << 10 : flags.mib << 20;
  std::uint64_t kept = 0;  // so that the reading loop is not thrown away
  for (const std::uint32_t dim : dims) {
    for (const RowShape& shape : shapes_of(dim)) {
      const Data data(shape, bytes, flags.common.seed);
      const double read_s = best_seconds(flags.common.smoke, [&] { kept += read_all(data.rows); });
      for (const std::string_view name : engine::kernel_names()) {
        if (!flags.kernels.empty() && flags.kernels != name) continue;
        measure(flags, *engine::choose_kernels(name).value(), data, read_s, report);
      }
    }
  }
  if (kept == 1) progress("the rows add up to one");
}

}  // namespace
}  // namespace vecserve::bench

int main(int argc, char** argv) {
  return vecserve::bench::run_bench("kernels", vecserve::bench::run, argc, argv);
}
