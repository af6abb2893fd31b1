// Loading and checking; see loaded_database.h. Main thread. Always holds: the memory that loading
// itself takes is one batch, so that bench_memory measures the database and not the bench. Used by
// bench_restart, bench_memory and bench_isolation, and for its planes by exact_search.
#include "tools/bench/loaded_database.h"

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>

#include "tools/bench/bench_report.h"

namespace vecserve::bench {
namespace {

constexpr std::uint64_t kBatchRows = 1000;
constexpr std::uint64_t kProgressRows = 200'000;
constexpr std::uint64_t kRowsChecked = 20;
constexpr std::chrono::minutes kSurveyMax{10};

// One step of splitmix64: cheap enough not to slow a load down.
std::uint64_t next_random(std::uint64_t& state) {
  state += 0x9e3779b97f4a7c15ull;
  std::uint64_t x = state;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}

void fill_row(const DatabaseShape& shape, std::uint64_t row, float* out) {
  std::uint64_t state = shape.seed * 0x100000001b3ull + row * 0x9e3779b1ull;
  for (std::uint32_t i = 0; i < shape.dim; ++i) {
    out[i] = static_cast<float>(static_cast<double>(next_random(state) >> 40) * 0x1p-23 - 1.0);
  }
}

}  // namespace

std::vector<float> row_vector(const DatabaseShape& shape, std::uint64_t row) {
  std::vector<float> vector(shape.dim);
  fill_row(shape, row, vector.data());
  return vector;
}

Collection load_rows(Database& database, const DatabaseShape& shape) {
  CollectionOptions options;
  options.dim = shape.dim;
  Result<Collection> made = database.create_collection("rows", options);
  require(made.ok(), made.status().to_string());
  Collection rows = *made;
  std::vector<float> vectors(kBatchRows * shape.dim);
  std::vector<RowInput> inputs(kBatchRows);
  for (std::uint64_t first = 0; first < shape.rows; first += kBatchRows) {
    const std::uint64_t count = std::min(kBatchRows, shape.rows - first);
    for (std::uint64_t i = 0; i < count; ++i) {
      float* const vector = vectors.data() + i * shape.dim;
      fill_row(shape, first + i, vector);
      inputs[i].id = RowId(first + i);
      inputs[i].vector = VectorView(std::span<const float>(vector, shape.dim));
    }
    const Result<WriteResult> result = rows.upsert(std::span<const RowInput>(inputs.data(), count));
    require(result.ok(), result.status().to_string());
    if (first > 0 && first % kProgressRows == 0) progress(std::to_string(first) + " rows written");
  }
  return rows;
}

void wait_for_planes(const Collection& rows) {
  const auto begin = std::chrono::steady_clock::now();
  for (;;) {
    const Result<CollectionStats> stats = rows.stats();
    require(stats.ok(), stats.status().to_string());
    if (stats->rows_surveyed == stats->rows) return;
    require(std::chrono::steady_clock::now() - begin < kSurveyMax, "the planes were never made");
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
}

void check_rows(const Collection& rows, const DatabaseShape& shape) {
  require(rows.count().value() == shape.rows, "the number of rows is wrong");
  for (std::uint64_t i = 0; i < kRowsChecked; ++i) {
    const std::uint64_t row = i * (shape.rows - 1) / (kRowsChecked - 1);
    const std::vector<float> vector = row_vector(shape, row);
    const auto found = rows.search(Query(vector));
    require(found.ok() && !found->empty() && found->front().id == RowId(row) &&
                found->front().distance == 0.0,
            "the search misses row " + std::to_string(row));
  }
}

}  // namespace vecserve::bench
