// A small database in memory, and the check that bad input has changed nothing of it, on every path
// that takes the same kind of input. Header only; used by the input tests; test thread. Always
// holds: a bad row stands behind a good one, so that a half-applied batch would show.
#pragma once

#include <catch2/catch.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "vecserve/database.h"

namespace vecserve::test {

// Rows 1 and 2 exist; rows 10 and 11 do not.
class Input {
 public:
  explicit Input(Metric metric = Metric::l2, ScalarType type = ScalarType::f32) {
    DatabaseOptions options;
    options.in_memory = true;
    options.threads = 1;
    database.emplace(std::move(Database::open("", options).value()));
    CollectionOptions shape;
    shape.dim = 4;
    shape.metric = metric;
    shape.type = type;
    shape.fields = {
        {"year", FieldType::number}, {"name", FieldType::string}, {"good", FieldType::boolean}};
    rows = database->create_collection("rows", shape).value();
    const std::vector<RowInput> first = {row(1, kGood), row(2, kGood)};
    REQUIRE(rows.upsert(first).ok());
    sequence_ = database->stats().sequence;
  }

  static RowInput row(RowId id, VectorView vector) {
    RowInput input;
    input.id = std::move(id);
    input.vector = vector;
    return input;
  }

  void unchanged() const {
    CHECK(rows.count().value() == 2);
    CHECK(rows.get(1).value().vector.to_floats() == kGood);
    CHECK(rows.get(2).value().payload.empty());
    CHECK_FALSE(rows.exists(10).value());
    CHECK_FALSE(rows.exists(11).value());
    CHECK(database->stats().sequence == sequence_);
  }

  void refused(const Status& status, const std::string& field) const {
    CAPTURE(status.to_string());
    CHECK(status.code() == StatusCode::invalid_argument);
    CHECK(status.field() == field);
    unchanged();
  }

  // The same bad part in a row of every writing call.
  template <typename Spoil>
  void write_refused(const std::string& field, Spoil&& spoil) {
    const auto batch = [&](std::uint64_t good, std::uint64_t bad) {
      std::vector<RowInput> inputs = {row(good, kGood), row(bad, kGood)};
      inputs[0].payload = R"({"year": 1})";
      spoil(inputs[1]);
      return inputs;
    };
    {
      INFO("upsert of new rows");
      refused(rows.upsert(batch(10, 11)).status(), field);
    }
    {
      INFO("upsert over existing rows");
      refused(rows.upsert(batch(2, 1)).status(), field);
    }
    {
      INFO("insert");
      refused(rows.insert(batch(10, 11)).status(), field);
    }
    {
      INFO("update");
      refused(rows.update(batch(2, 1)).status(), field);
    }
    {
      INFO("upsert of one row");
      refused(rows.upsert(batch(10, 11)[1]).status(), field);
    }
  }

  // The same bad vector on every path that takes vectors.
  void vector_refused(VectorView bad) {
    write_refused("vector", [&](RowInput& input) { input.vector = bad; });
    const std::vector<Query> queries = {Query(kGood), Query(bad)};
    {
      INFO("search");
      refused(rows.search(queries).status(), "vector");
      refused(rows.search(Query(bad)).status(), "vector");
    }
    INFO("range_search");
    refused(rows.range_search(queries, RangeSearchOptions()).status(), "vector");
  }

  void payload_refused(const std::string& payload, const std::string& field = "payload") {
    CAPTURE(payload.substr(0, 60), payload.size());
    write_refused(field, [&](RowInput& input) { input.payload = payload; });
  }

  // On every call that takes a filter.
  void filter_refused(const std::string& filter) {
    CAPTURE(filter.substr(0, 60), filter.size());
    SearchOptions search;
    search.filter = filter;
    refused(rows.search(Query(kGood), search).status(), "filter");
    Query own(kGood);
    own.filter = filter;
    refused(rows.search(own).status(), "filter");
    RangeSearchOptions range;
    range.filter = filter;
    refused(rows.range_search(std::vector<Query>{Query(kGood)}, range).status(), "filter");
    ScanOptions scan;
    scan.filter = filter;
    refused(rows.scan(scan).status(), "filter");
    refused(rows.count(filter).status(), "filter");
    refused(rows.erase_where(filter).status(), "filter");
  }

  inline static const std::vector<float> kGood = {1.0f, 2.0f, 3.0f, 4.0f};
  std::optional<Database> database;
  Collection rows;

 private:
  std::uint64_t sequence_ = 0;
};

}  // namespace vecserve::test
