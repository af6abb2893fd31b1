// Writing to the store on disk: what it does when the disk fails, and when the watermark moves.
// The system test makes every operation fail; this one says what callers are told. One thread.
// Always holds: time is a ManualClock's, so nothing waits.
#include <catch2/catch.hpp>

#include "engine/store/watermark.h"
#include "tests/support/store/fault_fs.h"
#include "tests/support/store/store_opening.h"

namespace vecserve::engine {
namespace {

struct Subject {
  explicit Subject(Durability durability = Durability::sync) {
    options.rocksdb_env = env.env.get();
    options.clock = &clock;
    options.durability = durability;
    REQUIRE(reopen(store, options).ok());
    model.create(0, "a");
    REQUIRE(model.apply(*store).ok());
  }
  Status put(int id, Durability durability = Durability::sync) {
    model.put(0, id);
    return model.apply(*store, durability);
  }
  void fail(unsigned kinds, bool disk_full) {
    Fault fault;
    fault.kinds = kinds;
    fault.sticky = true;
    fault.disk_full = disk_full;
    fault.name_contains = ".log";
    env.fs->arm(fault);
  }
  Watermark mark() { return *read_watermark(*env.fs, options.path); }

  TempFolder folder;
  FaultEnv env;
  ManualClock clock;
  StoreOptions options = store_at(folder);
  std::unique_ptr<Store> store;
  StoreModel model;
};

TEST_CASE("rocks_apply: a failed sync is never tried again, until reopened", "[rocks_apply]") {
  for (const bool disk_full : {false, true}) {
    CAPTURE(disk_full);
    Subject subject;
    REQUIRE(subject.put(1).ok());
    subject.fail(fault::kSync, disk_full);
    CHECK(subject.put(2).code() == StatusCode::io_error);
    subject.env.fs->disarm();
    CHECK(subject.put(3).code() == StatusCode::io_error);
    CHECK(subject.store->sync().code() == StatusCode::io_error);
    CHECK(subject.store->checkpoint(subject.folder.path("copy")).status().code() ==
          StatusCode::io_error);
    CHECK(subject.store->verify({}).ok());  // reading goes on
    auto state = reopen(subject.store, subject.options);
    REQUIRE(state.ok());
    // The batch in doubt is there or not; none of the refused ones is.
    CHECK(state->sequence - subject.model.acked().sequence <= 1);
    subject.model = StoreModel(*state);
    CHECK(subject.put(4).ok());
  }
}

TEST_CASE("rocks_apply: a full disk changes nothing, and writes go on when there is room",
          "[rocks_apply]") {
  Subject subject;
  REQUIRE(subject.put(1).ok());
  subject.fail(fault::kAppend, true);
  CHECK(subject.put(2).code() == StatusCode::resource_exhausted);
  CHECK(subject.put(3).code() == StatusCode::resource_exhausted);
  subject.env.fs->disarm();
  const Status status = subject.put(4);
  INFO(status.to_string());
  REQUIRE(status.ok());
  CHECK(subject.model.acked().collections.at(0).rows.size() == 2);
  CHECK(difference(subject.model.acked(), *reopen(subject.store, subject.options)) == "");
}

TEST_CASE("rocks_apply: the watermark follows once a second, and exactly at close",
          "[rocks_apply]") {
  Subject subject;
  CHECK(subject.mark().commit_sequence == 0);
  REQUIRE(subject.put(1).ok());
  CHECK(subject.mark().commit_sequence == 0);
  subject.clock.advance(std::chrono::milliseconds(999));
  REQUIRE(subject.put(2).ok());
  CHECK(subject.mark().commit_sequence == 0);
  subject.clock.advance(std::chrono::milliseconds(1));
  REQUIRE(subject.put(3).ok());
  CHECK(subject.mark().commit_sequence == 3);  // what was durable before this batch
  CHECK_FALSE(subject.mark().clean);
  REQUIRE(subject.store->sync().ok());
  CHECK(subject.mark().commit_sequence == 4);
  REQUIRE(subject.store->close().ok());
  CHECK(subject.mark().commit_sequence == 4);
  CHECK(subject.mark().clean);
  REQUIRE(reopen(subject.store, subject.options).ok());
  CHECK_FALSE(subject.mark().clean);
}

TEST_CASE("rocks_apply: weaker durability is on record before the first such write",
          "[rocks_apply]") {
  Subject subject(Durability::process);
  CHECK(subject.mark().durability == Durability::process);
  REQUIRE(subject.put(1, Durability::process).ok());
  subject.clock.advance(std::chrono::milliseconds(1'000));
  Fault syncs;
  syncs.kinds = fault::kSync;
  syncs.nth = UINT64_MAX;
  syncs.name_contains = ".log";
  subject.env.fs->arm(syncs);
  REQUIRE(subject.put(2, Durability::process).ok());
  CHECK(subject.env.fs->matched() == 1);  // once a second all the same
  CHECK(subject.mark().commit_sequence == 2);
  REQUIRE(subject.put(3, Durability::process).ok());
  CHECK(subject.env.fs->matched() == 1);
  REQUIRE(subject.put(4, Durability::sync).ok());
  CHECK(subject.env.fs->matched() == 2);

  subject.options.durability = Durability::sync;
  REQUIRE(reopen(subject.store, subject.options).ok());
  CHECK(subject.mark().durability == Durability::sync);
  // The database's own durability is the least: asking for less changes nothing.
  subject.env.fs->arm(syncs);
  REQUIRE(subject.put(5, Durability::process).ok());
  CHECK(subject.env.fs->matched() == 1);
}

}  // namespace
}  // namespace vecserve::engine
