// Loading and searching at speed: several threads write batches, one call answers a batch of
// queries, a cursor walks all rows in id order, and a checkpoint copies the database while it is
// open. Usage: embed_batch [FOLDER]; the folder must be new; without one a temporary
// folder is used and removed.
#include <vecserve/vecserve.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr std::uint32_t kDim = 64;
constexpr std::uint64_t kThreads = 4;
constexpr std::uint64_t kBatches = 10;  // of each thread
constexpr std::uint64_t kBatchRows = 500;
constexpr std::uint64_t kRows = kThreads * kBatches * kBatchRows;

void check(const vecserve::Status& status) {
  if (status.ok()) return;
  std::cerr << status.to_string() << '\n';
  std::exit(EXIT_FAILURE);
}

template <typename T>
T check(vecserve::Result<T> result) {
  check(result.status());
  return std::move(result).value();
}

std::vector<float> random_vectors(std::uint64_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(count * kDim);
  for (float& value : values) value = normal(random);
  return values;
}

// Writes one thread's rows. Handles are cheap to copy and any thread may use them.
vecserve::Status load(vecserve::Collection collection, std::uint64_t thread) {
  for (std::uint64_t batch = 0; batch < kBatches; ++batch) {
    const std::uint64_t first_id = (thread * kBatches + batch) * kBatchRows;
    const std::vector<float> vectors = random_vectors(kBatchRows, first_id + 1);
    std::vector<std::string> payloads(kBatchRows);
    std::vector<vecserve::RowInput> rows(kBatchRows);
    for (std::uint64_t i = 0; i < kBatchRows; ++i) {
      payloads[i] = "{\"thread\": " + std::to_string(thread) + "}";
      rows[i].id = first_id + i;
      rows[i].vector = {vecserve::ScalarType::f32, &vectors[i * kDim], kDim};
      rows[i].payload = payloads[i];
    }
    // A request id makes the write safe to send again: it is applied once.
    vecserve::WriteOptions options;
    options.request_id = {thread + 1, batch + 1};
    const auto written = collection.upsert(rows, options);
    if (!written.ok()) return written.status();
  }
  return {};
}

void load_from_threads(const vecserve::Collection& collection) {
  std::vector<vecserve::Status> outcomes(kThreads);
  std::vector<std::thread> threads;
  for (std::uint64_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&collection, &outcomes, t] { outcomes[t] = load(collection, t); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const vecserve::Status& outcome : outcomes) check(outcome);
  std::cout << "loaded " << check(collection.count()) << " rows from " << kThreads << " threads\n";
}

void search_batch(const vecserve::Collection& collection) {
  constexpr std::uint64_t kQueries = 100;
  // The vectors of the first batch again, so that the nearest row of query i must be row i.
  const std::vector<float> vectors = random_vectors(kBatchRows, 1);
  std::vector<vecserve::Query> queries(kQueries);
  for (std::uint64_t i = 0; i < kQueries; ++i) {
    queries[i].vector = {vecserve::ScalarType::f32, &vectors[i * kDim], kDim};
  }
  queries[0].filter = ".thread == 3";  // a query may have a filter and a k of its own
  vecserve::SearchOptions options;
  options.k = 5;
  options.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  vecserve::SearchResult result;  // used again for the next batch, its memory is too
  check(collection.search(queries, options, result));
  std::uint64_t found = 0;
  for (std::uint64_t i = 1; i < kQueries; ++i) {
    if (result.of(i)[0].id == vecserve::RowId(i)) ++found;
  }
  std::cout << result.query_count() << " queries by " << result.backend << " in "
            << result.stages.scan_ns / 1000 << " us of scanning; " << found << " of "
            << kQueries - 1 << " found themselves\n";
  std::cout << "nearest of thread 3: " << result.of(0)[0].id.to_string() << '\n';
}

// Pages through every row as of the moment when the scan began, whatever is written meanwhile.
void walk(const vecserve::Collection& collection) {
  vecserve::ScanOptions options;
  options.filter = ".thread < 2";
  options.with_vector = false;
  vecserve::Cursor cursor = check(collection.scan(options));
  std::uint64_t rows = 0;
  std::uint64_t pages = 0;
  while (!cursor.done()) {
    rows += check(cursor.next(1'000)).size();
    ++pages;
  }
  std::cout << "walked " << rows << " rows in " << pages << " pages\n";
}

void run(const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);  // open() makes one level of folders, not two
  vecserve::Database db = check(vecserve::Database::open((folder / "database").string()));
  vecserve::CollectionOptions options;
  options.dim = kDim;
  options.fields = {{"thread", vecserve::FieldType::number}};
  const vecserve::Collection collection = check(db.create_collection("vectors", options));
  load_from_threads(collection);
  search_batch(collection);
  walk(collection);

  const std::string copy = (folder / "checkpoint").string();
  const vecserve::CheckpointInfo info = check(db.checkpoint(copy));
  std::cout << "checkpoint of " << info.rows << " rows, " << info.bytes << " bytes\n";
  check(db.close());

  // A checkpoint is a database like any other.
  vecserve::Database reopened = check(vecserve::Database::open_read_only(copy));
  const std::uint64_t rows = check(check(reopened.collection("vectors")).count());
  if (rows != kRows) {
    std::cerr << "the checkpoint holds " << rows << " rows\n";
    std::exit(EXIT_FAILURE);
  }
  check(reopened.close());
}

}  // namespace

int main(int argc, char* argv[]) {
  if (argc > 2) {
    std::cerr << "usage: " << argv[0] << " [FOLDER]\n";
    return EXIT_FAILURE;
  }
  if (argc == 2) {
    run(argv[1]);
    return EXIT_SUCCESS;
  }
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() /
      ("vecserve-embed-batch-" + std::to_string(std::random_device{}()));
  run(folder);
  std::filesystem::remove_all(folder);
  return EXIT_SUCCESS;
}
