// A search that was made before is made again without a single allocation: over every metric and
// type, alone and in batches, for few and many neighbours. Above everything; the test's thread and
// the pool's. Always holds: what is counted is the call alone, with a result object that is used
// again; the queries are the same each time, so that every buffer has met its size.
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/dice.h"
#include "tests/support/failing_new.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

constexpr std::uint32_t kRows = 6'000;  // several blocks' worth of tiles, and pieces for workers
constexpr std::uint32_t kDim = 48;
constexpr std::uint64_t kSeed = 20'261;

struct Form {
  Metric metric;
  ScalarType type;
};

constexpr Form kForms[] = {
    {Metric::l2, ScalarType::f32},     {Metric::dot, ScalarType::f32},
    {Metric::cosine, ScalarType::f32}, {Metric::l1, ScalarType::f32},
    {Metric::l2, ScalarType::f16},     {Metric::l2, ScalarType::i8},
};

// Rows of one form in a database in memory, searched on one thread.
class Rows {
 public:
  Rows(const Form& form, std::uint32_t threads) : dice_(kSeed) {
    DatabaseOptions options;
    options.in_memory = true;
    options.threads = threads;
    options.expire_every_ms = 0;
    database_.emplace(std::move(Database::open("", options).value()));
    CollectionOptions shape;
    shape.dim = kDim;
    shape.metric = form.metric;
    shape.type = form.type;
    rows_ = database_->create_collection("rows", shape).value();
    std::vector<std::vector<float>> vectors;
    std::vector<RowInput> batch(kRows);
    for (std::uint32_t i = 0; i < kRows; ++i) vectors.push_back(vector());
    for (std::uint32_t i = 0; i < kRows; ++i) {
      batch[i].id = RowId(std::uint64_t{i});
      batch[i].vector = VectorView(vectors[i]);
    }
    REQUIRE(rows_.insert(batch).ok());
  }

  [[nodiscard]] std::vector<float> vector() {
    std::vector<float> made(kDim);
    for (float& x : made) x = static_cast<float>(dice_.below(200)) - 99.5f;
    return made;
  }
  [[nodiscard]] const Collection& rows() const { return rows_; }

 private:
  Dice dice_;
  std::optional<Database> database_;
  Collection rows_;
};

// Allocations of one more search, after some that were the same.
std::uint64_t allocations_of(const Collection& rows, const std::vector<Query>& queries,
                             const SearchOptions& options) {
  SearchResult result;
  for (int warm = 0; warm < 3; ++warm) REQUIRE(rows.search(queries, options, result).ok());
  const std::uint64_t before = allocation_count();
  const Status status = rows.search(queries, options, result);
  const std::uint64_t made = allocation_count() - before;
  REQUIRE(status.ok());
  REQUIRE(result.query_count() == queries.size());
  for (std::size_t q = 0; q < queries.size(); ++q) REQUIRE(result.of(q).size() == options.k);
  return made;
}

}  // namespace

TEST_CASE("warm search: the count sees an allocation", "[warm]") {
  const std::uint64_t before = allocation_count();
  const auto made = std::make_unique<std::uint64_t>(before);
  CHECK(allocation_count() == *made + 1);
}

TEST_CASE("warm search: allocates nothing, for any metric, type, batch and k", "[warm]") {
  for (const Form& form : kForms) {
    Rows rows(form, 1);
    std::vector<std::vector<float>> vectors;
    for (int i = 0; i < 70; ++i) vectors.push_back(rows.vector());
    for (const std::size_t batch : {1u, 3u, 70u}) {
      const std::vector<Query> queries(vectors.begin(),
                                       vectors.begin() + static_cast<std::ptrdiff_t>(batch));
      for (const std::uint32_t k : {1u, 10u, 300u}) {
        CAPTURE(kSeed, to_string(form.metric), to_string(form.type), batch, k);
        SearchOptions options;
        options.k = k;
        CHECK(allocations_of(rows.rows(), queries, options) == 0);
      }
    }
  }
}

TEST_CASE("warm search: a smaller one after a larger one allocates nothing", "[warm]") {
  Rows rows({Metric::l2, ScalarType::f32}, 1);
  const std::vector<std::vector<float>> vectors(50, rows.vector());
  const std::vector<Query> many(vectors.begin(), vectors.end());
  SearchResult result;
  SearchOptions options;
  options.k = 200;
  REQUIRE(rows.rows().search(many, options, result).ok());
  options.k = 5;
  const std::uint64_t before = allocation_count();
  const Status status = rows.rows().search(std::span(many).first(20), options, result);
  const std::uint64_t made = allocation_count() - before;
  REQUIRE(status.ok());
  CHECK(made == 0);
}
