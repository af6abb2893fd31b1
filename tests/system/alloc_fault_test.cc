// The n-th allocation of every kind of request fails, for n = 0, 1, 2 ... until the request no
// longer reaches it: each time the outcome must be success or resource_exhausted, and on an error
// nothing may have changed. Above everything; test thread only, which also leads its own commits.
// In memory, because RocksDB is not made to survive a failed allocation; what stands between API
// and store is ours.
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/database_testing.h"
#include "tests/support/coded_row.h"
#include "tests/support/failing_new.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

constexpr long kAllocationsMax = 20'000;  // no single small request needs as many
constexpr std::uint64_t kRows = 40;

using State = std::vector<std::pair<std::uint64_t, CodedVersions>>;

class Faults {
 public:
  Faults() {
    DatabaseOptions options;
    options.in_memory = true;
    options.threads = 1;
    options.expire_every_ms = 0;
    database.emplace(std::move(Database::open("", options).value()));
    rows = database->create_collection("rows", coded_collection()).value();
    write(0, kRows, 1);
  }

  void write(std::uint64_t first, std::uint64_t count, std::uint32_t version) {
    CodedBatch batch;
    for (std::uint64_t id = first; id < first + count; ++id) batch.add(id, version);
    REQUIRE(rows.upsert(batch.inputs()).ok());
  }

  [[nodiscard]] State state() const {
    State all;
    Cursor cursor = std::move(rows.scan().value());
    while (!cursor.done()) {
      const std::vector<Row> page = cursor.next(1000).value();
      for (const Row& row : page) {
        const auto versions = decode_coded(row);
        REQUIRE(versions.has_value());
        all.emplace_back(row.id.number(), *versions);
      }
    }
    REQUIRE(rows.count().value() == all.size());
    return all;
  }

  // `request` runs with its n-th allocation failing; `prepare` before each, `check` after each
  // success.
  void fail_each(const std::function<void()>& prepare, const std::function<Status()>& request,
                 const std::function<void()>& check) {
    long failures = 0;
    for (long n = 0; n < kAllocationsMax; ++n) {
      CAPTURE(n);
      prepare();
      const State before = state();
      const std::vector<std::string> names = database->list_collections();
      fail_allocation(n);
      const Status status = request();
      const bool reached_end = allocation_failure_pending();
      fail_allocation(-1);
      CAPTURE(status.to_string());
      if (status.ok()) {
        check();
      } else {
        ++failures;
        REQUIRE_FALSE(reached_end);
        REQUIRE(status.code() == StatusCode::resource_exhausted);
        REQUIRE(state() == before);
        REQUIRE(database->list_collections() == names);
        REQUIRE(database->verify().ok());
      }
      REQUIRE_FALSE(database->stats().read_only);
      if (reached_end) {
        REQUIRE(failures > 0);  // or the hook never worked
        return;
      }
    }
    FAIL("the request allocates without end");
  }

  std::optional<Database> database;
  Collection rows;
};

void nothing() {}

}  // namespace

TEST_CASE("allocation: a write that fails anywhere has changed nothing", "[allocation]") {
  Faults faults;
  std::uint32_t version = 1;
  CodedBatch batch;
  const auto next_batch = [&](std::uint64_t first, std::uint64_t count) {
    ++version;
    batch.clear();
    for (std::uint64_t id = first; id < first + count; ++id) batch.add(id, version);
    static_cast<void>(batch.inputs());
  };
  const auto is_written = [&](std::uint64_t id) {
    return decode_coded(faults.rows.get(RowId(id)).value()) == CodedVersions{version, version};
  };

  SECTION("upsert over existing rows") {
    faults.fail_each([&] { next_batch(5, 3); },
                     [&] { return faults.rows.upsert(batch.inputs()).status(); },
                     [&] { REQUIRE((is_written(5) && is_written(7))); });
  }
  SECTION("upsert of new rows") {
    std::uint64_t id = 1000;
    faults.fail_each([&] { next_batch(id += 10, 10); },
                     [&] { return faults.rows.upsert(batch.inputs()).status(); },
                     [&] { REQUIRE((is_written(id) && is_written(id + 9))); });
  }
  SECTION("insert") {
    std::uint64_t id = 1000;
    faults.fail_each([&] { next_batch(id += 10, 2); },
                     [&] { return faults.rows.insert(batch.inputs()).status(); },
                     [&] { REQUIRE((is_written(id) && is_written(id + 1))); });
  }
  SECTION("update of the payload alone") {
    faults.fail_each(
        [&] {
          ++version;
          batch.clear();
          batch.add_payload_only(9, version);
          static_cast<void>(batch.inputs());
        },
        [&] { return faults.rows.update(batch.inputs()).status(); },
        [&] { REQUIRE(decode_coded(faults.rows.get(9).value())->payload == version); });
  }
  SECTION("the first row of a new collection") {
    Collection fresh;
    faults.fail_each(
        [&] {
          next_batch(0, 1);
          static_cast<void>(faults.database->drop_collection("fresh"));
          fresh = faults.database->create_collection("fresh", coded_collection()).value();
        },
        [&] { return fresh.upsert(batch.inputs()).status(); },
        [&] { REQUIRE(fresh.count().value() == 1); });
  }
}

TEST_CASE("allocation: an erasure that fails anywhere has erased nothing", "[allocation]") {
  Faults faults;
  const auto refill = [&] { faults.write(0, kRows, 1); };
  SECTION("erase") {
    const std::vector<RowId> ids = {RowId(3), RowId(4), RowId(999)};
    faults.fail_each(
        refill, [&] { return faults.rows.erase(ids).status(); },
        [&] { REQUIRE(faults.rows.count().value() == kRows - 2); });
  }
  SECTION("erase_where") {
    faults.fail_each(
        refill, [&] { return faults.rows.erase_where(".group == 3").status(); },
        [&] { REQUIRE(faults.rows.count().value() == kRows - 3); });
  }
}

TEST_CASE("allocation: creating or dropping a collection happens wholly or not", "[allocation]") {
  Faults faults;
  const CollectionOptions options = coded_collection();
  SECTION("create") {
    faults.fail_each([&] { static_cast<void>(faults.database->drop_collection("second")); },
                     [&] { return faults.database->create_collection("second", options).status(); },
                     [&] { REQUIRE(faults.database->collection("second").ok()); });
  }
  SECTION("drop") {
    faults.fail_each(
        [&] { static_cast<void>(faults.database->create_collection("second", options)); },
        [&] { return faults.database->drop_collection("second"); },
        [&] { REQUIRE_FALSE(faults.database->collection("second").ok()); });
  }
}

TEST_CASE("allocation: a search that fails anywhere says so and never answers with less",
          "[allocation]") {
  Faults faults;
  const std::vector<float> query = coded_vector(3, 1);
  SECTION("search with a filter, payloads and vectors") {
    SearchOptions options;
    options.k = 2;
    options.filter = ".group == 3 and .note != \"x\"";
    options.with_payload = options.with_vector = true;
    std::vector<Neighbor> found;
    const std::vector<Neighbor> expected = faults.rows.search(Query(query), options).value();
    faults.fail_each(
        nothing,
        [&] {
          auto result = faults.rows.search(Query(query), options);
          if (result.ok()) found = std::move(*result);
          return result.status();
        },
        [&] { REQUIRE(found == expected); });
  }
  SECTION("range_search") {
    RangeSearchOptions options;
    options.radius = 1e9;
    std::size_t found = 0;
    const std::vector<Query> queries = {Query(query), Query(query)};
    faults.fail_each(
        nothing,
        [&] {
          const auto result = faults.rows.range_search(queries, options);
          if (result.ok()) found = result->neighbors.size();
          return result.status();
        },
        [&] { REQUIRE(found == 2 * kRows); });
  }
}

TEST_CASE("allocation: a read that fails anywhere says so and never returns less", "[allocation]") {
  Faults faults;
  SECTION("get") {
    faults.fail_each(
        nothing, [&] { return faults.rows.get(7).status(); }, nothing);
  }
  SECTION("multi_get") {
    const std::vector<RowId> ids = {RowId(1), RowId(999), RowId(2)};
    std::size_t found = 0;
    faults.fail_each(
        nothing,
        [&] {
          const auto result = faults.rows.multi_get(ids);
          if (result.ok()) found = result->size();
          return result.status();
        },
        [&] { REQUIRE(found == 3); });
  }
  SECTION("scan") {
    std::size_t found = 0;
    faults.fail_each(
        nothing,
        [&]() -> Status {
          found = 0;
          Result<Cursor> cursor = faults.rows.scan();
          VECSERVE_TRY(cursor.status());
          while (!cursor->done()) {
            const auto page = cursor->next(15);
            VECSERVE_TRY(page.status());
            found += page->size();
          }
          return {};
        },
        [&] { REQUIRE(found == kRows); });
  }
  SECTION("count by a filter") {
    std::uint64_t found = 0;
    faults.fail_each(
        nothing,
        [&] {
          const auto result = faults.rows.count(".group == 3");
          if (result.ok()) found = *result;
          return result.status();
        },
        [&] { REQUIRE(found == 3); });
  }
  SECTION("stats") {
    faults.fail_each(
        nothing, [&] { return faults.rows.stats().status(); }, nothing);
  }
}
