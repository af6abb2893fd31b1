// The fault file system is trusted by the tests of crashes, so it is tested itself: that it fails
// what it is told to, and that it loses exactly what was not synced. One thread.
// Always holds: what is durable is looked up on the real disk, past the one under test.
#include "tests/support/store/fault_fs.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "engine/store/folder.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

using rocksdb::FileOptions;
using rocksdb::IOOptions;
using PowerLoss = FaultFileSystem::PowerLoss;

std::unique_ptr<rocksdb::FSWritableFile> create(FaultFileSystem& fs, const std::string& path) {
  std::unique_ptr<rocksdb::FSWritableFile> file;
  REQUIRE(fs.NewWritableFile(path, FileOptions(), &file, nullptr).ok());
  return file;
}

std::string read(FaultFileSystem& fs, const std::string& path) {
  auto bytes = read_file(fs, path, 1000);
  return bytes.ok() ? *bytes : "(" + bytes.status().message() + ")";
}

TEST_CASE("fault_fs: only the n-th operation of the armed kinds fails", "[fault_fs]") {
  const TempFolder folder;
  FaultFileSystem fs;
  auto file = create(fs, folder.path("f"));
  Fault fault;
  fault.kinds = fault::kAppend;
  fault.nth = 2;
  fs.arm(fault);
  CHECK(file->Append("1", IOOptions(), nullptr).ok());
  CHECK(file->Sync(IOOptions(), nullptr).ok());
  const auto failed = file->Append("2", IOOptions(), nullptr);
  CHECK(failed.IsIOError());
  CHECK_FALSE(failed.IsNoSpace());
  CHECK(file->Append("3", IOOptions(), nullptr).ok());
  CHECK(fs.matched() == 3);
  CHECK(fs.failed() == 1);
  CHECK(file->Close(IOOptions(), nullptr).ok());
  CHECK(read(fs, folder.path("f")) == "13");
}

TEST_CASE("fault_fs: a sticky fault stays, a full disk says so, half an append is half",
          "[fault_fs]") {
  const TempFolder folder;
  FaultFileSystem fs;
  auto file = create(fs, folder.path("f"));
  Fault fault;
  fault.sticky = true;
  fault.disk_full = true;
  fault.half = true;
  fs.arm(fault);
  CHECK(file->Append("abcd", IOOptions(), nullptr).IsNoSpace());
  CHECK(file->Fsync(IOOptions(), nullptr).IsNoSpace());
  fs.disarm();
  CHECK(file->Append("ef", IOOptions(), nullptr).ok());
  CHECK(file->Close(IOOptions(), nullptr).ok());
  CHECK(read(fs, folder.path("f")) == "abef");
}

TEST_CASE("fault_fs: a power loss takes bytes that were not synced", "[fault_fs]") {
  const TempFolder folder;
  FaultFileSystem fs(PowerLoss::on);
  auto file = create(fs, folder.path("f"));
  REQUIRE(file->Append("synced", IOOptions(), nullptr).ok());
  REQUIRE(file->Sync(IOOptions(), nullptr).ok());
  REQUIRE(sync_folder(fs, folder.root().string()).ok());
  REQUIRE(file->Append("+more", IOOptions(), nullptr).ok());
  CHECK(read(fs, folder.path("f")) == "synced+more");
  CHECK(file_bytes(folder.path("f")) == "synced");
  REQUIRE(file->Sync(IOOptions(), nullptr).ok());
  CHECK(file_bytes(folder.path("f")) == "synced+more");
  REQUIRE(file->Append("+lost", IOOptions(), nullptr).ok());
  fs.cut_power();
  CHECK_FALSE(file->Sync(IOOptions(), nullptr).ok());
  file.reset();
  fs.lose_power();
  CHECK(read(fs, folder.path("f")) == "synced+more");
}

TEST_CASE("fault_fs: a power loss takes names until their folder is synced", "[fault_fs]") {
  const TempFolder folder;
  const std::string root = folder.root().string();
  FaultFileSystem fs(PowerLoss::on);
  auto file = create(fs, folder.path("f"));
  REQUIRE(file->Append("x", IOOptions(), nullptr).ok());
  REQUIRE(file->Sync(IOOptions(), nullptr).ok());
  CHECK_FALSE(std::filesystem::exists(folder.path("f")));
  CHECK(*list_folder(fs, root) == std::vector<std::string>{"f"});
  fs.lose_power();
  CHECK(list_folder(fs, root)->empty());

  file = create(fs, folder.path("g"));
  REQUIRE(file->Append("y", IOOptions(), nullptr).ok());
  REQUIRE(sync_folder(fs, root).ok());
  fs.lose_power();
  CHECK(read(fs, folder.path("g")).empty());  // the name was synced, its bytes were not
}

TEST_CASE("fault_fs: a rename is the old or the new file, a removal may be undone", "[fault_fs]") {
  const TempFolder folder;
  const std::string root = folder.root().string();
  FaultFileSystem fs(PowerLoss::on);
  REQUIRE(write_file(fs, root, "f", "old").ok());
  CHECK(file_bytes(folder.path("f")) == "old");
  CHECK_FALSE(std::filesystem::exists(folder.path("f.tmp")));

  auto file = create(fs, folder.path("new"));
  REQUIRE(file->Append("new", IOOptions(), nullptr).ok());
  REQUIRE(file->Sync(IOOptions(), nullptr).ok());
  REQUIRE(fs.RenameFile(folder.path("new"), folder.path("f"), IOOptions(), nullptr).ok());
  CHECK(read(fs, folder.path("f")) == "new");
  CHECK(file_bytes(folder.path("f")) == "old");
  fs.lose_power();
  CHECK(read(fs, folder.path("f")) == "old");

  REQUIRE(fs.DeleteFile(folder.path("f"), IOOptions(), nullptr).ok());
  CHECK(list_folder(fs, root)->empty());
  CHECK_FALSE(fs.FileExists(folder.path("f"), IOOptions(), nullptr).ok());
  fs.lose_power();
  CHECK(read(fs, folder.path("f")) == "old");
  REQUIRE(fs.DeleteFile(folder.path("f"), IOOptions(), nullptr).ok());
  REQUIRE(sync_folder(fs, root).ok());
  fs.lose_power();
  CHECK(list_folder(fs, root)->empty());
}

TEST_CASE("fault_fs: a renamed folder takes its files along", "[fault_fs]") {
  const TempFolder folder;
  FaultFileSystem fs(PowerLoss::on);
  REQUIRE(make_folder(fs, folder.path("a")).ok());
  REQUIRE(write_file(fs, folder.path("a"), "f", "1").ok());
  REQUIRE(publish_folder(fs, folder.path("a"), folder.path("b")).ok());
  CHECK(read(fs, folder.path("b/f")) == "1");
  fs.lose_power();
  CHECK(read(fs, folder.path("b/f")) == "1");
}

}  // namespace
}  // namespace vecserve::engine
