// Checks engine/prepare_write: what is refused, under which field, and what a prepared op holds.
// Single-threaded; nothing is committed.
// Always holds: inputs outlive the op that looks at them.
#include "engine/prepare_write.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/limits.h"
#include "engine/store/record.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using Kind = WriteOp::Kind;

class Prepare {
 public:
  Prepare() : core(engine.create("rows")) {}

  Status run(const std::vector<RowInput>& rows, Kind kind = Kind::upsert) {
    op = std::make_unique<WriteOp>();
    op->core = core;
    op->kind = kind;
    op->now_ms = 1'000;
    return prepare_rows(rows, *op);
  }
  // The inputs live as long as this object: an op only looks at ids.
  Status operator()(const std::vector<OwnedRow>& rows, Kind kind = Kind::upsert) {
    owned = rows;
    inputs = inputs_of(owned);
    return run(inputs, kind);
  }

  Engine engine;
  CorePtr core;
  std::vector<OwnedRow> owned;
  std::vector<RowInput> inputs;
  std::unique_ptr<WriteOp> op;  // of the last call
};

StoreRow record_of(const WriteOp& op, std::size_t row, std::size_t vector_bytes) {
  const auto record = decode_record(
      std::string_view(op.records).substr(op.rows[row].record_at, op.rows[row].record_bytes),
      vector_bytes);
  REQUIRE(record.ok());
  return *record;
}

TEST_CASE("prepare write: a complete row is checked, hashed and encoded", "[engine]") {
  Prepare prepare;
  const std::vector<OwnedRow> rows = {{7, {1, 2}, R"({"n": 3})", 500}, {"seven", {3, 4}}};
  REQUIRE(prepare(rows).ok());
  const WriteOp& op = *prepare.op;
  REQUIRE(op.rows.size() == 2);
  CHECK(op.rows[0].hash == hash_id(IdView(std::uint64_t{7})));
  CHECK(op.rows[0].expires_at_ms == 1'500);
  CHECK(op.rows[1].expires_at_ms == 0);
  CHECK(op.fields.size() == 4);
  CHECK(op.fields[op.rows[0].fields_at].number == 3.0);
  CHECK(op.fields[op.rows[1].fields_at].kind == FieldValue::Kind::missing);
  CHECK(op.bytes == op.records.size());
  const StoreRow first = record_of(op, 0, 8);
  CHECK(first.id == IdView(std::uint64_t{7}));
  CHECK(first.payload == R"({"n": 3})");
  CHECK(first.expires_at_ms == 1'500);
  const StoreRow second = record_of(op, 1, 8);
  CHECK(second.id == IdView(std::string_view("seven")));
  CHECK(second.payload.empty());
  float vector[2];
  std::memcpy(vector, second.vector.data(), 8);
  CHECK(vector[1] == 4.0f);
}

TEST_CASE("prepare write: an update encodes only what is complete", "[engine]") {
  Prepare prepare;
  REQUIRE(prepare({{1, {}}, {2, {1, 2}, "{}", 0}, {3, {}, "{}"}}, Kind::update).ok());
  const WriteOp& op = *prepare.op;
  CHECK_FALSE(op.rows[0].has_vector);
  CHECK_FALSE(op.rows[0].has_payload);
  CHECK_FALSE(op.rows[0].has_ttl);
  CHECK(op.rows[0].record_bytes == 0);
  CHECK(op.rows[1].record_bytes > 0);
  CHECK(op.rows[2].record_bytes == 0);
  CHECK(op.fields.size() == 6);
  // Only an update may leave the vector out.
  CHECK(prepare({{1, {}}}, Kind::upsert).field() == "vector");
  CHECK(prepare({{1, {}}}, Kind::insert).field() == "vector");
}

TEST_CASE("prepare write: an id twice in one batch is refused and named", "[engine]") {
  Prepare prepare;
  const Status numbers = prepare({{1, {0, 0}}, {2, {0, 0}}, {1, {0, 0}}});
  CHECK(numbers.to_string() == "invalid_argument: id: row 2 repeats the id 1");
  CHECK(prepare({{"a", {0, 0}}, {"a", {0, 0}}}).field() == "id");
  CHECK(prepare({{"1", {0, 0}}, {1, {0, 0}}}).ok());
  std::vector<OwnedRow> many;
  for (int i = 0; i < 2'000; ++i) many.emplace_back(i, std::vector<float>{0, 0});
  CHECK(prepare(many).ok());
  many.emplace_back(1'234, std::vector<float>{0, 0});
  CHECK(prepare(many).field() == "id");
}

TEST_CASE("prepare write: ids have 1 to 255 bytes", "[engine]") {
  Prepare prepare;
  CHECK(prepare({{"", {0, 0}}}).field() == "id");
  CHECK(prepare({{std::string(255, 'x'), {0, 0}}}).ok());
  CHECK(prepare({{std::string(256, 'x'), {0, 0}}}).field() == "id");
  CHECK(check_id(RowId(0), "after").ok());
  CHECK(check_id(RowId(""), "after").field() == "after");
}

TEST_CASE("prepare write: an error names the row and the field", "[engine]") {
  Prepare prepare;
  const Status vector = prepare({{1, {0, 0}}, {2, {0, 0, 0}}});
  CHECK(vector.field() == "vector");
  CHECK(vector.message().rfind("row 1: ", 0) == 0);
  CHECK(prepare({{1, {0, 0}, "[1]"}}).field() == "payload");
  CHECK(prepare({{1, {0, 0}, R"({"n": "text"})"}}).field() == "payload.n");
  CHECK(prepare({{1, {0, 0}, ""}}).ok());
}

TEST_CASE("prepare write: a time to live is at most a century", "[engine]") {
  Prepare prepare;
  CHECK(prepare({{1, {0, 0}, std::nullopt, limits::ttl_ms_max}}).ok());
  CHECK(prepare.op->rows[0].expires_at_ms == 1'000 + limits::ttl_ms_max);
  CHECK(prepare({{1, {0, 0}, std::nullopt, limits::ttl_ms_max + 1}}).field() == "ttl_ms");
  CHECK(prepare({{1, {0, 0}, std::nullopt, UINT64_MAX}}).field() == "ttl_ms");
  CHECK(prepare({{1, {0, 0}, std::nullopt, 0}}).ok());
  CHECK(prepare.op->rows[0].expires_at_ms == 0);
}

TEST_CASE("prepare write: too many rows or bytes are refused before anything is read", "[engine]") {
  Prepare prepare;
  // Rows that could not be read: a vector of null.
  const std::vector<RowInput> many(limits::batch_rows_max + 1);
  CHECK(prepare.run(many).field() == "rows");
  const std::string payload(limits::payload_bytes_max + 1, 'x');
  std::vector<RowInput> rows(1);
  rows[0].payload = payload;
  CHECK(prepare.run(rows).field() == "payload");
  const std::string text(limits::payload_bytes_max, 'x');
  rows.assign(1'025, RowInput());
  for (RowInput& row : rows) row.payload = text;
  CHECK(prepare.run(rows).field() == "rows");
  CHECK(prepare.op->records.capacity() < 1'024);
}

TEST_CASE("prepare write: erases are checked and hashed", "[engine]") {
  WriteOp op;
  const std::vector<RowId> ids = {1, "a", 1};
  REQUIRE(prepare_erases(ids, op).ok());
  REQUIRE(op.erases.size() == 3);
  CHECK(op.erases[1].hash == hash_id(IdView(std::string_view("a"))));
  CHECK(op.bytes > 0);
  WriteOp other;
  CHECK(prepare_erases(std::vector<RowId>{1, ""}, other).field() == "id");
  const std::vector<RowId> many(limits::batch_rows_max + 1);
  WriteOp third;
  CHECK(prepare_erases(many, third).field() == "ids");
}

}  // namespace
