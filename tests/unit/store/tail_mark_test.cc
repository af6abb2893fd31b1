// Checks engine/store/tail_mark: the newest whole slot counts, and whatever is damaged says
// nothing. Single-threaded, on a folder of its own. Always holds: files are damaged behind the
// product's back with the standard library.
#include "engine/store/tail_mark.h"

#include <rocksdb/env.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/temporary_folder.h"

namespace {

using namespace vecserve::engine;

rocksdb::FileSystem& file_system() {
  return *rocksdb::Env::Default()->GetFileSystem();
}

std::string read_all(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

void write_all(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

}  // namespace

TEST_CASE("tail mark: the last note is what is read", "[store]") {
  const vecserve::test::TemporaryFolder folder;
  CHECK(read_tail(file_system(), folder.path()) == 0);
  TailMark tail;
  tail.open(file_system(), folder.path());
  CHECK(read_tail(file_system(), folder.path()) == 0);
  for (std::uint64_t commit = 1; commit < 10; ++commit) {
    tail.note(commit * 3);
    CHECK(read_tail(file_system(), folder.path()) == commit * 3);
  }
  tail.close();
  TailMark again;
  again.open(file_system(), folder.path());
  again.note(40);
  again.note(41);
  CHECK(read_tail(file_system(), folder.path()) == 41);
}

TEST_CASE("tail mark: a slot that is torn leaves the one before it", "[store]") {
  const vecserve::test::TemporaryFolder folder;
  TailMark tail;
  tail.open(file_system(), folder.path());
  tail.note(7);
  tail.note(8);
  const std::string path = folder.path() + "/" + kTailName;
  const std::string whole = read_all(path);
  REQUIRE(whole.size() == 64);
  for (std::size_t at = 0; at < whole.size(); ++at) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    write_all(path, damaged);
    CHECK(read_tail(file_system(), folder.path()) == (at < 32 ? 8 : 7));
  }
}

TEST_CASE("tail mark: a file of another size says nothing", "[store]") {
  const vecserve::test::TemporaryFolder folder;
  TailMark tail;
  tail.open(file_system(), folder.path());
  tail.note(7);
  const std::string path = folder.path() + "/" + kTailName;
  const std::string whole = read_all(path);
  for (const std::string& bytes : {std::string(), whole.substr(0, 63), whole + "x"}) {
    write_all(path, bytes);
    CHECK(read_tail(file_system(), folder.path()) == 0);
  }
}

TEST_CASE("tail mark: without a folder to write to, notes are passed over", "[store]") {
  TailMark tail;
  tail.open(file_system(), "/does/not/exist");
  tail.note(1);
  CHECK(read_tail(file_system(), "/does/not/exist") == 0);
}
