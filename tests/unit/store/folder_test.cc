// Folders, their locks and small files: below everything else that the store does on disk.
// One thread.
// Always holds: each step of replacing a file is made to fail once.
#include "engine/store/folder.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/support/store/fault_fs.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

using Mode = FolderLock::Mode;

rocksdb::FileSystem& real() {
  return *rocksdb::FileSystem::Default();
}

TEST_CASE("folder: one may lock it alone, or many share it", "[folder]") {
  const TempFolder folder;
  const std::string root = folder.root().string();
  auto alone = FolderLock::acquire(root, Mode::exclusive);
  REQUIRE(alone.ok());
  CHECK(FolderLock::acquire(root, Mode::exclusive).status().code() ==
        StatusCode::failed_precondition);
  CHECK(FolderLock::acquire(root, Mode::shared).status().code() == StatusCode::failed_precondition);
  alone->release();
  auto first = FolderLock::acquire(root, Mode::shared);
  auto second = FolderLock::acquire(root, Mode::shared);
  REQUIRE(first.ok());
  REQUIRE(second.ok());
  CHECK(FolderLock::acquire(root, Mode::exclusive).status().code() ==
        StatusCode::failed_precondition);
  first->release();
  const FolderLock moved = *std::move(second);
  CHECK(FolderLock::acquire(root, Mode::exclusive).status().code() ==
        StatusCode::failed_precondition);
  CHECK(FolderLock::acquire(folder.path("none"), Mode::shared).status().code() ==
        StatusCode::io_error);
}

TEST_CASE("folder: paths are told apart and taken apart", "[folder]") {
  const TempFolder folder;
  set_file_bytes(folder.path("file"), "x");
  CHECK(*path_kind(folder.path("none")) == PathKind::absent);
  CHECK(*path_kind(folder.root().string()) == PathKind::folder);
  CHECK(*path_kind(folder.path("file")) == PathKind::other);
  CHECK(*path_kind(folder.path("file/below")) == PathKind::other);
  CHECK(parent_folder("a/b//") == "a");
  CHECK(parent_folder("/a") == "/");
  CHECK(parent_folder("a") == ".");
  CHECK(without_trailing_slashes("/") == "/");
  CHECK(without_trailing_slashes("a//") == "a");
}

TEST_CASE("folder: files of a database are told from strangers", "[folder]") {
  for (const char* name :
       {"CURRENT", "IDENTITY", "WATERMARK", "MANIFEST-000001", "000012.sst", "000013.log"}) {
    CAPTURE(name);
    CHECK(is_data_file(name));
    CHECK(is_database_file(name));
  }
  for (const char* name :
       {"LOCK", "LOG", "LOG.old.123", "OPTIONS-000007", "000003.dbtmp", "WATERMARK.tmp"}) {
    CAPTURE(name);
    CHECK_FALSE(is_data_file(name));
    CHECK(is_database_file(name));
  }
  for (const char* name :
       {"notes.txt", "a.sst", ".sst", "MANIFEST-", "MANIFEST-1x", "current", "x.dbtmp", "core"}) {
    CAPTURE(name);
    CHECK_FALSE(is_data_file(name));
    CHECK_FALSE(is_database_file(name));
  }
}

TEST_CASE("folder: a file is replaced whole, or not at all", "[folder]") {
  const TempFolder folder;
  const std::string root = folder.root().string();
  FaultFileSystem fs;
  REQUIRE(write_file(fs, root, "f", "first").ok());
  for (std::uint64_t nth = 1; nth <= 5; ++nth) {  // open, append, sync, rename, open folder
    CAPTURE(nth);
    Fault fault;
    fault.kinds = fault::kWrites;
    fault.nth = nth;
    fs.arm(fault);
    CHECK(write_file(fs, root, "f", "second").code() == StatusCode::io_error);
    CHECK(file_bytes(folder.path("f")) == (nth < 5 ? "first" : "second"));
    CHECK(list_folder(fs, root)->size() == 1);
  }
  fs.disarm();
  CHECK(*read_file(fs, folder.path("f"), 6) == "second");
  CHECK(read_file(fs, folder.path("f"), 5).status().code() == StatusCode::data_loss);
  CHECK(read_file(fs, folder.path("g"), 5).status().code() == StatusCode::not_found);
}

TEST_CASE("folder: copies are whole and folders are removed and published", "[folder]") {
  const TempFolder folder;
  REQUIRE(make_folder(real(), folder.path("a")).ok());
  REQUIRE(make_folder(real(), folder.path("a")).ok());
  const std::string large(std::size_t{3} << 20, 'x');
  set_file_bytes(folder.path("a/f"), large);
  REQUIRE(copy_file(real(), folder.path("a/f"), folder.path("a/g")).ok());
  CHECK(file_bytes(folder.path("a/g")) == large);
  CHECK(sync_file(real(), folder.path("a/g")).ok());
  CHECK(file_bytes(folder.path("a/g")) == large);
  CHECK_FALSE(copy_file(real(), folder.path("a/none"), folder.path("a/h")).ok());

  REQUIRE(make_folder(real(), folder.path("b")).ok());
  CHECK(publish_folder(real(), folder.path("a"), folder.path("b")).code() ==
        StatusCode::already_exists);
  REQUIRE(publish_folder(real(), folder.path("a"), folder.path("c")).ok());
  CHECK(file_bytes(folder.path("c/f")) == large);
  REQUIRE(remove_folder(real(), folder.path("c")).ok());
  CHECK_FALSE(std::filesystem::exists(folder.path("c")));
  CHECK(remove_folder(real(), folder.path("c")).ok());
}

}  // namespace
}  // namespace vecserve::engine
