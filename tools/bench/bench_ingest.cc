// How fast do durable upserts go, and what share is that of RocksDB alone writing the same bytes
// with the same fsyncs? Canonical run: bench_ingest --json -. Columns: threads and rows per batch;
// rows_per_s, the median of the rounds; raw_rows_per_s, RocksDB alone: one WriteBatch with sync per
// client batch, a 12-byte key and our record per row, and two small entries as our counters;
// raw_rocksdb_share, the median of the rounds' ratios. Rounds of both alternate, each on a fresh
// folder, so both meet the same machine.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "engine/store/record.h"
#include "tools/bench/bench_report.h"
#include "vecserve/database.h"

namespace {

using namespace vecserve;
using namespace vecserve::bench;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPoolRows = 4096;  // distinct vectors, used over and over
constexpr std::uint64_t kIdsPerThread = 1ull << 40;
constexpr std::size_t kCounterBytes = 40;  // what a commit adds beside its rows
constexpr std::size_t kStateBytes = 64;

struct Settings {
  CommonFlags common;
  std::uint32_t dim = 128;
  std::uint32_t rounds = 5;
  std::uint32_t round_ms = 700;
  std::string durability = "sync";
  std::vector<std::uint32_t> threads = {1, 8};
  std::vector<std::uint32_t> batches = {1, 100, 1000};
};

struct Case {
  std::uint32_t threads;
  std::uint32_t batch;
};

// Runs `write` (rows of one batch, by their first number) on every thread until the time is over,
// and returns rows per second.
double measure(const Settings& settings, const Case& which,
               const std::function<bool(std::uint64_t thread, std::uint64_t first)>& write,
               std::uint64_t& rows_written) {
  std::atomic<bool> failed{false};
  std::atomic<std::uint64_t> rows{0};
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::milliseconds(settings.round_ms);
  std::vector<std::thread> threads;
  for (std::uint64_t thread = 0; thread < which.threads; ++thread) {
    threads.emplace_back([&, thread] {
      std::uint64_t own = 0;
      for (; Clock::now() < end && !failed; own += which.batch) {
        if (!write(thread, own)) failed = true;
      }
      rows += own;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  require(!failed, "a write failed");
  rows_written = rows;
  return static_cast<double>(rows_written) / seconds;
}

double measure_vecserve(const Settings& settings, const Case& which, const std::vector<float>& pool,
                        const std::string& path) {
  DatabaseOptions options;
  options.durability = settings.durability == "process" ? Durability::process : Durability::sync;
  Result<Database> database = Database::open(path, options);
  require(database.ok(), database.status().to_string());
  CollectionOptions shape;
  shape.dim = settings.dim;
  Result<Collection> made = database->create_collection("rows", shape);
  require(made.ok(), made.status().to_string());
  Collection rows = *made;

  std::vector<std::vector<RowInput>> inputs(which.threads, std::vector<RowInput>(which.batch));
  std::uint64_t written = 0;
  const auto write = [&](std::uint64_t thread, std::uint64_t first) {
    std::vector<RowInput>& batch = inputs[thread];
    for (std::uint64_t i = 0; i < which.batch; ++i) {
      const std::size_t at = ((first + i) % kPoolRows) * settings.dim;
      batch[i].id = RowId(thread * kIdsPerThread + first + i);
      batch[i].vector = VectorView(std::span<const float>(pool.data() + at, settings.dim));
    }
    const Result<WriteResult> result = rows.upsert(batch);
    return result.ok() && result->rows == which.batch;
  };
  const double rate = measure(settings, which, write, written);

  require(rows.count().value() == written, "rows are missing after the writes");
  const std::vector<float> query(pool.begin(), pool.begin() + settings.dim);
  const auto found = rows.search(Query(query));
  require(found.ok() && found->front().distance == 0.0, "the search misses a written row");
  require(database->close().ok(), "close failed");
  return rate;
}

double measure_rocksdb(const Settings& settings, const Case& which,
                       const std::vector<std::string>& records, const std::string& path) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.compression = rocksdb::kNoCompression;
  options.write_buffer_size = DatabaseOptions().write_buffer_bytes;
  options.max_write_buffer_number = 3;
  rocksdb::DB* opened = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(options, path, &opened);
  const std::unique_ptr<rocksdb::DB> db(opened);
  require(status.ok(), status.ToString());
  rocksdb::WriteOptions durable;
  durable.sync = settings.durability == "sync";

  const std::string counters(kCounterBytes, 'c'), state(kStateBytes, 's');
  std::vector<rocksdb::WriteBatch> batches(which.threads);
  std::atomic<std::uint64_t> next_slot{0};
  std::uint64_t written = 0;
  const auto write = [&](std::uint64_t thread, std::uint64_t first) {
    rocksdb::WriteBatch& batch = batches[thread];
    batch.Clear();
    const std::uint64_t slot = next_slot.fetch_add(which.batch);
    char key[12] = {'r', 'o', 'w', 's'};
    for (std::uint64_t i = 0; i < which.batch; ++i) {
      for (int byte = 0; byte < 8; ++byte) {
        key[11 - byte] = static_cast<char>((slot + i) >> (8 * byte));
      }
      if (!batch.Put(rocksdb::Slice(key, sizeof(key)), records[(first + i) % kPoolRows]).ok()) {
        return false;
      }
    }
    return batch.Put("counters", counters).ok() && batch.Put("state", state).ok() &&
           db->Write(durable, &batch).ok();
  };
  const double rate = measure(settings, which, write, written);
  require(written > 0 && db->Close().ok(), "RocksDB wrote nothing");
  return rate;
}

std::vector<std::string> make_records(const Settings& settings, const std::vector<float>& pool) {
  std::vector<std::string> records(kPoolRows);
  for (std::size_t i = 0; i < kPoolRows; ++i) {
    engine::StoreRow row;
    row.id = engine::IdView(static_cast<std::uint64_t>(i));
    row.vector = std::as_bytes(std::span(pool.data() + i * settings.dim, settings.dim));
    engine::encode_record(row, records[i]);
  }
  return records;
}

void run(int argc, char** argv) {
  Settings settings;
  CLI::App app("Durable upserts against RocksDB alone writing the same bytes");
  add_common_flags(app, settings.common);
  app.add_option("--dim", settings.dim)->check(CLI::Range(1, 65536));
  app.add_option("--rounds", settings.rounds)->check(CLI::PositiveNumber);
  app.add_option("--round-ms", settings.round_ms)->check(CLI::PositiveNumber);
  app.add_option("--threads", settings.threads, "list of thread counts")->delimiter(',');
  app.add_option("--batch", settings.batches, "list of rows per batch")->delimiter(',');
  app.add_option("--durability", settings.durability)->check(CLI::IsMember({"sync", "process"}));
  parse_flags(app, argc, argv);
  if (settings.common.smoke) {
    settings.rounds = 1;
    settings.round_ms = 40;
    settings.batches = {1, 100};
    settings.threads = {1, 4};
  }
  const std::vector<float> pool = random_floats(kPoolRows * settings.dim, settings.common.seed);
  const std::vector<std::string> records = make_records(settings, pool);
  const BenchFolder folder(settings.common);
  Report report("ingest", settings.common);
  for (const std::uint32_t threads : settings.threads) {
    for (const std::uint32_t batch : settings.batches) {
      const Case which{threads, batch};
      std::vector<double> own, raw, shares;
      for (std::uint32_t round = 0; round < settings.rounds; ++round) {
        const auto measure_own = [&] {
          own.push_back(measure_vecserve(settings, which, pool, folder.at("own")));
        };
        const auto measure_raw = [&] {
          raw.push_back(measure_rocksdb(settings, which, records, folder.at("raw")));
        };
        // Each goes first every other time: who comes second meets the first one's write-back.
        round % 2 == 0 ? (measure_own(), measure_raw()) : (measure_raw(), measure_own());
        shares.push_back(own.back() / raw.back());
        std::filesystem::remove_all(folder.at("own"));
        std::filesystem::remove_all(folder.at("raw"));
      }
      report.add({{"threads", threads},
                  {"batch", batch},
                  {"dim", settings.dim},
                  {"durability", settings.durability},
                  {"rows_per_s", median(own)},
                  {"raw_rows_per_s", median(raw)},
                  {"raw_rocksdb_share", median(shares)},
                  {"rounds", settings.rounds}});
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_bench("bench_ingest", run, argc, argv);
}
