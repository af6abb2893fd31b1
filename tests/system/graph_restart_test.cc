// The graph over restarts, through the public API and on a disk: it is saved, comes back without
// being linked again, and whatever happens to its file costs time and never an answer. In folders
// of its own. Always holds: nobody sleeps; files are damaged behind the product's back.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <thread>
#include <vector>

#include "engine/database_testing.h"
#include "tests/support/dice.h"
#include "tests/support/temporary_folder.h"
#include "vecserve/vecserve.h"

namespace {

using namespace vecserve;
using namespace vecserve::test;

constexpr std::uint32_t kDim = 32;
#if defined(VECSERVE_SANITIZED) && VECSERVE_SANITIZED
constexpr std::uint64_t kRows = 2'400;  // a graph is made for them, but a scan is faster
constexpr bool kWalks = false;
#else
constexpr std::uint64_t kRows = 5'000;
constexpr bool kWalks = true;
#endif

std::vector<float> vector_of(std::uint64_t id) {
  Dice dice(id);
  std::vector<float> vector(kDim);
  for (std::uint32_t i = 0; i < kDim; ++i) {
    vector[i] =
        static_cast<float>(dice.below(1000)) * 0.01f + static_cast<float>((id % 23 * (i + 5)) % 31);
  }
  return vector;
}

Database open(const std::string& path) {
  DatabaseOptions options;
  options.durability = Durability::process;
  options.threads = 2;
  auto database = Database::open(path, options);
  INFO(database.status().to_string());
  REQUIRE(database.ok());
  return *std::move(database);
}

Collection collection_of(Database& database) {
  auto found = database.collection("c");
  REQUIRE(found.ok());
  return *found;
}

SearchOptions walk() {
  SearchOptions options;
  options.k = 5;
  options.ef = 20;
  return options;
}

CollectionStats wait_for_graph(const Collection& collection) {
  for (;;) {
    const auto stats = collection.stats();
    REQUIRE(stats.ok());
    if (stats->rows_linked >= stats->rows && stats->rows_unlinked == 0 && stats->graph_measured) {
      return *stats;
    }
    std::this_thread::yield();
  }
}

// The keeper saves it by itself; closing would too, but only within its time.
void wait_for_copy(const Collection& collection) {
  for (std::uint64_t saved = 0; saved < kRows;) {
    const auto stats = collection.stats();
    REQUIRE(stats.ok());
    saved = stats->graph_saved;
    std::this_thread::yield();
  }
}

void check_answers(const Collection& collection) {
  bool walked = false;
  std::uint32_t missed = 0;
  for (std::uint64_t id = 0; id < kRows; id += 11) {
    const std::vector<float> vector = vector_of(id);
    const Query query(vector);
    SearchResult result;
    REQUIRE(collection.search({&query, 1}, walk(), result).ok());
    walked = walked || result.backend.starts_with("graph/");
    missed += result.neighbors[0].id == RowId(id) ? 0U : 1U;
  }
  CHECK((walked || !kWalks));
  CHECK(missed <= 5);  // a narrow beam may miss one in hundreds
}

void check_graph_of(Database& database, std::uint64_t rows) {
  const auto look = engine::look_at_graph(database, "c");
  REQUIRE(look.ok());
  CHECK(look->there);
  CHECK(look->live == rows);
  CHECK(look->faults == 0);
  CHECK(look->missing == 0);
}

// A closed database with a graph that was saved.
struct Folder {
  Folder() {
    Database database = open(path);
    CollectionOptions options;
    options.dim = kDim;
    auto made = database.create_collection("c", options);
    REQUIRE(made.ok());
    std::vector<std::vector<float>> vectors;
    std::vector<RowInput> rows(kRows);
    for (std::uint64_t id = 0; id < kRows; ++id) vectors.push_back(vector_of(id));
    for (std::uint64_t id = 0; id < kRows; ++id) {
      rows[id].id = id;
      rows[id].vector = vectors[id];
    }
    REQUIRE(made->upsert(rows).ok());
    REQUIRE(made->search(Query(vectors[0]), walk()).ok());
    wait_for_graph(*made);
    wait_for_copy(*made);
    REQUIRE(database.close().ok());
    REQUIRE(std::filesystem::exists(file));
  }
  [[nodiscard]] std::string bytes() const {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
  }
  void set_bytes(const std::string& bytes) const {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << bytes;
  }

  TemporaryFolder folder;
  std::string path = folder.at("db");
  std::string file = path + "/CACHE-0";
};

TEST_CASE("graph restart: after closing and opening, all rows are in the graph already") {
  const Folder folder;
  for (int round = 0; round < 2; ++round) {
    Database database = open(folder.path);
    const Collection collection = collection_of(database);
    const CollectionStats stats = wait_for_graph(collection);
    CHECK(stats.graph_restored == kRows);
    CHECK(stats.graph_saved == kRows);
    check_graph_of(database, kRows);
    check_answers(collection);
    REQUIRE(database.verify().ok());
    REQUIRE(database.close().ok());
  }
}

TEST_CASE("graph restart: a reader takes the graph over and leaves the folder as it is") {
  const Folder folder;
  const std::string before = folder.bytes();
  {
    auto database = Database::open_read_only(folder.path);
    REQUIRE(database.ok());
    const Collection collection = collection_of(*database);
    CHECK(wait_for_graph(collection).graph_restored == kRows);
    check_answers(collection);
  }
  CHECK((folder.bytes() == before));
  std::string damaged = before;
  damaged[damaged.size() / 2] ^= 1;
  folder.set_bytes(damaged);
  {
    auto database = Database::open_read_only(folder.path);
    REQUIRE(database.ok());
    const Collection collection = collection_of(*database);
    CHECK(wait_for_graph(collection).graph_restored == 0);
    check_answers(collection);
  }
  CHECK((folder.bytes() == damaged));
}

TEST_CASE("graph restart: a damaged, cut or foreign file costs the copy and nothing else") {
  const Folder folder;
  const std::string whole = folder.bytes();
  for (const std::string& bytes :
       {std::string(), whole.substr(0, whole.size() / 3), std::string(100'000, '\xff'),
        whole.substr(0, whole.size() - 9) + '!' + whole.substr(whole.size() - 8)}) {
    folder.set_bytes(bytes);
    Database database = open(folder.path);
    const Collection collection = collection_of(database);
    const CollectionStats stats = wait_for_graph(collection);
    CHECK(stats.graph_restored == 0);
    check_graph_of(database, kRows);
    check_answers(collection);
    wait_for_copy(collection);
    REQUIRE(database.close().ok());
    // It was saved again.
    CHECK(folder.bytes().size() > whole.size() / 2);
  }
}

TEST_CASE("graph restart: a collection takes its copy with it, a checkpoint does without") {
  const Folder folder;
  Database database = open(folder.path);
  wait_for_graph(collection_of(database));
  REQUIRE(database.checkpoint(folder.folder.at("copy")).ok());
  CHECK_FALSE(std::filesystem::exists(folder.folder.at("copy/CACHE-0")));
  REQUIRE(database.drop_collection("c").ok());
  CHECK_FALSE(std::filesystem::exists(folder.file));
  REQUIRE(database.close().ok());
  CHECK_FALSE(std::filesystem::exists(folder.file));
  Database copy = open(folder.folder.at("copy"));
  const Collection collection = collection_of(copy);
  REQUIRE(collection.search(Query(vector_of(1)), walk()).ok());
  CHECK(wait_for_graph(collection).graph_restored == 0);
  check_answers(collection);
}

}  // namespace
