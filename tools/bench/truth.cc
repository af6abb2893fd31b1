// Scores a block of queries against every row in doubles, eight sums side by side. Comes after
// dataset; one block of queries per core at a time. Always holds: each sum is made in the order
// that truth.h promises whatever the instruction set, since nothing here is contracted or
// reordered.
#include "tools/bench/truth.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "tools/bench/bench_report.h"
#include "tools/bench/spread.h"
#include "tools/bench/widths.h"

namespace vecserve::bench {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kTogether = 4;       // queries that share the load of a row
constexpr std::size_t kBlockQueries = 16;  // 100 KiB of doubles at 784 dimensions: the second cache

using Lanes [[gnu::vector_size(kLanes * sizeof(double)), gnu::may_alias]] = double;

// For kTogether padded queries (one after another) and one padded row: their eight sums each.
template <int kind>  // 0: squared differences, 1: products, 2: absolute differences
VECSERVE_BENCH_WIDTHS void sum_lanes(const double* queries, const double* row, std::size_t padded,
                                     double* sums) {
  Lanes total[kTogether] = {};
  for (std::size_t i = 0; i < padded; i += kLanes) {
    Lanes x;
    std::memcpy(&x, row + i, sizeof(x));
    for (std::size_t q = 0; q < kTogether; ++q) {
      Lanes y;
      std::memcpy(&y, queries + q * padded + i, sizeof(y));
      if constexpr (kind == 1) {
        total[q] += y * x;
      } else {
        Lanes difference = y - x;
        if constexpr (kind == 0) {
          difference *= difference;
        } else {
          difference = difference < 0.0 ? -difference : difference;
        }
        total[q] += difference;
      }
    }
  }
  std::memcpy(sums, total, sizeof(total));
}

double add_lanes(const double* sums) {
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

void widen(std::span<const float> from, double* to) {
  std::copy(from.begin(), from.end(), to);
}

// Of one vector with itself.
double square_of(const std::vector<double>& padded) {
  double sums[kLanes] = {};
  for (std::size_t i = 0; i < padded.size(); ++i) sums[i % kLanes] += padded[i] * padded[i];
  return add_lanes(sums);
}

struct Found {
  double distance = 0.0;
  std::uint32_t id = 0;
  friend bool operator<(const Found& a, const Found& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.id < b.id;
  }
};

// The k nearest so far, the farthest of them on top. Rows must come in rising order of id.
class Nearest {
 public:
  explicit Nearest(std::size_t k) : k_(k) {}
  void add(Found found) {
    if (heap_.size() == k_) {
      if (!(found < heap_.front())) return;
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = found;
    } else {
      heap_.push_back(found);
    }
    std::push_heap(heap_.begin(), heap_.end());
  }
  [[nodiscard]] std::vector<Found> sorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    return std::move(heap_);
  }

 private:
  std::size_t k_;
  std::vector<Found> heap_;
};

double distance_of(Metric metric, double sum, double query_square, double row_square) {
  if (metric == Metric::dot) return 0.0 - sum;
  if (metric != Metric::cosine) return sum;
  const double lengths = std::sqrt(query_square) * std::sqrt(row_square);
  return lengths == 0.0 ? 1.0 : std::clamp(1.0 - sum / lengths, 0.0, 2.0);
}

void answer_block(const Dataset& data, const TruthRequest& request, std::size_t first,
                  Truth& truth) {
  const std::size_t count = std::min(kBlockQueries, data.query_count() - first);
  const std::size_t padded = (data.dim + kLanes - 1) / kLanes * kLanes;
  const auto sum = request.metric == Metric::l2   ? sum_lanes<0>
                   : request.metric == Metric::l1 ? sum_lanes<2>
                                                  : sum_lanes<1>;
  std::vector<double> queries(kBlockQueries * padded);
  std::vector<double> squares(kBlockQueries);
  std::vector<double> row(padded);
  for (std::size_t q = 0; q < count; ++q) {
    widen(data.query(first + q), row.data());
    std::copy(row.begin(), row.end(), queries.begin() + static_cast<std::ptrdiff_t>(q * padded));
    squares[q] = square_of(row);
  }
  std::vector<Nearest> nearest(count, Nearest(truth.per_query));
  double sums[kTogether * kLanes];
  for (std::size_t r = 0; r < data.row_count(); ++r) {
    if (request.buckets < kBuckets && bucket_of(r) >= request.buckets) continue;
    widen(data.row(r), row.data());
    const double row_square = request.metric == Metric::cosine ? square_of(row) : 0.0;
    for (std::size_t q = 0; q < count; ++q) {
      if (q % kTogether == 0) sum(queries.data() + q * padded, row.data(), padded, sums);
      const double total = add_lanes(sums + q % kTogether * kLanes);
      nearest[q].add({distance_of(request.metric, total, squares[q], row_square),
                      static_cast<std::uint32_t>(r)});
    }
  }
  for (std::size_t q = 0; q < count; ++q) {
    std::size_t at = (first + q) * truth.per_query;
    for (const Found& found : nearest[q].sorted()) {
      truth.ids[at] = found.id;
      truth.distances[at++] = found.distance;
    }
  }
}

// ---- the file
// ------------------------------------------------------------------------------------

struct Header {
  std::uint64_t magic = 0x3148545552545356U;  // "VSTRUTH1"
  std::uint64_t data = 0;                     // fingerprint
  std::uint64_t metric = 0;
  std::uint64_t buckets = 0;
  std::uint64_t k = 0;
  std::uint64_t queries = 0;
  std::uint64_t per_query = 0;
  std::uint64_t checksum = 0;  // of ids and distances
};

std::uint64_t checksum_of(const Truth& truth) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  const auto add = [&](const void* bytes, std::size_t count) {
    const auto* at = static_cast<const unsigned char*>(bytes);
    for (std::size_t i = 0; i < count; ++i) hash = (hash ^ at[i]) * 0x100000001b3U;
  };
  add(truth.ids.data(), truth.ids.size() * sizeof(std::uint32_t));
  add(truth.distances.data(), truth.distances.size() * sizeof(double));
  return hash;
}

void size_truth(Truth& truth, std::size_t per_query, std::size_t queries) {
  truth.per_query = per_query;
  truth.ids.assign(per_query * queries, 0);
  truth.distances.assign(per_query * queries, 0.0);
}

bool read_truth(const std::string& path, const Header& wanted, Truth& truth) {
  std::ifstream in(path, std::ios::binary);
  Header header;
  in.read(reinterpret_cast<char*>(&header), sizeof(header));
  if (!in.good() || header.magic != wanted.magic || header.data != wanted.data ||
      header.metric != wanted.metric || header.buckets != wanted.buckets || header.k != wanted.k ||
      header.queries != wanted.queries || header.per_query > header.k) {
    return false;
  }
  size_truth(truth, header.per_query, header.queries);
  in.read(reinterpret_cast<char*>(truth.ids.data()),
          static_cast<std::streamsize>(truth.ids.size() * sizeof(std::uint32_t)));
  in.read(reinterpret_cast<char*>(truth.distances.data()),
          static_cast<std::streamsize>(truth.distances.size() * sizeof(double)));
  return in.good() && checksum_of(truth) == header.checksum;
}

void write_truth(const std::string& path, const Header& header, const Truth& truth) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&header), sizeof(header));
  out.write(reinterpret_cast<const char*>(truth.ids.data()),
            static_cast<std::streamsize>(truth.ids.size() * sizeof(std::uint32_t)));
  out.write(reinterpret_cast<const char*>(truth.distances.data()),
            static_cast<std::streamsize>(truth.distances.size() * sizeof(double)));
  out.close();
  require(out.good(), "cannot write " + path);
}

}  // namespace

Truth find_truth(const Dataset& data, const TruthRequest& request) {
  require(request.metric != Metric::hamming, "there is no truth for bits here");
  const std::size_t rows = data.row_count();
  std::size_t eligible = rows;
  if (request.buckets < kBuckets) {
    eligible = 0;
    for (std::size_t r = 0; r < rows; ++r) eligible += bucket_of(r) < request.buckets ? 1U : 0U;
  }
  Header header;
  header.data = request.folder.empty() ? 0 : fingerprint(data);
  header.metric = static_cast<std::uint64_t>(request.metric);
  header.buckets = std::min(request.buckets, kBuckets);
  header.k = request.k;
  header.queries = data.query_count();
  char name[64];
  std::snprintf(
      name, sizeof(name), "/truth-%016llx-%llu-%llu-%llu.bin",
      static_cast<unsigned long long>(header.data), static_cast<unsigned long long>(header.metric),
      static_cast<unsigned long long>(header.buckets), static_cast<unsigned long long>(header.k));
  const std::string path = request.folder + name;
  Truth truth;
  if (!request.folder.empty() && read_truth(path, header, truth)) return truth;

  size_truth(truth, std::min<std::size_t>(request.k, eligible), data.query_count());
  if (truth.per_query == 0) return truth;
  spread((data.query_count() + kBlockQueries - 1) / kBlockQueries,
         [&](std::size_t block) { answer_block(data, request, block * kBlockQueries, truth); });
  if (!request.folder.empty()) {
    std::filesystem::create_directories(request.folder);
    header.per_query = truth.per_query;
    header.checksum = checksum_of(truth);
    write_truth(path, header, truth);
  }
  return truth;
}

}  // namespace vecserve::bench
