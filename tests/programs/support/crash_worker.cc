// The mixed workload. Each thread draws its operations from its own dice, one at a time, blind to
// what is stored: an insert may meet an existing row and an update a missing one, and the parent
// checks the code. Thread 0 also creates, fills and drops the second collection; thread 1 makes
// checkpoints.
#include "tests/programs/support/crash_worker.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "engine/database_testing.h"
#include "tests/programs/support/crash_events.h"
#include "tests/programs/support/crash_graph.h"
#include "tests/support/coded_row.h"
#include "tests/support/dice.h"
#include "tests/support/store/fault_fs.h"

namespace vecserve::test {
namespace {

constexpr std::size_t kWriteBufferBytes = 1 << 20;  // the least that is allowed
constexpr std::uint64_t kFillingCycles = 3;

class WorkerThread {
 public:
  WorkerThread(const WorkerSettings& settings, Database& database, Collection main,
               std::uint32_t thread)
      : settings_(settings),
        database_(database),
        main_(std::move(main)),
        thread_(thread),
        ids_(settings.graph ? kGraphIdsPerThread : kIdsPerThread),
        dice_(settings.seed, settings.cycle * settings.threads + thread),
        version_(settings.first_version + thread) {}

  void run() {
    // All rows at once, so that there is a graph from the first cycles on.
    if (settings_.graph && settings_.cycle < kFillingCycles) {
      version_ += settings_.threads;
      write(Operation::upsert, ids_);
    }
    for (std::uint32_t i = 0; i < settings_.operations_max && alive_; ++i) {
      version_ += settings_.threads;
      step();
    }
  }

 private:
  void step() {
    const std::uint64_t roll = dice_.below(1000);
    if (thread_ == 0 && roll < 80) {
      side_step();
    } else if (thread_ == 1 && roll < 4) {
      checkpoint();
    } else {
      main_step(dice_.below(100));
    }
  }

  void main_step(std::uint64_t roll) {
    if (roll < 35) {
      write(Operation::upsert, 1);
    } else if (roll < 52) {
      write(Operation::upsert, dice_.between(2, 100));
    } else if (roll < 55) {
      write(Operation::upsert, dice_.between(300, 600));
    } else if (roll < 65) {
      write(Operation::insert, dice_.between(1, 3));
    } else if (roll < 75) {
      write(Operation::update_payload, dice_.between(1, 3));
    } else if (roll < 95) {
      erase(dice_.between(1, 20));
    } else {
      erase_group();
    }
  }

  Event intent(Operation operation, std::uint64_t count) {
    Event event;
    event.kind = EventKind::intent;
    event.operation = operation;
    event.thread = static_cast<std::uint8_t>(thread_);
    event.version = version_;
    event.count = std::min(count, ids_);
    event.first_id = thread_ * kOwnerSpan + dice_.below(ids_ - event.count + 1);
    return event;
  }

  void reply(Event event, const Status& status, const WriteResult& result) {
    event.kind = EventKind::reply;
    event.code = static_cast<std::uint8_t>(status.code());
    event.affected = result.rows;
    event.sequence = result.sequence;
    if (!send_event(event)) alive_ = false;
  }

  void reply(const Event& event, const Result<WriteResult>& result) {
    reply(event, result.status(), result.ok() ? *result : WriteResult{});
  }

  void write(Operation operation, std::uint64_t count) {
    write_to(main_, kMainCollection, operation, count);
  }

  void write_to(Collection& collection, std::uint8_t which, Operation operation,
                std::uint64_t count) {
    Event event = intent(operation, count);
    event.collection = which;
    batch_.clear();
    for (std::uint64_t id = event.first_id; id < event.first_id + event.count; ++id) {
      if (operation == Operation::update_payload) {
        batch_.add_payload_only(id, version_);
      } else {
        batch_.add(id, version_);
      }
    }
    const std::vector<RowInput>& rows = batch_.inputs();
    if (!send_event(event)) alive_ = false;
    switch (operation) {
      case Operation::insert:
        reply(event, collection.insert(rows));
        break;
      case Operation::update_payload:
        reply(event, collection.update(rows));
        break;
      default:
        reply(event, collection.upsert(rows));
        break;
    }
  }

  void erase(std::uint64_t count) {
    const Event event = intent(Operation::erase, count);
    std::vector<RowId> ids;
    for (std::uint64_t id = event.first_id; id < event.first_id + event.count; ++id) {
      ids.emplace_back(id);
    }
    if (!send_event(event)) alive_ = false;
    reply(event, main_.erase(ids));
  }

  void erase_group() {
    Event event = intent(Operation::erase_group, ids_);
    event.group = static_cast<std::uint8_t>(dice_.below(kGroups));
    if (!send_event(event)) alive_ = false;
    reply(event, main_.erase_where(".owner == " + std::to_string(thread_) +
                                   " and .group == " + std::to_string(event.group)));
  }

  void side_step() {
    Result<Collection> side = database_.collection(kSideName);
    if (!side.ok()) {
      const Event event = intent(Operation::create_side, 1);
      if (!send_event(event)) alive_ = false;
      reply(event, database_.create_collection(kSideName, coded_collection()).status(), {});
    } else if (dice_.percent(15)) {
      const Event event = intent(Operation::drop_side, 1);
      if (!send_event(event)) alive_ = false;
      reply(event, database_.drop_collection(kSideName), {});
    } else {
      write_to(*side, kSideCollection, Operation::upsert, dice_.between(1, 200));
    }
  }

  void checkpoint() {
    const Event event = intent(Operation::checkpoint, 1);
    if (!send_event(event)) alive_ = false;
    const Result<CheckpointInfo> made =
        database_.checkpoint(settings_.checkpoint_prefix + std::to_string(version_));
    if (!made.ok()) {
      std::fprintf(stderr, "checkpoint: %s\n", made.status().to_string().c_str());
    }
    reply(event, made.status(), {});
  }

  const WorkerSettings& settings_;
  Database& database_;
  Collection main_;
  const std::uint32_t thread_;
  const std::uint64_t ids_;
  Dice dice_;
  std::uint32_t version_;
  CodedBatch batch_;
  bool alive_ = true;
};

}  // namespace

Result<Database> open_for_harness(const std::string& path, Durability durability, bool power_loss,
                                  bool graph) {
  DatabaseOptions options;
  options.durability = durability;
  options.write_buffer_bytes = kWriteBufferBytes;
  options.threads = 2;
  engine::TestHooks hooks;
  hooks.save_graphs_often = graph;
  if (power_loss) {
    // One for the life of the process: RocksDB's threads may use it until the very end.
    static engine::FaultEnv* const env =
        new engine::FaultEnv(engine::FaultFileSystem::PowerLoss::on);
    hooks.rocksdb_env = env->env.get();
  }
  return engine::open_for_testing(path, options, hooks);
}

int run_crash_worker(const WorkerSettings& settings) {
  Result<Database> database =
      open_for_harness(settings.path, settings.durability, settings.power_loss, settings.graph);
  if (!database.ok()) {
    std::fprintf(stderr, "worker: open: %s\n", database.status().to_string().c_str());
    return 1;
  }
  Result<Collection> main = database->collection(kMainName);
  if (!main.ok()) main = database->create_collection(kMainName, coded_collection());
  if (!main.ok()) {
    std::fprintf(stderr, "worker: collection: %s\n", main.status().to_string().c_str());
    return 1;
  }
  if (!send_event(Event{})) return 1;  // EventKind::ready
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < settings.threads; ++i) {
    threads.emplace_back(
        [&settings, &database, &main, i] { WorkerThread(settings, *database, *main, i).run(); });
  }
  std::atomic<bool> done{false};
  std::thread searcher;
  if (settings.graph) {
    searcher = std::thread([&settings, &main, &done] {
      search_until(*main, settings.seed + settings.cycle, settings.threads, kGraphIdsPerThread,
                   [&done] { return done.load(); });
    });
  }
  for (std::thread& thread : threads) thread.join();
  done.store(true);
  if (searcher.joinable()) searcher.join();
  return 0;
}

}  // namespace vecserve::test
