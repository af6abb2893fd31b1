// Synthetic data sets. Each kind is one function that fills one vector from its own random numbers.
// Comes below dataset.cc; runs on all cores. Always holds: rows and queries draw from different
// streams, so no query is a row by construction.
#include "tools/bench/dataset_synthetic.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>

#include "tools/bench/bench_report.h"
#include "tools/bench/spread.h"

namespace vecserve::bench {
namespace {

constexpr std::size_t kRowsPerPiece = 4096;
constexpr std::uint64_t kQueryStream = std::uint64_t{1} << 63;  // vector numbers of queries

// Well mixed 64-bit numbers from a counter.
class Random {
 public:
  Random(std::uint64_t seed, std::uint64_t vector)
      : state_(seed * 0x9e3779b97f4a7c15U ^ mix(vector)) {}

  std::uint64_t next() { return mix(state_ += 0x9e3779b97f4a7c15U); }
  double uniform() { return (static_cast<double>(next() >> 11) + 0.5) * 0x1p-53; }  // in (0, 1)
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double radius = std::sqrt(-2.0 * std::log(uniform()));
    const double angle = 2.0 * std::numbers::pi * uniform();
    spare_ = radius * std::sin(angle);
    has_spare_ = true;
    return radius * std::cos(angle);
  }

 private:
  static std::uint64_t mix(std::uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9U;
    x = (x ^ x >> 27) * 0x94d049bb133111ebU;
    return x ^ x >> 31;
  }

  std::uint64_t state_;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

void fill_normal(Random& random, std::span<float> out, double scale) {
  for (float& x : out) x = static_cast<float>(random.normal() * scale);
}

void fill_unit(Random& random, std::span<float> out) {
  std::vector<double> normal(out.size());
  double square = 0.0;
  for (double& x : normal) {
    x = random.normal();
    square += x * x;
  }
  const double inverse = 1.0 / std::sqrt(square);
  std::transform(normal.begin(), normal.end(), out.begin(),
                 [&](double x) { return static_cast<float>(x * inverse); });
}

// One vector of the set: `number` is the row's, or the query's with kQueryStream set.
using Fill = std::function<void(std::uint64_t number, std::span<float> out)>;

struct Kind {
  std::size_t rows = 0;
  std::uint32_t dim = 0;
  Fill fill;
};

bool is_query(std::uint64_t number) {
  return (number & kQueryStream) != 0;
}

// Few values per coordinate and few different rows: whole groups share a distance.
void fill_ties(std::uint64_t seed, std::uint64_t number, std::span<float> out) {
  constexpr std::uint64_t kDifferent = 500;
  Random random(seed, is_query(number) ? number : number % kDifferent);
  for (float& x : out) x = static_cast<float>(static_cast<int>(random.next() % 3) - 1);
}

// All rows on the unit sphere. Even queries are its centre, so that only rounding tells the rows
// apart; odd ones are so near to it that the distances differ by about one in ten million.
void fill_nearties(std::uint64_t seed, std::uint64_t number, std::span<float> out) {
  Random random(seed, number);
  fill_unit(random, out);
  if (!is_query(number)) return;
  const float scale = number % 2 == 0 ? 0.0f : 1e-7f;
  for (float& x : out) x *= scale;
}

void fill_outlier(std::uint64_t seed, std::uint64_t number, std::span<float> out) {
  constexpr std::uint64_t kOutlier = 123;
  constexpr float kHuge = 1e15f;
  Random random(seed, number);
  fill_normal(random, out, 1.0);
  if (number == kOutlier) out[out.size() / 2] = kHuge;
}

void fill_cluster(std::uint64_t seed, std::uint64_t number, std::span<float> out) {
  constexpr std::uint64_t kClusters = 200;
  constexpr double kWidth = 0.2;  // of a cluster, against 1 between the centres
  Random random(seed, number);
  Random centre(~seed, random.next() % kClusters);
  for (float& x : out) x = static_cast<float>(centre.normal() + kWidth * random.normal());
}

std::optional<Kind> kind_of(const std::string& name, std::uint64_t seed) {
  if (name.starts_with("unit")) {
    const std::string digits = name.substr(4);
    require(!digits.empty() && digits.size() <= 5 &&
                digits.find_first_not_of("0123456789") == std::string::npos,
            "unitN needs the dimension N, not: " + name);
    return Kind{200'000, static_cast<std::uint32_t>(std::stoul(digits)),
                [seed](std::uint64_t number, std::span<float> out) {
                  Random random(seed, number);
                  fill_unit(random, out);
                }};
  }
  const auto with_seed = [seed](auto fill) -> Fill {
    return [seed, fill](std::uint64_t number, std::span<float> out) { fill(seed, number, out); };
  };
  if (name == "gaussian") {
    return Kind{100'000, 128, [seed](std::uint64_t number, std::span<float> out) {
                  Random random(seed, number);
                  fill_normal(random, out, 1.0);
                }};
  }
  if (name == "clusters") return Kind{100'000, 128, with_seed(fill_cluster)};
  if (name == "ties") return Kind{50'000, 64, with_seed(fill_ties)};
  if (name == "nearties") return Kind{20'000, 96, with_seed(fill_nearties)};
  if (name == "outlier") return Kind{50'000, 128, with_seed(fill_outlier)};
  return std::nullopt;
}

void fill_all(const Fill& fill, std::uint64_t first, std::uint32_t dim, std::vector<float>& out) {
  const std::size_t count = out.size() / dim;
  spread((count + kRowsPerPiece - 1) / kRowsPerPiece, [&](std::size_t piece) {
    const std::size_t end = std::min(count, (piece + 1) * kRowsPerPiece);
    for (std::size_t i = piece * kRowsPerPiece; i < end; ++i) {
      fill(first + i, {out.data() + i * dim, dim});
    }
  });
}

}  // namespace

std::optional<Dataset> make_synthetic(const DatasetRequest& request) {
  const std::optional<Kind> kind = kind_of(request.name, request.seed);
  if (!kind.has_value()) return std::nullopt;
  Dataset data;
  data.name = request.name;
  data.dim = request.dim == 0 ? kind->dim : request.dim;
  require(data.dim >= 1 && data.dim <= 65536, "dim must be between 1 and 65536");
  data.rows.resize((request.rows == 0 ? kind->rows : request.rows) * data.dim);
  data.queries.resize(request.queries * data.dim);
  fill_all(kind->fill, 0, data.dim, data.rows);
  fill_all(kind->fill, kQueryStream, data.dim, data.queries);
  return data;
}

}  // namespace vecserve::bench
