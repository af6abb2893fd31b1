// Many threads, every call, and what each of them may rely on: own writes are visible at once, a
// batch is seen whole or not at all, answers are sorted and real. Above everything; made for
// ThreadSanitizer too. Always holds: threads end by counting work, never by time, and report
// failures after they joined.
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/coded_row.h"
#include "tests/support/dice.h"
#include "tests/support/temporary_folder.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

// Catch2's assertions are for one thread: the others note the first thing that was wrong.
class Complaint {
 public:
  void check(bool ok, const char* what) {
    if (ok) return;
    const char* none = nullptr;
    first_.compare_exchange_strong(none, what);
  }
  [[nodiscard]] std::string first() const {
    const char* what = first_.load();
    return what == nullptr ? "" : what;
  }
  [[nodiscard]] bool any() const { return first_.load() != nullptr; }

 private:
  std::atomic<const char*> first_{nullptr};
};

void run_threads(std::size_t count, const std::function<void(std::size_t)>& body) {
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < count; ++i) threads.emplace_back(body, i);
  for (std::thread& thread : threads) thread.join();
}

struct Fixture {
  explicit Fixture(bool in_memory) {
    DatabaseOptions options;
    options.in_memory = in_memory;
    options.threads = 3;
    options.expire_every_ms = 5;
    database.emplace(std::move(Database::open(folder.at("db"), options).value()));
    rows = database->create_collection("rows", coded_collection()).value();
  }
  TemporaryFolder folder;
  std::optional<Database> database;
  Collection rows;
};

// Rows that are only ever written all together, with one version.
class WholeBatches {
 public:
  static constexpr std::uint64_t kRows = 8;
  static constexpr std::size_t kWriters = 2;

  explicit WholeBatches(Collection rows) : rows_(std::move(rows)) {
    for (std::uint64_t id = 0; id < kRows; ++id) ids_.emplace_back(id);
    write_version(1);
  }

  // Every write gives all rows one version; one of the writers also erases all of them at times.
  void write(std::size_t thread) {
    for (std::uint32_t step = 0; step < 150; ++step) {
      if (thread == 1 && step % 20 == 0) complaint.check(rows_.erase(ids_).ok(), "erase failed");
      write_version(static_cast<std::uint32_t>(2 + step * kWriters + thread));
    }
    writing_.fetch_sub(1);
  }

  void read(std::size_t thread) {
    while (writing_.load() > 0 && !complaint.any()) {
      switch (thread % 3) {
        case 0:
          read_by_id();
          break;
        case 1:
          read_by_search();
          break;
        default:
          read_by_scan();
          break;
      }
    }
  }

  Complaint complaint;

 private:
  void write_version(std::uint32_t version) {
    CodedBatch batch;
    for (std::uint64_t id = 0; id < kRows; ++id) batch.add(id, version);
    complaint.check(rows_.upsert(batch.inputs()).ok(), "upsert failed");
  }

  void one_version(const std::vector<CodedVersions>& seen, const char* what) {
    complaint.check(seen.empty() || seen.size() == kRows, what);
    for (const CodedVersions& versions : seen) complaint.check(versions == seen.front(), what);
  }

  void read_by_id() {
    const auto found = rows_.multi_get(ids_);
    complaint.check(found.ok(), "multi_get failed");
    std::vector<CodedVersions> seen;
    for (const auto& row : *found) {
      if (row) seen.push_back(decode_coded(*row).value_or(CodedVersions{}));
    }
    one_version(seen, "multi_get saw half a batch");
  }

  void read_by_search() {
    const std::vector<float> query = coded_vector(3, 7);
    SearchOptions options;
    options.k = 100;
    options.with_payload = options.with_vector = true;
    const auto found = rows_.search(Query(query), options);
    complaint.check(found.ok(), "search failed");
    std::vector<CodedVersions> seen;
    for (const Neighbor& n : *found) {
      const Row row{n.id, n.vector, n.payload, std::nullopt};
      seen.push_back(decode_coded(row).value_or(CodedVersions{}));
    }
    one_version(seen, "search saw half a batch");
  }

  void read_by_scan() {
    Result<Cursor> cursor = rows_.scan();
    complaint.check(cursor.ok(), "scan failed");
    std::vector<CodedVersions> seen;
    while (!cursor->done()) {
      const std::vector<Row> page = cursor->next(3).value();
      for (const Row& row : page) seen.push_back(decode_coded(row).value_or(CodedVersions{}));
    }
    one_version(seen, "scan saw half a batch");
    const std::uint64_t count = rows_.count().value();
    complaint.check(count == 0 || count == kRows, "count saw half a batch");
  }

  Collection rows_;
  std::vector<RowId> ids_;
  std::atomic<std::size_t> writing_{kWriters};
};

// One thread of the case in which everything happens at once.
class AnyCall {
 public:
  AnyCall(Fixture& fixture, Complaint& complaint, std::size_t thread)
      : fixture_(fixture), complaint_(complaint), thread_(thread), dice_(9, thread) {}

  void step(std::uint32_t number) {
    const std::uint64_t id = thread_ * kOwnerSpan + dice_.below(200);
    switch (dice_.below(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        upsert(id, number);
        break;
      case 4:
        complaint_.check(fixture_.rows.erase(RowId(id)).ok(), "erase");
        break;
      case 5:
        erase_where();
        break;
      case 6:
        create_or_drop();
        break;
      case 7:
        checkpoint_or_verify(number);
        break;
      case 8:
        complaint_.check(fixture_.rows.stats().ok(), "stats");
        break;
      case 9:
        complaint_.check(!fixture_.database->list_collections().empty(), "list");
        break;
      default:
        search(id, number);
        break;
    }
  }

 private:
  void upsert(std::uint64_t id, std::uint32_t version) {
    CodedBatch batch;
    for (std::uint64_t i = 0; i < 20; ++i) batch.add(id + i, version);
    const auto written = fixture_.rows.upsert(batch.inputs());
    complaint_.check(written.ok() && written->rows == 20, "upsert");
  }

  void erase_where() {
    const std::string filter = ".owner == " + std::to_string(thread_) + " and .group == 5";
    complaint_.check(fixture_.rows.erase_where(filter).ok(), "erase_where");
  }

  void create_or_drop() {
    const std::string name = "own" + std::to_string(thread_);
    if (fixture_.database->collection(name).ok()) {
      complaint_.check(fixture_.database->drop_collection(name).ok(), "drop");
    } else {
      complaint_.check(fixture_.database->create_collection(name, coded_collection()).ok(),
                       "create");
    }
  }

  void checkpoint_or_verify(std::uint32_t number) {
    if (thread_ != 0) {
      complaint_.check(fixture_.database->verify().ok(), "verify");
      return;
    }
    const std::string path = fixture_.folder.at("copy" + std::to_string(number));
    complaint_.check(fixture_.database->checkpoint(path).ok(), "checkpoint");
  }

  void search(std::uint64_t id, std::uint32_t version) {
    const std::vector<float> query = coded_vector(id, version);
    SearchOptions options;
    options.filter = dice_.percent(50) ? ".group < 8" : "";
    const auto found = fixture_.rows.search(Query(query), options);
    complaint_.check(found.ok(), "search");
    for (std::size_t i = 1; i < found->size(); ++i) {
      complaint_.check((*found)[i - 1].distance <= (*found)[i].distance, "unsorted");
      complaint_.check((*found)[i - 1].id != (*found)[i].id, "a row twice");
    }
  }

  Fixture& fixture_;
  Complaint& complaint_;
  const std::size_t thread_;
  Dice dice_;
};

}  // namespace

TEST_CASE("concurrency: a thread sees its own acknowledged writes at once", "[concurrency]") {
  Fixture fixture(GENERATE(false, true));
  Complaint complaint;
  run_threads(6, [&](std::size_t thread) {
    Dice dice(5, thread);
    CodedBatch batch;
    for (std::uint32_t step = 1; step <= 60; ++step) {
      const std::uint64_t id = thread * kOwnerSpan + dice.below(20);
      batch.clear();
      batch.add(id, step);
      complaint.check(fixture.rows.upsert(batch.inputs()).ok(), "upsert failed");
      const Result<Row> row = fixture.rows.get(RowId(id));
      complaint.check(row.ok() && decode_coded(*row) == CodedVersions{step, step},
                      "get does not see the own write");
      const std::vector<float> query = coded_vector(id, step);
      const auto found = fixture.rows.search(Query(query));
      complaint.check(found.ok() && !found->empty() && found->front().id == RowId(id) &&
                          found->front().distance == 0.0,
                      "search does not see the own write");
      if (step % 5 == 0) {
        complaint.check(fixture.rows.erase(RowId(id)).value().rows == 1, "erase failed");
        complaint.check(!fixture.rows.exists(RowId(id)).value(), "the erased row exists");
      }
    }
  });
  CHECK(complaint.first() == "");
  CHECK(fixture.database->verify().ok());
}

TEST_CASE("concurrency: a batch is seen whole or not at all by every kind of read",
          "[concurrency]") {
  Fixture fixture(GENERATE(false, true));
  WholeBatches batches(fixture.rows);
  run_threads(WholeBatches::kWriters + 3, [&](std::size_t thread) {
    if (thread < WholeBatches::kWriters) {
      batches.write(thread);
    } else {
      batches.read(thread - WholeBatches::kWriters);
    }
  });
  CHECK(batches.complaint.first() == "");
  CHECK(fixture.rows.count().value() == WholeBatches::kRows);
}

TEST_CASE("concurrency: all calls at once leave a database that verifies and reopens",
          "[concurrency]") {
  Fixture fixture(false);
  Complaint complaint;
  run_threads(8, [&](std::size_t thread) {
    AnyCall call(fixture, complaint, thread);
    for (std::uint32_t number = 1; number <= 60; ++number) call.step(number);
  });
  CHECK(complaint.first() == "");
  const std::uint64_t count = fixture.rows.count().value();
  CHECK(count > 0);
  REQUIRE(fixture.database->verify().ok());
  REQUIRE(fixture.database->close().ok());
  Database again = std::move(Database::open(fixture.folder.at("db")).value());
  CHECK(again.collection("rows").value().count().value() == count);
}

TEST_CASE("concurrency: concurrent writers share group commits and every write counts once",
          "[concurrency]") {
  Fixture fixture(false);
  Complaint complaint;
  constexpr std::size_t kThreads = 8;
  constexpr std::uint64_t kWrites = 50;
  run_threads(kThreads, [&](std::size_t thread) {
    CodedBatch batch;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < kWrites; ++i) {
      batch.clear();
      batch.add(thread * kOwnerSpan + i, 1);
      const auto result = fixture.rows.insert(batch.inputs());
      complaint.check(result.ok() && result->rows == 1, "insert");
      complaint.check(result->sequence > last, "sequence does not rise");
      complaint.check(result->durability == Durability::sync, "durability");
      last = result->sequence;
    }
  });
  CHECK(complaint.first() == "");
  CHECK(fixture.rows.count().value() == kThreads * kWrites);
  const DatabaseStats stats = fixture.database->stats();
  CHECK(stats.commits <= stats.commit_writes);
  CHECK(stats.commit_writes >= kThreads * kWrites);
}

TEST_CASE("concurrency: of writers that send one request id, exactly one is applied",
          "[concurrency]") {
  Fixture fixture(false);
  Complaint complaint;
  std::atomic<int> applied{0};
  for (std::uint64_t round = 1; round <= 20; ++round) {
    run_threads(4, [&](std::size_t thread) {
      WriteOptions options;
      options.request_id = {round, 1};
      CodedBatch batch;
      batch.add(round * 10 + thread, 1);
      const auto result = fixture.rows.upsert(batch.inputs(), options);
      complaint.check(result.ok() && result->rows == 1, "upsert");
      if (!result->replayed) ++applied;
    });
  }
  CHECK(complaint.first() == "");
  CHECK(applied.load() == 20);
  CHECK(fixture.rows.count().value() == 20);
}

TEST_CASE("concurrency: closing under load gives each call its outcome or unavailable",
          "[concurrency]") {
  Fixture fixture(GENERATE(false, true));
  Complaint complaint;
  std::atomic<std::uint64_t> acknowledged{0};
  run_threads(5, [&](std::size_t thread) {
    if (thread == 4) {
      while (acknowledged.load() < 40 && !complaint.any()) std::this_thread::yield();
      complaint.check(fixture.database->close().ok(), "close");
      return;
    }
    CodedBatch batch;
    for (std::uint64_t i = 0;; ++i) {
      batch.clear();
      batch.add(thread * kOwnerSpan + i, 1);
      const auto written = fixture.rows.upsert(batch.inputs());
      if (!written.ok()) {
        complaint.check(written.status().code() == StatusCode::unavailable, "another code");
        break;
      }
      ++acknowledged;
      const auto count = fixture.rows.count();
      complaint.check(count.ok() || count.status().code() == StatusCode::unavailable, "count");
    }
  });
  CHECK(complaint.first() == "");
  if (fixture.database->stats().path.empty()) return;  // in memory: nothing to come back to
  Database again = std::move(Database::open(fixture.folder.at("db")).value());
  CHECK(again.collection("rows").value().count().value() == acknowledged.load());
}
