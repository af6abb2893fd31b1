// One suite over every table of coarse kernels that this machine can run: against exact integer
// dot products and the rule of survival in long double, no row that must survive is lost, and no
// row that is clearly out stays. Single-threaded, seeded. Always holds: rows and answers lie in
// memory of exactly their size, so that sanitizers see a step beyond it.
#include "engine/scan/coarse_kernels.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdio>
#include <limits>
#include <random>
#include <vector>

namespace {

using namespace vecserve::engine;

using Real = long double;

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

std::vector<const CoarseKernels*> tables_here() {
  std::vector<const CoarseKernels*> tables;
  for (const CoarseKernels* table : coarse_kernel_tables()) {
    if (table->supported()) {
      tables.push_back(table);
    } else {
      std::printf("coarse kernels that this machine cannot run: %s\n", table->name);
    }
  }
  return tables;
}

enum class Codes { random, largest, opposite, small };

struct Case {
  std::uint32_t dim = 0;
  std::uint32_t rows = 0;
  std::uint32_t queries = 0;
  Codes codes = Codes::random;
  std::uint32_t eligible_percent = 100;  // 100: no mask
  float magnitude = 1.0f;
  std::uint64_t seed = 1;
};

// Rows and queries of a case, with bounds that such vectors could have.
class World {
 public:
  explicit World(const Case& wanted) : wanted_(wanted), random_(wanted.seed) {
    stride_ = (std::size_t{wanted.dim} + 63) / 64 * 64;
    row_codes_.assign(wanted.rows * stride_, 128);
    query_codes_.assign(wanted.queries * stride_, 0);
    for (std::uint32_t r = 0; r < wanted.rows; ++r) add_row(r);
    for (std::uint32_t q = 0; q < wanted.queries; ++q) add_query(q);
    packed_.resize((wanted.queries + 15) / 16 * 16 * stride_);
    pack_queries(query_codes_.data(), stride_, wanted.queries, packed_.data());
    eligible_.resize((wanted.rows + 63) / 64);
    for (std::uint32_t r = 0; r < eligible_.size() * 64; ++r) {
      if (random_() % 100 < wanted.eligible_percent)
        eligible_[r / 64] |= std::uint64_t{1} << r % 64;
    }
  }

  CoarseRows rows() const {
    CoarseRows rows;
    rows.codes = row_codes_.data();
    rows.stride = stride_;
    rows.scales = scales_.data();
    rows.squares = squares_.data();
    rows.residuals = residuals_.data();
    rows.norms = norms_.data();
    rows.eligible = wanted_.eligible_percent == 100 ? nullptr : eligible_.data();
    rows.count = wanted_.rows;
    rows.dim = wanted_.seed % 2 == 0 ? wanted_.dim : 0;
    return rows;
  }

  std::int64_t dot(std::uint32_t q, std::uint32_t r) const {
    std::int64_t sum = 0;
    for (std::uint32_t i = 0; i < wanted_.dim; ++i) {
      sum += (std::int64_t{row_codes_[r * stride_ + i]} - 128) * query_codes_[q * stride_ + i];
    }
    return sum;
  }

  // Which side of the rule a row is on: how far it could be moved by `share` of kScoreError.
  bool survives(bool l2, std::uint32_t q, std::uint32_t r, Real share) const {
    const CoarseLimit limit = limits(l2)[q];
    const Real error = share * kScoreError;
    const Real floor = share * kScoreFloor;
    const Real score = exact_score(l2, q, r);
    if (l2) {
      const Real reach = Real{limit.reach} + residuals_[r];
      return !(score - error * (Real{squares_[r]} + limit.square) - floor > reach * reach);
    }
    const Real slack = Real{limit.coarse_norm} * residuals_[r] + Real{limit.residual} * norms_[r] +
                       error * (Real{limit.coarse_norm} + limit.residual) * norms_[r] + floor;
    return !(score - slack > limit.reach);
  }

  Real exact_score(bool l2, std::uint32_t q, std::uint32_t r) const {
    const CoarseLimit limit = limits(l2)[q];
    const Real product = Real{limit.scale} * scales_[r] * static_cast<Real>(dot(q, r));
    return l2 ? Real{squares_[r]} + limit.square - product : -product;
  }
  Real score_error(bool l2, std::uint32_t q, std::uint32_t r) const {
    const CoarseLimit limit = limits(l2)[q];
    return kScoreFloor + kScoreError * (l2 ? Real{squares_[r]} + limit.square
                                           : Real{limit.coarse_norm} * norms_[r]);
  }
  bool eligible(std::uint32_t r) const {
    return wanted_.eligible_percent == 100 || (eligible_[r / 64] >> r % 64 & 1) != 0;
  }
  const std::vector<CoarseLimit>& limits(bool l2) const { return l2 ? l2_limits_ : dot_limits_; }
  const std::int8_t* query(std::uint32_t q) const { return &query_codes_[q * stride_]; }
  const std::int8_t* packed() const { return packed_.data(); }
  const Case& wanted() const { return wanted_; }

 private:
  float uniform() { return static_cast<float>(random_() % 1'000'000) * 1e-6f; }

  int code(bool of_query) {
    switch (wanted_.codes) {
      case Codes::random:
        return static_cast<int>(random_() % 255) - 127;
      case Codes::largest:
        return 127;
      case Codes::opposite:
        return of_query ? -127 : 127;
      case Codes::small:
        return static_cast<int>(random_() % 3) - 1;
    }
    return 0;
  }

  void add_row(std::uint32_t r) {
    Real square = 0;
    for (std::uint32_t i = 0; i < wanted_.dim; ++i) {
      const int value = code(false);
      row_codes_[r * stride_ + i] = static_cast<std::uint8_t>(value + 128);
      square += static_cast<Real>(value * value);
    }
    const bool infinite = r % 29 == 13;
    const float scale = infinite ? 0.0f : wanted_.magnitude * (0.5f + uniform()) / 127.0f;
    scales_.push_back(scale);
    squares_.push_back(static_cast<float>(square * scale * scale));
    const float norm = std::sqrt(squares_.back());
    residuals_.push_back(infinite ? kInfinity : norm * 0.005f * uniform());
    norms_.push_back(infinite ? kInfinity : norm + residuals_.back());
  }

  void add_query(std::uint32_t q) {
    Real square = 0;
    std::int32_t sum = 0;
    for (std::uint32_t i = 0; i < wanted_.dim; ++i) {
      const int value = code(true);
      query_codes_[q * stride_ + i] = static_cast<std::int8_t>(value);
      square += static_cast<Real>(value * value);
      sum += value;
    }
    const float scale = wanted_.magnitude * (0.5f + uniform()) / 127.0f;
    CoarseLimit limit;
    limit.bias = 128 * sum;
    limit.square = static_cast<float>(square * scale * scale);
    limit.coarse_norm = std::sqrt(limit.square) * 1.000001f;
    limit.residual = limit.coarse_norm * 0.005f * uniform();
    limit.scale = 2 * scale;
    l2_limits_.push_back(limit);
    limit.scale = scale;
    dot_limits_.push_back(limit);
    set_reach(q);
  }

  // At or near the border for some row, so that rows fall on both sides of it: for one query in
  // three just where the row must survive by less than half of kScoreError.
  void set_reach(std::uint32_t q) {
    float l2_reach = uniform();
    float dot_reach = -uniform();
    if (wanted_.rows != 0) {
      const auto r = static_cast<std::uint32_t>(random_() % wanted_.rows);
      const Real off = q % 3 == 0 ? -0.49L : (Real{uniform()} - 0.5L) * 4;
      const CoarseLimit& limit = l2_limits_[q];
      const Real l2_border =
          exact_score(true, q, r) + off * kScoreError * (Real{squares_[r]} + limit.square);
      const Real dot_border =
          exact_score(false, q, r) - Real{limit.coarse_norm} * residuals_[r] -
          (limit.residual - off * kScoreError * (Real{limit.coarse_norm} + limit.residual)) *
              norms_[r];
      if (norms_[r] < kInfinity) {
        l2_reach = static_cast<float>(std::sqrt(std::max(0.0L, l2_border)) - residuals_[r]);
        l2_reach = std::max(0.0f, l2_reach);
        dot_reach = static_cast<float>(dot_border);
      }
    }
    if (q % 11 == 7) l2_reach = dot_reach = kInfinity;
    if (q % 13 == 5) l2_reach = dot_reach = kNaN;
    if (q % 17 == 3) {
      l2_reach = 0.0f;
      dot_reach = -kInfinity;
    }
    l2_limits_[q].reach = l2_reach;
    dot_limits_[q].reach = dot_reach;
  }

  Case wanted_;
  std::mt19937_64 random_;
  std::size_t stride_ = 0;
  std::vector<std::uint8_t> row_codes_;
  std::vector<std::int8_t> query_codes_;
  std::vector<std::int8_t> packed_;
  std::vector<float> scales_;
  std::vector<float> squares_;
  std::vector<float> residuals_;
  std::vector<float> norms_;
  std::vector<std::uint64_t> eligible_;
  std::vector<CoarseLimit> l2_limits_;
  std::vector<CoarseLimit> dot_limits_;
};

// What one query got, against the rule.
void check_survivors(const World& world, bool l2, std::uint32_t q, const Survivor* found,
                     std::uint32_t count) {
  const std::uint32_t rows = world.wanted().rows;
  REQUIRE(count <= rows);
  std::vector<const Survivor*> at(rows, nullptr);
  for (std::uint32_t i = 0; i < count; ++i) {
    REQUIRE(found[i].row < rows);
    REQUIRE(at[found[i].row] == nullptr);
    at[found[i].row] = &found[i];
  }
  std::uint32_t lost = 0;
  std::uint32_t kept_wrongly = 0;
  std::uint32_t wrong_scores = 0;
  for (std::uint32_t r = 0; r < rows; ++r) {
    if (at[r] == nullptr) {
      if (world.eligible(r) && world.survives(l2, q, r, 0.5L)) ++lost;
      continue;
    }
    if (!world.eligible(r) || !world.survives(l2, q, r, 2.0L)) ++kept_wrongly;
    const Real off = std::fabs(Real{at[r]->score} - world.exact_score(l2, q, r));
    if (off > world.score_error(l2, q, r)) ++wrong_scores;
  }
  CHECK(lost == 0);
  CHECK(kept_wrongly == 0);
  CHECK(wrong_scores == 0);
}

void check_table(const CoarseKernels& table, const World& world, bool l2) {
  const Case& wanted = world.wanted();
  CAPTURE(table.name, l2, wanted.dim, wanted.rows, wanted.queries, static_cast<int>(wanted.codes),
          wanted.eligible_percent, wanted.magnitude, wanted.seed);
  const CoarseRows rows = world.rows();
  std::vector<Survivor> found(std::size_t{wanted.rows} * wanted.queries);
  std::vector<std::uint32_t> counts(wanted.queries, 99'999);
  CoarseBatch batch;
  batch.packed = world.packed();
  batch.limits = world.limits(l2).data();
  batch.query_count = wanted.queries;
  batch.out = found.data();
  batch.out_stride = wanted.rows;
  batch.counts = counts.data();
  // With the packed queries alone, and with the others beside them.
  for (const std::int8_t* codes : {static_cast<const std::int8_t*>(nullptr), world.query(0)}) {
    batch.codes = codes;
    (l2 ? table.batch_l2 : table.batch_dot)(rows, batch);
    for (std::uint32_t q = 0; q < wanted.queries; ++q) {
      CAPTURE(q, codes == nullptr);
      check_survivors(world, l2, q, found.data() + std::size_t{q} * wanted.rows, counts[q]);
    }
  }
  std::vector<Survivor> alone(wanted.rows);
  for (std::uint32_t q = 0; q < std::min(wanted.queries, 9u); ++q) {
    CAPTURE(q);
    const std::uint32_t count = (l2 ? table.one_l2 : table.one_dot)(
        rows, world.query(q), world.limits(l2)[q], alone.data());
    check_survivors(world, l2, q, alone.data(), count);
  }
}

void check_all(const Case& wanted) {
  const World world(wanted);
  for (const CoarseKernels* table : tables_here()) {
    check_table(*table, world, true);
    check_table(*table, world, false);
  }
}

TEST_CASE("coarse kernels: every dimension on and around what registers hold", "[kernels]") {
  std::uint64_t seed = 100;
  for (const std::uint32_t dim :
       {1u, 3u, 4u, 15u, 16u, 17u, 63u, 64u, 65u, 100u, 128u, 784u, 1023u}) {
    for (const std::uint32_t percent : {100u, 60u}) {
      check_all(
          {.dim = dim, .rows = 45, .queries = 18, .eligible_percent = percent, .seed = seed++});
    }
  }
}

TEST_CASE("coarse kernels: any number of rows", "[kernels]") {
  std::uint64_t seed = 200;
  for (const std::uint32_t rows : {0u, 1u, 2u, 11u, 12u, 13u, 15u, 16u, 17u, 31u, 32u, 33u, 63u,
                                   64u, 65u, 127u, 128u, 129u, 200u}) {
    for (const std::uint32_t percent : {100u, 95u, 30u, 3u, 0u}) {
      check_all(
          {.dim = 40, .rows = rows, .queries = 5, .eligible_percent = percent, .seed = seed++});
    }
  }
}

TEST_CASE("coarse kernels: any number of queries", "[kernels]") {
  for (std::uint32_t queries = 1; queries <= kCoarseQueries; ++queries) {
    check_all({.dim = 70, .rows = 30, .queries = queries, .seed = 300 + queries});
  }
}

TEST_CASE("coarse kernels: sums at the ends of 32 bits", "[kernels]") {
  std::uint64_t seed = 400;
  for (const Codes codes : {Codes::random, Codes::largest, Codes::opposite}) {
    check_all({.dim = 65'536, .rows = 18, .queries = 4, .codes = codes, .seed = seed++});
  }
}

TEST_CASE("coarse kernels: codes all alike, nearly zero, of any magnitude", "[kernels]") {
  std::uint64_t seed = 500;
  for (const Codes codes : {Codes::random, Codes::largest, Codes::opposite, Codes::small}) {
    for (const float magnitude : {1e-22f, 1e-15f, 1e-3f, 1e4f, 1e12f}) {
      check_all({.dim = 50,
                 .rows = 70,
                 .queries = 20,
                 .codes = codes,
                 .magnitude = magnitude,
                 .seed = seed++});
    }
  }
}

TEST_CASE("coarse kernels: survivors are neither all nor none in these cases", "[kernels]") {
  const World world({.dim = 100, .rows = 200, .queries = 3, .seed = 7});
  std::vector<Survivor> found(200);
  const CoarseKernels& table = coarse_kernels_for("generic");
  for (const bool l2 : {true, false}) {
    std::uint32_t total = 0;
    for (std::uint32_t q = 0; q < 3; ++q) {
      total += (l2 ? table.one_l2 : table.one_dot)(world.rows(), world.query(q),
                                                   world.limits(l2)[q], found.data());
    }
    CHECK(total > 30);
    CHECK(total < 570);
  }
}

}  // namespace
