// Checks engine/eligible: live bits, expiry and filter together, in place where nothing else
// matters, with nothing set beyond a block's rows. Single-threaded.
// Always holds: expected ids come from conditions on the id, written beside the call.
#include "engine/eligible.h"

#include <bit>
#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "tests/support/store/engine_fixture.h"

namespace {

using namespace vecserve;
using namespace vecserve::engine;
using namespace vecserve::test;

// Ids 0 to 99; every third has n = 1, every fifth expires after 50 ms; 7 and 8 are erased.
class Rows {
 public:
  Rows() : core(engine.create("rows")) {
    std::vector<OwnedRow> rows;
    for (std::uint64_t id = 0; id < 100; ++id) {
      rows.emplace_back(id, std::vector<float>{0, 0}, id % 3 == 0 ? R"({"n": 1})" : R"({"n": 2})",
                        id % 5 == 0 ? 50u : 0u);
    }
    REQUIRE(upsert(core, rows).ok());
    REQUIRE(erase(core, {7, 8}).ok());
    set = core->snapshot();
  }

  // The ids that the bits name.
  [[nodiscard]] std::vector<std::uint64_t> ids(const EligibleRows& rows) const {
    std::vector<std::uint64_t> found;
    for (std::uint32_t p = 0; rows.words != nullptr && p < 128; ++p) {
      if ((rows.words[p / 64] >> (p % 64) & 1) == 0) continue;
      REQUIRE(p < 100);
      found.push_back(set->view(0).block->id(p).number);
    }
    CHECK(found.size() == rows.count);
    return found;
  }
  template <typename Want>
  static std::vector<std::uint64_t> expected(Want&& want) {
    std::vector<std::uint64_t> all;
    for (std::uint64_t id = 0; id < 100; ++id) {
      if (id != 7 && id != 8 && want(id)) all.push_back(id);
    }
    return all;
  }

  Engine engine;
  CorePtr core;
  std::shared_ptr<const RowSet> set;
  std::vector<std::uint64_t> scratch = std::vector<std::uint64_t>(8'192 / 64, ~std::uint64_t{0});
};

TEST_CASE("eligible: without expiry and filter the live bits are used in place", "[engine]") {
  Rows rows;
  const std::uint64_t now = rows.engine.clock.unix_ms();
  const EligibleRows found = eligible_rows(rows.set->view(0), now, nullptr, nullptr);
  CHECK(found.words == rows.set->view(0).live->words.data());
  CHECK(rows.ids(found) == Rows::expected([](auto) { return true; }));
}

TEST_CASE("eligible: a row is gone at the very moment its time passes", "[engine]") {
  Rows rows;
  const std::uint64_t now = rows.engine.clock.unix_ms();
  const BlockView& view = rows.set->view(0);
  CHECK(rows.ids(eligible_rows(view, now + 49, nullptr, rows.scratch.data())).size() == 98);
  CHECK(rows.ids(eligible_rows(view, now + 50, nullptr, rows.scratch.data())) ==
        Rows::expected([](auto id) { return id % 5 != 0; }));
}

TEST_CASE("eligible: filter and expiry hold together", "[engine]") {
  Rows rows;
  const std::uint64_t now = rows.engine.clock.unix_ms();
  FilterRun filter(*Filter::parse(".n == 1"));
  const BlockView& view = rows.set->view(0);
  CHECK(rows.ids(eligible_rows(view, now, &filter, rows.scratch.data())) ==
        Rows::expected([](auto id) { return id % 3 == 0; }));
  CHECK(rows.ids(eligible_rows(view, now + 50, &filter, rows.scratch.data())) ==
        Rows::expected([](auto id) { return id % 3 == 0 && id % 5 != 0; }));
  FilterRun none(*Filter::parse(".n == 9"));
  const EligibleRows empty = eligible_rows(view, now, &none, rows.scratch.data());
  CHECK(empty.words == nullptr);
  CHECK(empty.count == 0);
}

TEST_CASE("eligible: a mask has one entry per block and counts them all", "[engine]") {
  Engine engine;
  CollectionOptions wide = Engine::plane();
  wide.dim = 16'384;
  const CorePtr core = engine.create("wide", wide);
  std::vector<OwnedRow> rows;
  for (std::uint64_t id = 0; id < 150; ++id) {
    rows.emplace_back(id, std::vector<float>(wide.dim, 1.0f),
                      id < 64 ? R"({"n": 1})" : R"({"n": 2})", id >= 128 ? 10u : 0u);
  }
  REQUIRE(upsert(core, rows).ok());
  const auto set = core->snapshot();
  REQUIRE(set->block_count() == 3);
  std::vector<std::uint64_t> scratch;
  ScanMask mask;
  const std::uint64_t now = engine.clock.unix_ms();
  CHECK(make_mask(*set, now, nullptr, scratch, mask) == 150);
  CHECK(scratch.empty());
  CHECK(mask.words[1] == set->view(1).live->words.data());
  CHECK(mask.eligible == std::vector<std::uint32_t>{64, 64, 22});
  CHECK(make_mask(*set, now + 10, nullptr, scratch, mask) == 128);
  CHECK(mask.words[2] == nullptr);
  CHECK(mask.eligible == std::vector<std::uint32_t>{64, 64, 0});
  const Filter filter = *Filter::parse(".n == 2");
  CHECK(make_mask(*set, now, &filter, scratch, mask) == 86);
  CHECK(mask.words[0] == nullptr);
  CHECK(std::popcount(mask.words[2][0]) == 22);
  CHECK(make_mask(RowSet(), now, &filter, scratch, mask) == 0);
  CHECK(mask.words.empty());
}

}  // namespace
