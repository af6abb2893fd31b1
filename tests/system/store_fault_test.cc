// The store on a disk that fails: every single operation of a script once, in every way, and a
// power loss after every batch. After each, reopening gives exactly what was acknowledged.
// One thread.
// Always holds: a run without a fault ends each loop, so that no operation is left out.
#include <catch2/catch.hpp>
#include <memory>

#include "engine/store/rocks_store.h"
#include "tests/support/store/fault_fs.h"
#include "tests/support/store/store_model.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

StoreOptions at(const TempFolder& folder, FaultEnv& env, const Clock& clock) {
  StoreOptions options;
  options.path = folder.path();
  options.write_buffer_bytes = std::size_t{64} << 10;  // so that memtables are written out, too
  options.rocksdb_env = env.env.get();
  options.clock = &clock;
  return options;
}

// One batch of the script. The clock moves, so that the watermark is due now and then.
void plan_step(StoreModel& model, int step) {
  const std::string payload(600, static_cast<char>('a' + step % 26));
  if (step == 0) {
    model.create(0, "a");
    model.create(1, "b", 17);
  }
  for (int i = 0; i < 12; ++i) model.put(0, (step * 7 + i) % 50, payload);
  if (step % 3 == 0 && step <= 9) model.put(1, "row" + std::to_string(step));
  if (step % 4 == 1) model.erase(0, (step * 7 + 3) % 50);
  if (step == 9) model.drop(1);
  if (step == 9) model.create(2, "c");
  if (step > 9 && step % 3 == 0) model.erase(0, step % 50);
  model.request({1, static_cast<std::uint64_t>(step)});
}

constexpr int kSteps = 16;

// What a run leaves behind: the acknowledged state, and the one that an apply() in doubt was to
// make.
struct Outcome {
  ModelState acked;
  ModelState attempted;
  bool in_doubt = false;
  bool faultless = true;
  bool opened = false;
};

Outcome run_script(const StoreOptions& options, FaultFileSystem& fs, ManualClock& clock,
                   bool disk_full) {
  Outcome outcome;
  StoreModel model;
  auto opened = open_rocks_store(options);
  if (opened.ok() && (*opened)->load({}, 1).ok()) {
    outcome.opened = true;
    Store& store = **opened;
    for (int step = 0; step < kSteps; ++step) {
      clock.advance(std::chrono::milliseconds(400));
      plan_step(model, step);
      Status status = model.apply(store);
      if (status.ok()) continue;
      outcome.faultless = false;
      INFO(status.to_string());
      const bool sticky = status.code() == StatusCode::io_error;
      if (!disk_full) REQUIRE(sticky);
      if (sticky) {
        outcome.in_doubt = true;
        outcome.attempted = model.attempted();
        // Once in doubt, nothing is written any more, even when the disk has recovered.
        fs.disarm();
        plan_step(model, step);
        CHECK(model.apply(store).code() == StatusCode::io_error);
        CHECK(store.sync().code() == StatusCode::io_error);
        break;
      }
      REQUIRE(status.code() == StatusCode::resource_exhausted);
      // Space comes back, and with it the writes.
      fs.disarm();
      // A write-out that was under way may still report that there was none, once.
      for (int attempt = 0; attempt < 2 && !status.ok(); ++attempt) {
        plan_step(model, step);
        status = model.apply(store);
      }
      INFO(status.to_string());
      REQUIRE(status.ok());
    }
    outcome.faultless = outcome.faultless && store.close().ok();
  } else {
    outcome.faultless = false;
  }
  outcome.acked = model.acked();
  return outcome;
}

// A collection is dropped, and nothing is written while its rows go in the background: a fault
// there is the last thing that happens to the log.
Outcome run_removal(const StoreOptions& options, FaultFileSystem& fs) {
  Outcome outcome;
  StoreModel model;
  auto opened = open_rocks_store(options);
  outcome.faultless = opened.ok() && (*opened)->load({}, 1).ok();
  for (int step = 0; step < 2 && outcome.faultless; ++step) {
    if (step == 0) {
      model.create(0, "a");
      for (int i = 0; i < 4; ++i) model.put(0, i, "payload");
    } else {
      model.drop(0);
    }
    outcome.faultless = model.apply(**opened).ok();
    outcome.in_doubt = !outcome.faultless;
    outcome.attempted = model.attempted();
  }
  if (outcome.faultless) {
    outcome.faultless = static_cast<RocksStore&>(**opened).wait_for_removals().ok();
  }
  fs.disarm();
  if (opened.ok()) outcome.faultless = (*opened)->close().ok() && outcome.faultless;
  outcome.acked = model.acked();
  return outcome;
}

void check_reopened(const StoreOptions& options, const Outcome& outcome) {
  auto store = open_rocks_store(options);
  INFO(store.status().to_string());
  REQUIRE(store.ok());
  auto state = load_state(**store);
  INFO(state.status().to_string());
  REQUIRE(state.ok());
  // What was in doubt may be there as a whole, or not at all.
  if (outcome.in_doubt && state->sequence == outcome.attempted.sequence) {
    CHECK(difference(outcome.attempted, *state) == "");
  } else {
    CHECK(difference(outcome.acked, *state) == "");
  }
  CHECK((*store)->close().ok());
}

enum class Script { batches, removal };

// A fault of that kind at each operation of a script in turn, of which there are more than
// `failures_min`.
void fail_each(FaultFileSystem::PowerLoss power_loss, const Fault& kind,
               Script script = Script::batches, std::uint64_t failures_min = 50) {
  std::uint64_t failures = 0;
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth, kind.sticky, kind.disk_full, kind.half);
    const TempFolder folder;
    FaultEnv env(power_loss);
    ManualClock clock;
    const StoreOptions options = at(folder, env, clock);
    Fault fault = kind;
    fault.nth = nth;
    env.fs->arm(fault);
    const Outcome outcome = script == Script::removal
                                ? run_removal(options, *env.fs)
                                : run_script(options, *env.fs, clock, kind.disk_full);
    const bool fired = env.fs->failed() > 0;
    if (fired) ++failures;
    if (power_loss == FaultFileSystem::PowerLoss::on) env.fs->lose_power();
    env.fs->disarm();
    check_reopened(options, outcome);
    if (!fired) {
      CHECK(outcome.faultless);
      break;
    }
  }
  CAPTURE(failures);
  CHECK(failures > failures_min);  // the script does reach the disk
}

TEST_CASE("store faults: any one write operation may fail with EIO", "[store_fault]") {
  Fault fault;
  fault.kinds = fault::kWrites;
  fail_each(FaultFileSystem::PowerLoss::off, fault);
}

TEST_CASE("store faults: removing the rows of a dropped collection may fail at any write",
          "[store_fault]") {
  Fault fault;
  fault.kinds = fault::kWrites;
  fail_each(FaultFileSystem::PowerLoss::off, fault, Script::removal, 20);
}

TEST_CASE("store faults: the disk may fail for good at any write operation", "[store_fault]") {
  Fault fault;
  fault.kinds = fault::kWrites;
  fault.sticky = true;
  fault.half = true;
  fail_each(FaultFileSystem::PowerLoss::off, fault);
}

TEST_CASE("store faults: the disk may be full at any write operation", "[store_fault]") {
  Fault fault;
  fault.kinds = fault::kAppend | fault::kSync;
  fault.sticky = true;
  fault.half = true;
  fault.disk_full = true;
  fail_each(FaultFileSystem::PowerLoss::off, fault);
}

TEST_CASE("store faults: a fault followed by a power loss keeps what was acknowledged",
          "[store_fault]") {
  Fault fault;
  fault.kinds = fault::kWrites;
  fault.sticky = true;
  fail_each(FaultFileSystem::PowerLoss::on, fault);
}

TEST_CASE("store faults: a power loss after any batch keeps all that was acknowledged",
          "[store_fault]") {
  for (int steps = 0; steps <= kSteps; ++steps) {
    CAPTURE(steps);
    const TempFolder folder;
    FaultEnv env(FaultFileSystem::PowerLoss::on);
    ManualClock clock;
    const StoreOptions options = at(folder, env, clock);
    StoreModel model;
    auto store = open_rocks_store(options);
    REQUIRE(store.ok());
    REQUIRE((*store)->load({}, 1).ok());
    for (int step = 0; step < steps; ++step) {
      clock.advance(std::chrono::milliseconds(400));
      plan_step(model, step);
      REQUIRE(model.apply(**store).ok());
    }
    env.fs->cut_power();
    store->reset();
    env.fs->lose_power();
    Outcome outcome;
    outcome.acked = model.acked();
    check_reopened(options, outcome);
  }
}

TEST_CASE("store faults: without sync a power loss leaves a prefix, from the last sync on",
          "[store_fault]") {
  const TempFolder folder;
  FaultEnv env(FaultFileSystem::PowerLoss::on);
  ManualClock clock;
  StoreOptions options = at(folder, env, clock);
  options.durability = Durability::process;
  StoreModel model;
  auto store = open_rocks_store(options);
  REQUIRE(store.ok());
  REQUIRE((*store)->load({}, 1).ok());
  std::vector<ModelState> states{model.acked()};
  std::uint64_t durable = 0;
  for (int step = 0; step < kSteps; ++step) {
    plan_step(model, step);
    REQUIRE(model.apply(**store, Durability::process).ok());
    states.push_back(model.acked());
    if (step == 5) {
      REQUIRE((*store)->sync().ok());
      durable = model.acked().sequence;
    }
  }
  env.fs->cut_power();
  store->reset();
  env.fs->lose_power();
  auto again = open_rocks_store(options);
  REQUIRE(again.ok());
  auto state = load_state(**again);
  INFO(state.status().to_string());
  REQUIRE(state.ok());
  CHECK(state->sequence >= durable);
  CHECK(difference(states.at(state->sequence), *state) == "");
}

}  // namespace
}  // namespace vecserve::engine
