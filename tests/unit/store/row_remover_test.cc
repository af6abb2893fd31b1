// Removing the rows of dropped collections in the background. Beside rocks_store_test, which lets
// a crash come between. Its own thread works while the test waits for it.
// Always holds: nothing sleeps; wait() returns when the work is done.
#include "engine/store/row_remover.h"

#include <catch2/catch.hpp>

#include "engine/store/meta.h"
#include "tests/support/store/temp_folder.h"

namespace vecserve::engine {
namespace {

std::uint64_t count(const RocksDb& rocks, rocksdb::ColumnFamilyHandle* family) {
  const std::unique_ptr<rocksdb::Iterator> it(rocks.db().NewIterator({}, family));
  std::uint64_t keys = 0;
  for (it->SeekToFirst(); it->Valid(); it->Next()) ++keys;
  REQUIRE(it->status().ok());
  return keys;
}

struct Subject {
  Subject() {
    RocksSettings settings;
    settings.env = rocksdb::Env::Default();
    settings.create = true;
    auto opened = RocksDb::open(folder.path(), settings);
    REQUIRE(opened.ok());
    rocks = *std::move(opened);
  }
  void fill(std::uint32_t collection, std::uint64_t rows) {
    rocksdb::WriteBatch batch;
    for (std::uint64_t slot = 0; slot < rows; ++slot) {
      REQUIRE(batch.Put(rocks.rows(), row_key(collection, slot), "record").ok());
    }
    REQUIRE(batch.Put(rocks.meta(), meta_key(MetaTag::dropping, collection), "mark").ok());
    REQUIRE(rocks.db().Write({}, &batch).ok());
  }
  TempFolder folder;
  RocksDb rocks;
};

TEST_CASE("row_remover: takes all rows of a collection, its mark, and no others", "[row_remover]") {
  Subject subject;
  subject.fill(1, 10);
  subject.fill(2, 9'000);  // more than two chunks
  subject.fill(3, 10);
  subject.fill(UINT32_MAX, 4'096);
  RowRemover remover(subject.rocks);
  REQUIRE(remover.wait().ok());
  remover.add(2);
  remover.add(UINT32_MAX);
  REQUIRE(remover.wait().ok());
  CHECK(count(subject.rocks, subject.rocks.rows()) == 20);
  CHECK(count(subject.rocks, subject.rocks.meta()) == 2);
  std::string value;
  CHECK(subject.rocks.db().Get({}, subject.rocks.rows(), row_key(1, 9), &value).ok());
  CHECK(subject.rocks.db().Get({}, subject.rocks.rows(), row_key(3, 0), &value).ok());
}

TEST_CASE("row_remover: stops at once, keeps the mark, and starts nothing more", "[row_remover]") {
  Subject subject;
  subject.fill(1, 100);
  RowRemover remover(subject.rocks);
  remover.stop();
  remover.add(1);
  remover.stop();
  REQUIRE(remover.wait().ok());
  CHECK(count(subject.rocks, subject.rocks.rows()) == 100);
  CHECK(count(subject.rocks, subject.rocks.meta()) == 1);
}

}  // namespace
}  // namespace vecserve::engine
