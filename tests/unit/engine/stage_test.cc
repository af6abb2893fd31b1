// Checks engine/stage by itself: what one write puts into the batch, into the row set and into the
// counters, and that nothing shows before publish. Plays the committing thread.
// Always holds: hashes are compared with a sum over the rows that are served.
#include "engine/stage.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "engine/payload_rows.h"
#include "engine/store/record.h"
#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;
using Kind = WriteOp::Kind;

// Stages one op and publishes it, as a commit would.
StoreBatch publish(const CorePtr& core, WriteOp& op) {
  StoreBatch batch;
  Stage stage(*core);
  stage.add(op, batch);
  REQUIRE(op.status.ok());
  stage.make_ready();
  if (stage.changed()) stage.publish(100);
  return batch;
}

std::uint64_t hash_of(const CorePtr& core) {
  std::uint64_t sum = 0;
  const auto rows = core->snapshot();
  for (std::size_t b = 0; b < rows->block_count(); ++b) {
    for (std::uint32_t p = 0; p < rows->view(b).count; ++p) {
      if (!rows->view(b).live->test(p)) continue;
      const RowBlock& block = *rows->view(b).block;
      sum += row_hash(core->id, block.slot(p), block.id(p));
    }
  }
  return sum;
}

TEST_CASE("stage: nothing shows before publish, and a dropped stage leaves no trace", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  const std::string before = picture(core);
  const std::vector<OwnedRow> rows = {{1, {9, 9}}, {4, {4, 4}}};
  {
    auto put = make_op(core, Kind::upsert, rows);
    auto gone = make_erase(core, {2});
    StoreBatch batch;
    Stage stage(*core);
    stage.add(*put, batch);
    stage.add(*gone, batch);
    CHECK(stage.changed());
    CHECK(stage.counters().next_slot == 5);
    CHECK(stage.counters().live_rows == 3);
    CHECK(stage.find(IdView(std::uint64_t{1}), hash_id(IdView(std::uint64_t{1}))) == 3);
    CHECK(stage.find(IdView(std::uint64_t{2}), hash_id(IdView(std::uint64_t{2}))) == std::nullopt);
    stage.make_ready();
    // Only the block's own fill level may differ while the stage lives.
    CHECK(core->snapshot()->live_count() == 3);
    CHECK(slot_of(core, 1) == 0);
  }
  CHECK(picture(core) == before);
}

TEST_CASE("stage: replacing a row erases the old slot and hashes the new one", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  const std::vector<OwnedRow> rows = {{2, {9, 9}, R"({"n": 4})", 1'000}};
  auto put = make_op(core, Kind::upsert, rows);
  const StoreBatch batch = publish(core, *put);
  REQUIRE(batch.put_rows.size() == 1);
  CHECK(batch.put_rows[0].slot == 3);
  REQUIRE(batch.erase_rows.size() == 1);
  CHECK(batch.erase_rows[0].slot == 1);
  CHECK(put->result.rows == 1);
  CHECK(slot_of(core, 2) == 3);
  CHECK(core->counters.live_rows == 3);
  CHECK(core->counters.live_hash == hash_of(core));
  CHECK(core->snapshot()->row_count() == 4);
  CHECK(core->tallies.writes == 4);
  const auto record = decode_record(batch.put_rows[0].record, core->shape.row_bytes);
  REQUIRE(record.ok());
  CHECK(record->id == IdView(std::uint64_t{2}));
  CHECK(record->payload == R"({"n": 4})");
  CHECK(record->expires_at_ms == engine.clock.unix_ms() + 1'000);
}

TEST_CASE("stage: an update keeps the vector, the payload or the ttl, each alone", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  const std::string payload = R"({"n": 7, "s": "old"})";
  const std::vector<OwnedRow> first = {{1, {1, 2}, payload, 10'000}};
  REQUIRE(upsert(core, first).ok());
  const std::uint64_t until = engine.clock.unix_ms() + 10'000;
  const std::vector<OwnedRow> vector_only = {{1, {3, 4}}};
  const std::vector<OwnedRow> payload_only = {{1, {}, R"({"s": "new"})"}};
  const std::vector<OwnedRow> ttl_only = {{1, {}, std::nullopt, 50'000}};
  const std::vector<OwnedRow> for_ever = {{1, {}, std::nullopt, 0}};
  const std::vector<OwnedRow> nothing = {{1, {}}};
  struct Step {
    const std::vector<OwnedRow>* rows;
    std::vector<float> vector;
    std::string payload;
    std::uint64_t until;
  };
  const std::string later = R"({"s": "new"})";
  const std::vector<Step> steps = {{&vector_only, {3, 4}, payload, until},
                                   {&payload_only, {3, 4}, later, until},
                                   {&ttl_only, {3, 4}, later, until + 40'000},
                                   {&nothing, {3, 4}, later, until + 40'000},
                                   {&for_ever, {3, 4}, later, 0}};
  for (std::size_t i = 0; i < steps.size(); ++i) {
    CAPTURE(i);
    auto op = make_op(core, Kind::update, *steps[i].rows);
    const StoreBatch batch = publish(core, *op);
    const auto record = decode_record(batch.put_rows.at(0).record, core->shape.row_bytes);
    REQUIRE(record.ok());
    CHECK(record->payload == steps[i].payload);
    CHECK(record->expires_at_ms == steps[i].until);
    const auto row = fetch(core, 1);
    REQUIRE(row.has_value());
    CHECK(row->vector.to_floats() == steps[i].vector);
    CHECK(row->payload == steps[i].payload);
    CHECK(row->ttl_ms.has_value() == (steps[i].until != 0));
  }
  // The columns went along: the kept payload is still found by its fields.
  CHECK(core->counters.live_hash == hash_of(core));
}

TEST_CASE("stage: an update that keeps the payload keeps its columns", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 2}, R"({"n": 7, "s": "old"})"}, {2, {1, 2}}}).ok());
  REQUIRE(update(core, {{1, {5, 5}}}).ok());
  const auto rows = core->snapshot();
  const auto at = rows->find(slot_of(core, 1).value()).value();
  std::vector<FieldValue> fields(2);
  payload_fields(*rows->view(at.block).block, at.position, fields);
  CHECK(fields[0].number == 7.0);
  CHECK(fields[1].text == "old");
}

TEST_CASE("stage: an update of many rows is applied whole or not at all", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  const std::string before = picture(core);
  const auto refused = update(core, {{1, {9, 9}}, {2, {9, 9}}, {77, {9, 9}}});
  CHECK(refused.status().to_string() == "not_found: id: row 77 does not exist");
  CHECK(picture(core) == before);
  const auto exists = insert(core, {{77, {9, 9}}, {"s", {9, 9}}, {3, {9, 9}}});
  CHECK(exists.status().to_string() == "already_exists: id: row 3 exists");
  CHECK(picture(core) == before);
}

TEST_CASE("stage: erasing counts what was there, also when an id comes twice", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 3);
  auto op = make_erase(core, {3, 9, 3, 1});
  const StoreBatch batch = publish(core, *op);
  CHECK(op->result.rows == 2);
  CHECK(batch.erase_rows.size() == 2);
  CHECK(core->counters.live_rows == 1);
  CHECK(core->counters.next_slot == 3);
  CHECK(core->counters.live_hash == hash_of(core));
  CHECK(core->tallies.erases == 2);
}

TEST_CASE("stage: erase_slots leaves a row alone that was replaced or is gone", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 4);  // slots 0 to 3
  REQUIRE(upsert(core, {{2, {9, 9}}}).ok());
  REQUIRE(erase(core, {3}).ok());
  WriteOp op;
  op.kind = Kind::erase_slots;
  op.core = core;
  op.now_ms = engine.clock.unix_ms();
  for (std::uint64_t id = 1; id <= 3; ++id) {
    const IdView view(id);
    op.erases.push_back({view, hash_id(view), id - 1});
  }
  const StoreBatch batch = publish(core, op);
  CHECK(op.result.rows == 1);
  REQUIRE(batch.erase_rows.size() == 1);
  CHECK(batch.erase_rows[0].slot == 0);
  CHECK_FALSE(fetch(core, 1).has_value());
  CHECK(fetch(core, 2)->vector.to_floats() == std::vector<float>{9, 9});
  CHECK(fetch(core, 4).has_value());
}

TEST_CASE("stage: a row whose time has passed may be inserted again", "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  REQUIRE(upsert(core, {{1, {1, 1}, std::nullopt, 100}}).ok());
  CHECK(insert(core, {{1, {2, 2}}}).status().code() == StatusCode::already_exists);
  engine.clock.advance(std::chrono::milliseconds(99));
  CHECK(insert(core, {{1, {2, 2}}}).status().code() == StatusCode::already_exists);
  engine.clock.advance(std::chrono::milliseconds(1));
  CHECK(update(core, {{1, {2, 2}}}).status().code() == StatusCode::not_found);
  CHECK(erase(core, {1}).value().rows == 0);
  REQUIRE(upsert(core, {{2, {1, 1}, std::nullopt, 100}}).ok());
  engine.clock.advance(std::chrono::milliseconds(100));
  REQUIRE(insert(core, {{2, {3, 3}}}).ok());
  CHECK(fetch(core, 2)->vector.to_floats() == std::vector<float>{3, 3});
  CHECK(core->counters.live_rows == 1);
  CHECK(core->counters.live_hash == hash_of(core));
}

TEST_CASE("stage: a batch that fills blocks goes on in new ones", "[engine]") {
  Engine engine;
  CollectionOptions wide;
  wide.dim = 16'384;  // 64 rows to a block
  const CorePtr core = engine.create("wide", wide);
  REQUIRE(core->shape.capacity == 64);
  std::vector<OwnedRow> rows;
  for (int i = 0; i < 130; ++i) {
    rows.emplace_back(i, std::vector<float>(wide.dim, static_cast<float>(i)));
  }
  REQUIRE(upsert(core, rows).ok());
  const auto set = core->snapshot();
  REQUIRE(set->block_count() == 3);
  CHECK(set->view(0).count == 64);
  CHECK(set->view(1).count == 64);
  CHECK(set->view(2).count == 2);
  CHECK(fetch(core, 129)->vector.to_floats() == std::vector<float>(wide.dim, 129.0f));
  // A failed write takes its rows and its block back.
  const std::string before = picture(core);
  engine.store->fail_apply(0, {StatusCode::resource_exhausted, "full"});
  std::vector<OwnedRow> more;
  for (int i = 200; i < 300; ++i) more.emplace_back(i, std::vector<float>(wide.dim, 1.0f));
  CHECK_FALSE(upsert(core, more).ok());
  CHECK(picture(core) == before);
  REQUIRE(upsert(core, more).ok());
  CHECK(core->snapshot()->block_count() == 4);
}

TEST_CASE("stage: slots are used up one day, and that is said before anything is done",
          "[engine]") {
  Engine engine;
  const CorePtr core = engine.create("rows");
  fill(core, 1, 1);
  core->counters.next_slot = (std::uint64_t{1} << 48) - 2;
  const std::string before = picture(core);
  const auto refused = upsert(core, {{2, {0, 0}}, {3, {0, 0}}});
  CHECK(refused.status().code() == StatusCode::resource_exhausted);
  CHECK(picture(core) == before);
  CHECK(upsert(core, {{2, {0, 0}}}).ok());
}

}  // namespace
