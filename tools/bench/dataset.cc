// Finds a data set by its name. Comes before truth and exact_search; main thread. Always holds:
// what it returns has at least one row and one query of the same dimension.
// Part of bench_support, which every bench links.
#include "tools/bench/dataset.h"

#include <algorithm>
#include <cstring>

#include "tools/bench/bench_report.h"
#include "tools/bench/dataset_files.h"
#include "tools/bench/dataset_synthetic.h"

namespace vecserve::bench {
namespace {

constexpr std::size_t kQueriesDefault = 1000;
constexpr const char* kFashionFolder = "/usr/share/datasets/fashion-mnist/";

std::vector<float> first_of(std::vector<float> values, std::uint32_t dim, std::size_t count_max) {
  if (count_max != 0) values.resize(std::min(values.size(), count_max * dim));
  return values;
}

Dataset from_two_files(FileVectors rows, FileVectors queries, const DatasetRequest& request) {
  require(rows.dim == queries.dim, "rows and queries of " + request.name + " differ in dimension");
  Dataset data;
  data.name = request.name;
  data.dim = rows.dim;
  data.rows = first_of(std::move(rows.values), data.dim, request.rows);
  data.queries = first_of(std::move(queries.values), data.dim, request.queries);
  return data;
}

Dataset from_one_file(FileVectors file, const DatasetRequest& request) {
  const std::size_t count = file.values.size() / file.dim;
  const std::size_t held_out = std::min(request.queries, count / 10);
  FileVectors queries{file.dim, {}};
  const auto split = file.values.end() - static_cast<std::ptrdiff_t>(held_out * file.dim);
  queries.values.assign(split, file.values.end());
  file.values.erase(split, file.values.end());
  return from_two_files(std::move(file), std::move(queries), request);
}

Dataset find_dataset(const DatasetRequest& request) {
  const std::string& name = request.name;
  if (name == "fashion-mnist") {
    const std::string folder = kFashionFolder;
    return from_two_files(read_idx_gz(folder + "train-images-idx3-ubyte.gz"),
                          read_idx_gz(folder + "t10k-images-idx3-ubyte.gz"), request);
  }
  if (name == "text" || name == "sift") {
    const std::string stem = request.folder + "/data/" + name;
    return from_two_files(read_npy(stem + "_rows.npy"), read_npy(stem + "_queries.npy"), request);
  }
  if (name.ends_with(".npy")) return from_one_file(read_npy(name), request);
  if (name.ends_with(".fvecs")) return from_one_file(read_fvecs(name), request);
  std::optional<Dataset> synthetic = make_synthetic(request);
  require(synthetic.has_value(), "no data set has the name " + name);
  return *std::move(synthetic);
}

std::uint64_t mix(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9e3779b97f4a7c15U;
  return hash ^ hash >> 32;
}

std::uint64_t hash_floats(std::uint64_t hash, const std::vector<float>& values) {
  for (const float value : values) {
    std::uint32_t word = 0;
    std::memcpy(&word, &value, sizeof(word));
    hash = mix(hash, word);
  }
  return mix(hash, values.size());
}

}  // namespace

void add_data_flags(CLI::App& app, DatasetRequest& request) {
  app.add_option("--data", request.name, "a data set, see dataset.h, or a .npy or .fvecs file");
  app.add_option("--rows", request.rows, "at most so many rows");
  app.add_option("--dim", request.dim, "of synthetic sets");
  app.add_option("--queries", request.queries, "at most so many different queries (1,000)");
  app.add_option("--folder", request.folder, "where made data and right answers are kept");
}

Dataset load_dataset(const DatasetRequest& request) {
  DatasetRequest filled = request;
  if (filled.queries == 0) filled.queries = kQueriesDefault;
  Dataset data = find_dataset(filled);
  require(data.row_count() > 0 && data.query_count() > 0, request.name + " is empty");
  return data;
}

std::uint32_t bucket_of(std::size_t row) {
  return static_cast<std::uint32_t>(mix(0x243f6a8885a308d3U, row) % kBuckets);
}

std::uint64_t fingerprint(const Dataset& data) {
  return hash_floats(hash_floats(mix(0, data.dim), data.rows), data.queries);
}

}  // namespace vecserve::bench
