// Bad vectors, counts and ids of every kind, on every path that takes them: one named case per
// kind. Each checks the code, the field that is blamed, and that nothing was applied. Above
// everything; test thread only. Always holds: what is at a limit is taken, what is one above it is
// refused.
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "tests/support/input_fixture.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;
namespace limits = engine::limits;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();

}  // namespace

// ---- vectors ------------------------------------------------------------------------------------

TEST_CASE("input: NaN is refused on every path and at every coordinate", "[input]") {
  for (std::size_t at = 0; at < 4; ++at) {
    CAPTURE(at);
    std::vector<float> bad = Input::kGood;
    bad[at] = at % 2 == 0 ? kNan : -kNan;
    Input().vector_refused(bad);
  }
}

TEST_CASE("input: infinities are refused on every path", "[input]") {
  for (const float infinity : {kInfinity, -kInfinity}) {
    for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine, Metric::l1}) {
      CAPTURE(infinity, to_string(metric));
      std::vector<float> bad = Input::kGood;
      bad[3] = infinity;
      Input(metric).vector_refused(bad);
    }
  }
}

TEST_CASE("input: NaN and infinities given as half-wide floats are refused", "[input]") {
  const std::vector<std::uint16_t> f16_nan = {0, 0x7e00, 0, 0}, f16_infinity = {0, 0, 0, 0xfc00};
  const std::vector<std::uint16_t> bf16_nan = {0x7fc0, 0, 0, 0}, bf16_infinity = {0, 0xff80, 0, 0};
  Input(Metric::l2, ScalarType::f16).vector_refused(VectorView::f16(f16_nan));
  Input(Metric::l2, ScalarType::f16).vector_refused(VectorView::f16(f16_infinity));
  Input(Metric::l2, ScalarType::bf16).vector_refused(VectorView::bf16(bf16_nan));
  Input(Metric::l2, ScalarType::bf16).vector_refused(VectorView::bf16(bf16_infinity));
}

TEST_CASE("input: a float that does not fit the storage type is refused when written", "[input]") {
  const auto refused = [](ScalarType type, float value) {
    CAPTURE(to_string(type), value);
    const std::vector<float> bad = {1.0f, 2.0f, 3.0f, value};
    Input input(Metric::l2, type);
    input.write_refused("vector", [&](RowInput& row) { row.vector = VectorView(bad); });
  };
  refused(ScalarType::f16, 65520.0f);
  refused(ScalarType::bf16, std::numeric_limits<float>::max());
  refused(ScalarType::i8, 127.6f);
  refused(ScalarType::i8, -129.0f);
  refused(ScalarType::u8, -1.0f);
  refused(ScalarType::u8, 256.0f);
}

TEST_CASE("input: denormals and the largest floats are stored and found exactly", "[input]") {
  const std::vector<float> tiny = {kDenormal, -kDenormal, 0.0f, kDenormal};
  const std::vector<float> huge(4, std::numeric_limits<float>::max());
  for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine, Metric::l1}) {
    CAPTURE(to_string(metric));
    Input input(metric);
    REQUIRE(input.rows.upsert(Input::row(10, tiny)).ok());
    REQUIRE(input.rows.upsert(Input::row(11, huge)).ok());
    CHECK(input.rows.get(10).value().vector.to_floats() == tiny);
    CHECK(input.rows.get(11).value().vector.to_floats() == huge);
    for (const std::vector<float>& query : {tiny, huge}) {
      const auto found = input.rows.search(Query(query)).value();
      REQUIRE(found.size() == 4);
      for (const Neighbor& neighbor : found) CHECK(std::isfinite(neighbor.distance));
      if (metric != Metric::dot) CHECK(found.front().id == RowId(query == tiny ? 10 : 11));
    }
  }
}

TEST_CASE("input: a zero vector is refused with cosine and taken otherwise", "[input]") {
  const std::vector<float> zero(4, 0.0f), negative_zero(4, -0.0f);
  Input(Metric::cosine).vector_refused(zero);
  Input(Metric::cosine).vector_refused(negative_zero);
  Input input(Metric::l2);
  CHECK(input.rows.upsert(Input::row(10, zero)).ok());
  CHECK(input.rows.search(Query(zero)).value().front().distance == 0.0);
}

TEST_CASE("input: a vector that rounds to zero in the storage type is refused with cosine",
          "[input]") {
  const std::vector<float> vanishing(4, 1e-30f);
  Input input(Metric::cosine, ScalarType::f16);
  input.write_refused("vector", [&](RowInput& row) { row.vector = VectorView(vanishing); });
}

TEST_CASE("input: a wrong dimension is refused on every path before the data is read", "[input]") {
  const std::vector<float> five(5, 1.0f);
  const std::vector<std::uint32_t> dims = {
      1, 3, 5, 65'536, 65'537, std::uint32_t{1} << 31, std::numeric_limits<std::uint32_t>::max()};
  for (const std::uint32_t dim : dims) {
    CAPTURE(dim);
    Input().vector_refused(VectorView(ScalarType::f32, five.data(), dim));
  }
}

TEST_CASE("input: no vector, or dimension 0, is refused where a vector is needed", "[input]") {
  Input input;
  for (const VectorView& bad : {VectorView(), VectorView(ScalarType::f32, Input::kGood.data(), 0),
                                VectorView(ScalarType::f32, nullptr, 4)}) {
    const std::vector<RowInput> batch = {Input::row(10, Input::kGood), Input::row(11, bad)};
    input.refused(input.rows.upsert(batch).status(), "vector");
    input.refused(input.rows.insert(batch).status(), "vector");
    input.refused(input.rows.search(Query(bad)).status(), "vector");
  }
}

TEST_CASE("input: a vector of another type than f32 or the collection's own is refused",
          "[input]") {
  const std::vector<std::int8_t> bytes(4, 1);
  Input().vector_refused(VectorView(std::span<const std::int8_t>(bytes)));
  const auto unknown = static_cast<ScalarType>(77);
  Input().vector_refused(VectorView(unknown, Input::kGood.data(), 4));
}

TEST_CASE("input: a collection of dimension 0, or above the limit, cannot be made", "[input]") {
  Input input;
  for (const std::uint32_t dim :
       {0u, limits::dim_max + 1, 1u << 31, std::numeric_limits<std::uint32_t>::max()}) {
    CAPTURE(dim);
    CollectionOptions options;
    options.dim = dim;
    input.refused(input.database->create_collection("other", options).status(), "dim");
    CHECK(input.database->list_collections() == std::vector<std::string>{"rows"});
  }
  CollectionOptions largest;
  largest.dim = limits::dim_max;
  CHECK(input.database->create_collection("largest", largest).ok());
}

TEST_CASE("input: metrics, types and fields that do not go together are refused", "[input]") {
  Input input;
  const auto refused = [&](const char* field, auto&& spoil) {
    CollectionOptions options;
    options.dim = 8;
    spoil(options);
    input.refused(input.database->create_collection("other", options).status(), field);
  };
  refused("metric", [](auto& o) { o.metric = Metric::hamming; });
  refused("metric", [](auto& o) { o.type = ScalarType::bit; });
  refused("metric", [](auto& o) { o.metric = static_cast<Metric>(99); });
  refused("type", [](auto& o) { o.type = static_cast<ScalarType>(99); });
  refused("fields", [](auto& o) {
    o.fields = {{"a", FieldType::number}, {"a", FieldType::string}};
  });
  refused("fields", [](auto& o) { o.fields = {{"", FieldType::number}}; });
  refused("fields", [](auto& o) { o.fields = {{"a b", FieldType::number}}; });
  refused("fields", [](auto& o) { o.fields = {{"a", static_cast<FieldType>(9)}}; });
  refused("fields", [](auto& o) { o.fields = {{std::string(65, 'a'), FieldType::number}}; });
  refused("fields", [](auto& o) {
    for (std::uint32_t i = 0; i <= limits::fields_max; ++i) {
      o.fields.push_back({"f" + std::to_string(i), FieldType::number});
    }
  });
}

// ---- k, radius, counts --------------------------------------------------------------------------

TEST_CASE("input: k of 0 or above the limit is refused, k above the rows gives all rows",
          "[input]") {
  Input input;
  SearchOptions options;
  options.k = 0;
  input.refused(input.rows.search(Query(Input::kGood), options).status(), "k");
  options.k = limits::k_max + 1;
  input.refused(input.rows.search(Query(Input::kGood), options).status(), "k");
  options.k = std::numeric_limits<std::uint32_t>::max();
  input.refused(input.rows.search(Query(Input::kGood), options).status(), "k");
  Query own(Input::kGood);
  own.k = limits::k_max + 1;
  input.refused(input.rows.search(own).status(), "k");
  options.k = limits::k_max;
  CHECK(input.rows.search(Query(Input::kGood), options).value().size() == 2);
  options.k = 1;
  CHECK(input.rows.search(Query(Input::kGood), options).value().size() == 1);
}

TEST_CASE("input: a search of no queries is ok, of too many refused", "[input]") {
  Input input;
  CHECK(input.rows.search(std::span<const Query>()).value().query_count() == 0);
  const std::vector<Query> many(limits::queries_max + 1, Query(Input::kGood));
  input.refused(input.rows.search(many).status(), "queries");
}

TEST_CASE("input: a radius that is not a number, and a limit of 0, are refused", "[input]") {
  Input input;
  const std::vector<Query> queries = {Query(Input::kGood)};
  RangeSearchOptions options;
  options.radius = std::numeric_limits<double>::quiet_NaN();
  input.refused(input.rows.range_search(queries, options).status(), "radius");
  options.radius = 0.0;
  options.limit = 0;
  input.refused(input.rows.range_search(queries, options).status(), "limit");
  options.limit = limits::range_rows_max + 1;
  input.refused(input.rows.range_search(queries, options).status(), "limit");
  options.limit = 10;
  options.radius = std::numeric_limits<double>::infinity();
  CHECK(input.rows.range_search(queries, options).value().of(0).size() == 2);
  options.radius = -1.0;
  CHECK(input.rows.range_search(queries, options).value().of(0).empty());
}

TEST_CASE("input: a page of a scan has a limit", "[input]") {
  Input input;
  Cursor cursor = std::move(input.rows.scan().value());
  input.refused(cursor.next(0).status(), "limit");
  input.refused(cursor.next(limits::page_rows_max + 1).status(), "limit");
  CHECK(cursor.next(limits::page_rows_max).value().size() == 2);
}

// ---- ids ----------------------------------------------------------------------------------------

TEST_CASE("input: an id twice in one batch is refused", "[input]") {
  for (const RowId& id : {RowId(1), RowId(10), RowId("same"), RowId(UINT64_MAX)}) {
    CAPTURE(id.to_string());
    Input input;
    const std::vector<RowInput> batch = {Input::row(2, Input::kGood), Input::row(id, Input::kGood),
                                         Input::row(id, Input::kGood)};
    input.refused(input.rows.upsert(batch).status(), "id");
    input.refused(input.rows.insert(batch).status(), "id");
    input.refused(input.rows.update(batch).status(), "id");
  }
}

TEST_CASE("input: an empty batch is ok and writes nothing", "[input]") {
  Input input;
  const std::vector<RowInput> none;
  CHECK(input.rows.upsert(none).value().rows == 0);
  CHECK(input.rows.insert(none).value().rows == 0);
  CHECK(input.rows.update(none).value().rows == 0);
  CHECK(input.rows.erase(std::span<const RowId>()).value().rows == 0);
  CHECK(input.rows.multi_get(std::span<const RowId>()).value().empty());
  CHECK(input.rows.count().value() == 2);
}

TEST_CASE("input: the ids 0 and 2^64 - 1, and strings of 1 and 255 bytes, are ids like any other",
          "[input]") {
  Input input;
  const std::vector<RowId> ids = {RowId(std::uint64_t{0}), RowId(UINT64_MAX),
                                  RowId(std::string(1, '\0')), RowId(std::string(255, '\xff'))};
  for (const RowId& id : ids) {
    REQUIRE(input.rows.insert(std::vector<RowInput>{Input::row(id, Input::kGood)}).ok());
  }
  CHECK(input.rows.count().value() == 6);
  for (const RowId& id : ids) {
    CHECK(input.rows.get(id).value().id == id);
    CHECK(input.rows.erase(id).value().rows == 1);
  }
  CHECK(input.rows.count().value() == 2);
}

TEST_CASE("input: byte-string ids of 0 and of 256 bytes are refused on every path", "[input]") {
  for (const std::string& bytes :
       {std::string(), std::string(256, 'x'), std::string(100'000, 'x')}) {
    CAPTURE(bytes.size());
    Input input;
    const RowId id(bytes);
    input.write_refused("id", [&](RowInput& row) { row.id = id; });
    input.refused(input.rows.erase(id).status(), "id");
    input.refused(input.rows.get(id).status(), "id");
    input.refused(input.rows.exists(id).status(), "id");
    input.refused(input.rows.multi_get(std::vector<RowId>{RowId(1), id}).status(), "id");
    ScanOptions scan;
    scan.after = id;
    input.refused(input.rows.scan(scan).status(), "after");
  }
}
