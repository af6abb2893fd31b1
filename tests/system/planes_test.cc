// Answers do not depend on what computes them: every table of kernels that runs here, forced in
// turn, with every choice of planes, forced in turn, gives the reference's ids, order and distances
// to the last bit, for every metric, type and kind of data, with rows erased, replaced and
// filtered. Above everything; the test's thread and the pool's. Always holds: the truth is made of
// reference_distance and a full sort, once for each collection.
#include <algorithm>
#include <bit>
#include <catch2/catch.hpp>
#include <optional>
#include <string>
#include <vector>

#include "engine/scan/cpu_scanner.h"
#include "engine/scan/reference.h"
#include "tests/support/data.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
using engine::RowShape;

constexpr std::uint64_t kSeed = 60'000;
constexpr std::uint32_t kDim = 67;  // one more than whole registers of any width
constexpr std::uint32_t kRows = 400;
constexpr std::uint32_t kQueries = 20;  // more than a panel of sixteen
constexpr const char* kFilter = ".third == true";

std::vector<Planes> all_planes() {
  std::vector<Planes> found;
  for (const char* name : {"automatic", "full", "coarse", "sketch"}) {
    if (const auto planes = parse_planes(name)) found.push_back(*planes);
  }
  return found;
}

bool matches_filter(std::uint32_t row) {
  return row % 3 == 0;
}

// What is written, and which of it is alive in the end.
struct Written {
  Written(const RowShape& shape_in, DataKind kind) : shape(shape_in) {
    VectorSource source(shape, kind, kSeed);
    for (std::uint32_t r = 0; r < kRows + kRows / 10; ++r) vectors.push_back(source.next_row());
    for (std::uint32_t q = 0; q < kQueries; ++q) {
      // Some rows themselves, some others.
      queries.push_back(q % 2 == 0 ? vectors[q * 13] : source.next_row());
    }
  }

  [[nodiscard]] VectorView view(const std::vector<std::byte>& vector) const {
    return {shape.type, vector.data(), shape.dim};
  }
  [[nodiscard]] static bool is_erased(std::uint32_t row) { return row % 17 == 5; }
  // The vector that a row has in the end: every tenth was replaced.
  [[nodiscard]] const std::vector<std::byte>& last(std::uint32_t row) const {
    return row % 10 == 0 ? vectors[kRows + row / 10] : vectors[row];
  }

  void write(Collection& rows) const {
    std::vector<RowInput> inputs;
    std::vector<RowInput> replaced;
    std::vector<RowId> erased;
    for (std::uint32_t r = 0; r < kRows; ++r) {
      const char* const payload = matches_filter(r) ? "{\"third\": true}" : "{\"third\": false}";
      inputs.push_back({RowId(std::uint64_t{r}), view(vectors[r]), payload, std::nullopt});
      if (r % 10 == 0) {
        replaced.push_back({RowId(std::uint64_t{r}), view(last(r)), payload, std::nullopt});
      }
      if (is_erased(r)) erased.emplace_back(std::uint64_t{r});
    }
    REQUIRE(rows.insert(inputs).ok());
    REQUIRE(rows.upsert(replaced).ok());
    REQUIRE(rows.erase(erased).ok());
  }

  // The answer to one query: distance, then id.
  [[nodiscard]] std::vector<std::pair<double, std::uint32_t>> truth(std::size_t query,
                                                                    bool filtered) const {
    const TestQuery asked(shape, queries[query]);
    std::vector<std::pair<double, std::uint32_t>> found;
    for (std::uint32_t r = 0; r < kRows; ++r) {
      if (is_erased(r) || (filtered && !matches_filter(r))) continue;
      found.emplace_back(engine::reference_distance(shape, asked.vector(), last(r).data()), r);
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  RowShape shape;
  std::vector<std::vector<std::byte>> vectors;
  std::vector<std::vector<std::byte>> queries;
};

using Truths = std::vector<std::vector<std::pair<double, std::uint32_t>>>;

// Empty when all is well, else what is wrong first.
std::string difference(std::span<const Neighbor> got, const Truths::value_type& truth,
                       std::size_t k) {
  if (got.size() != std::min(k, truth.size())) return std::to_string(got.size()) + " answers";
  for (std::size_t n = 0; n < got.size(); ++n) {
    if (got[n].id != RowId(std::uint64_t{truth[n].second})) {
      return "another id at rank " + std::to_string(n);
    }
    if (std::bit_cast<std::uint64_t>(got[n].distance) !=
        std::bit_cast<std::uint64_t>(truth[n].first)) {
      return "another distance at rank " + std::to_string(n);
    }
  }
  return {};
}

void check(const Collection& rows, const Written& written, const Truths& truths, bool filtered) {
  std::vector<Query> queries;
  for (const auto& query : written.queries) queries.emplace_back(written.view(query));
  SearchOptions options;
  if (filtered) options.filter = kFilter;
  SearchResult result;
  for (const std::uint32_t k : {1u, 10u, kRows}) {
    options.k = k;
    for (const std::size_t batch : {std::size_t{1}, std::size_t{kQueries}}) {
      REQUIRE(rows.search(std::span(queries).first(batch), options, result).ok());
      for (std::size_t i = 0; i < batch; ++i) {
        CAPTURE(k, batch, i, filtered, result.backend);
        REQUIRE(result.certified[i] == 1);
        REQUIRE(difference(result.of(i), truths[i], k) == "");
      }
    }
  }
}

void check_shape(const RowShape& shape, DataKind kind) {
  const Written written(shape, kind);
  Truths all;
  Truths kept;
  for (std::size_t q = 0; q < kQueries; ++q) {
    all.push_back(written.truth(q, false));
    kept.push_back(written.truth(q, true));
  }
  for (const std::string_view kernels : engine::kernel_names()) {
    for (const Planes planes : all_planes()) {
      CAPTURE(kSeed, kernels, to_string(planes), to_string(shape.metric), to_string(shape.type),
              to_string(kind));
      DatabaseOptions options;
      options.in_memory = true;
      options.threads = 2;
      options.expire_every_ms = 0;
      options.kernels = std::string(kernels);
      options.planes = planes;
      Database database = std::move(Database::open("", options).value());
      CollectionOptions collection;
      collection.dim = shape.dim;
      collection.metric = shape.metric;
      collection.type = shape.type;
      collection.fields = {{"third", FieldType::boolean}};
      Collection rows = database.create_collection("rows", collection).value();
      written.write(rows);
      check(rows, written, all, false);
      check(rows, written, kept, true);
    }
  }
}

}  // namespace

TEST_CASE("planes: answers are the reference's for forced kernels, planes and all kinds of data",
          "[planes]") {
  for (const RowShape& shape : all_shapes(kDim)) {
    // Under a sanitizer one type of each metric: the others differ in how a coordinate is read.
    if (VECSERVE_SANITIZED != 0 && shape.type != ScalarType::f32) continue;
    for (const DataKind kind : all_data_kinds()) check_shape(shape, kind);
  }
}
