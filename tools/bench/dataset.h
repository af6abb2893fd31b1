// The vectors that benches of search work on: real sets read from files, and synthetic ones, hard
// ones among them. Comes before truth.h, which finds the right answers, and exact_search.h, which
// measures. Main thread, which spreads heavy work over all cores. Always holds: rows and queries
// are finite, and the same name, shape and seed give the same bytes.
#pragma once

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace vecserve::bench {

struct Dataset {
  std::string name;
  std::uint32_t dim = 0;
  std::vector<float> rows;     // one after another; the row's number is its id
  std::vector<float> queries;  // never among the rows

  [[nodiscard]] std::size_t row_count() const { return dim == 0 ? 0 : rows.size() / dim; }
  [[nodiscard]] std::size_t query_count() const { return dim == 0 ? 0 : queries.size() / dim; }
  [[nodiscard]] std::span<const float> row(std::size_t index) const {
    return {rows.data() + index * dim, dim};
  }
  [[nodiscard]] std::span<const float> query(std::size_t index) const {
    return {queries.data() + index * dim, dim};
  }
};

struct DatasetRequest {
  // fashion-mnist: Debian's package dataset-fashion-mnist, 60,000 x 784.
  // text: tf-idf and SVD of package descriptions, about 63,000 x 256 (data/make_text.py).
  // sift: descriptors of packaged photographs, 1,000,000 x 128 (data/make_sift.py).
  // unit768, unit384 (any unitN): random unit vectors, 200,000 rows: the worst case of a cascade.
  // gaussian: independent normal coordinates, 100,000 x 128.
  // clusters: a mixture of 200 narrow normals around random centres, 100,000 x 128.
  // ties: 500 different rows, each stored 100 times. nearties: all rows within rounding of one
  // distance from the queries. outlier: gaussian with one coordinate of 10^15.
  // A path that ends in .npy or .fvecs: its last rows, at most a tenth, become the queries.
  std::string name = "fashion-mnist";
  std::size_t rows = 0;     // 0: as above. Files: at most so many
  std::uint32_t dim = 0;    // 0: as above; synthetic sets only
  std::size_t queries = 0;  // at most; 0: 1,000
  std::uint64_t seed = 1;
  std::string folder = "build/bench";  // where made data sets are, below data/
};

// The flags that choose one: --data, --rows, --dim, --queries, --folder.
void add_data_flags(CLI::App& app, DatasetRequest& request);

// Throws std::runtime_error that says what is missing.
[[nodiscard]] Dataset load_dataset(const DatasetRequest& request);

// Rows carry a field "bucket" between 0 and kBuckets - 1 that filters select shares by.
inline constexpr std::uint32_t kBuckets = 1000;
[[nodiscard]] std::uint32_t bucket_of(std::size_t row);

// A number that is different for different contents.
[[nodiscard]] std::uint64_t fingerprint(const Dataset& data);

}  // namespace vecserve::bench
