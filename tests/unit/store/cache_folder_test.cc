// Checks engine/store/cache_folder: a new run takes the place of the old one whole or not at all,
// whatever fails and wherever the power goes; what is left over is removed. Single-threaded, in
// folders of its own. Always holds: each step of writing is made to fail once.
#include "engine/store/cache_folder.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/store/folder.h"
#include "tests/support/store/fault_fs.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

std::shared_ptr<CacheFolder> folder_on(const TempFolder& folder,
                                       std::shared_ptr<rocksdb::FileSystem> fs) {
  return std::make_shared<CacheFolder>(std::move(fs), folder.root().string());
}

Status save(CacheFolder& caches, std::uint32_t collection, const std::string& text) {
  auto writer = caches.write(collection);
  VECSERVE_TRY(writer.status());
  VECSERVE_TRY((*writer)->append(text));
  return (*writer)->finish();
}

// "" when there is none.
std::string load(CacheFolder& caches, std::uint32_t collection) {
  auto reader = caches.read(collection);
  if (reader.status().code() == StatusCode::not_found) return "";
  REQUIRE(reader.ok());
  const auto chunk = (*reader)->next();
  REQUIRE(chunk.ok());
  std::string text(*chunk);
  const auto end = (*reader)->next();
  REQUIRE(end.ok());
  CHECK(end->empty());
  return text;
}

std::vector<std::string> names_in(const TempFolder& folder) {
  auto names = list_folder(*rocksdb::FileSystem::Default(), folder.root().string());
  REQUIRE(names.ok());
  return *names;
}

TEST_CASE("cache folder: what was finished counts, what was begun does not", "[store]") {
  const TempFolder folder;
  const auto caches = folder_on(folder, rocksdb::FileSystem::Default());
  CHECK(load(*caches, 3) == "");
  REQUIRE(save(*caches, 3, "old").ok());
  REQUIRE(save(*caches, 4, "other").ok());
  {
    auto writer = caches->write(3);
    REQUIRE(writer.ok());
    REQUIRE((*writer)->append("half").ok());
    CHECK(std::filesystem::exists(folder.path("CACHE-3.tmp")));
    CHECK(load(*caches, 3) == "old");
  }
  CHECK_FALSE(std::filesystem::exists(folder.path("CACHE-3.tmp")));
  const std::string large(kCacheChunkMax, 'z');
  REQUIRE(save(*caches, 3, large).ok());
  CHECK(load(*caches, 3) == large);
  CHECK(load(*caches, 4) == "other");
  REQUIRE(caches->remove(3).ok());
  REQUIRE(caches->remove(3).ok());
  CHECK(load(*caches, 3) == "");
}

TEST_CASE("cache folder: whatever step fails, the old run is still there", "[store]") {
  const TempFolder folder;
  const FaultEnv env;
  const auto caches = folder_on(folder, env.fs);
  REQUIRE(save(*caches, 1, "old").ok());
  for (std::uint64_t nth = 1;; ++nth) {
    CAPTURE(nth);
    REQUIRE(nth < 30);
    Fault failing;
    failing.kinds = fault::kWrites;
    failing.nth = nth;
    failing.disk_full = nth % 2 == 0;
    env.fs->arm(failing);
    const Status saved = save(*caches, 1, "new");
    const bool failed = env.fs->failed() > 0;
    env.fs->disarm();
    CHECK(saved.ok() != failed);
    const std::string found = load(*caches, 1);
    // Only the sync of the folder comes after the new one has its name.
    CHECK((found == "old" || found == "new"));
    if (!failed) break;
    REQUIRE(save(*caches, 1, "old").ok());
    CHECK_FALSE(std::filesystem::exists(folder.path("CACHE-1.tmp")));
  }
}

TEST_CASE("cache folder: a power loss leaves the old run or the new one", "[store]") {
  for (std::uint64_t nth = 1; nth < 12; ++nth) {
    CAPTURE(nth);
    const TempFolder folder;
    const FaultEnv env(FaultFileSystem::PowerLoss::on);
    const auto caches = folder_on(folder, env.fs);
    REQUIRE(save(*caches, 1, "old").ok());
    Fault failing;
    failing.kinds = fault::kWrites;
    failing.nth = nth;
    failing.sticky = true;
    env.fs->arm(failing);
    const Status saved = save(*caches, 1, "new");
    env.fs->cut_power();
    env.fs->lose_power();
    env.fs->disarm();
    const auto again = folder_on(folder, rocksdb::FileSystem::Default());
    CHECK(load(*again, 1) == (saved.ok() ? "new" : "old"));
  }
}

TEST_CASE("cache folder: what belongs to nobody is removed, strangers stay", "[store]") {
  const TempFolder folder;
  const auto caches = folder_on(folder, rocksdb::FileSystem::Default());
  REQUIRE(save(*caches, 1, "one").ok());
  REQUIRE(save(*caches, 20, "twenty").ok());
  REQUIRE(save(*caches, 3, "three").ok());
  for (const char* name : {"CACHE-1.tmp", "CACHE-", "CACHE-01", "CACHE-x", "CACHE-1.tmp.tmp"}) {
    set_file_bytes(folder.path(name), "x");
  }
  const std::vector<std::uint32_t> known = {1, 3};
  caches->tidy(known);
  CHECK((names_in(folder) == std::vector<std::string>{"CACHE-", "CACHE-01", "CACHE-1",
                                                      "CACHE-1.tmp.tmp", "CACHE-3", "CACHE-x"}));
  CHECK(is_database_file("CACHE-17"));
  CHECK(is_database_file("CACHE-17.tmp"));
  CHECK_FALSE(is_database_file("CACHE-017"));
  CHECK_FALSE(is_database_file("CACHE-4294967296"));
  CHECK_FALSE(is_data_file("CACHE-17"));
}

TEST_CASE("cache folder: after closing, a writer that is left changes nothing", "[store]") {
  const TempFolder folder;
  const auto caches = folder_on(folder, rocksdb::FileSystem::Default());
  REQUIRE(save(*caches, 1, "old").ok());
  auto writer = caches->write(1);
  REQUIRE(writer.ok());
  REQUIRE((*writer)->append("new").ok());
  caches->close();
  CHECK((*writer)->append("more").code() == StatusCode::unavailable);
  CHECK((*writer)->finish().code() == StatusCode::unavailable);
  // Somebody else opens the folder and writes there.
  const auto again = folder_on(folder, rocksdb::FileSystem::Default());
  auto other = again->write(1);
  REQUIRE(other.ok());
  writer->reset();
  CHECK(std::filesystem::exists(folder.path("CACHE-1.tmp")));
  REQUIRE((*other)->append("newer").ok());
  REQUIRE((*other)->finish().ok());
  CHECK(load(*again, 1) == "newer");
  CHECK(caches->write(1).status().code() == StatusCode::unavailable);
  CHECK(caches->remove(1).code() == StatusCode::unavailable);
}

}  // namespace
}  // namespace vecserve::engine
