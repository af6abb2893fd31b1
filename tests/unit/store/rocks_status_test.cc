// RocksDB's statuses in our codes: what a caller does next depends on them. Below everything that
// calls RocksDB. One thread.
// Always holds: every kind of failure that RocksDB can report is in the table.
#include "engine/store/rocks_status.h"

#include <catch2/catch.hpp>

namespace vecserve::engine {
namespace {

using rocksdb::Status;

TEST_CASE("rocks_status: each kind of failure has its code", "[rocks_status]") {
  const auto code = [](const Status& status) { return from_rocks(status, "x").code(); };
  CHECK(code(Status::OK()) == StatusCode::ok);
  CHECK(code(Status::NotFound()) == StatusCode::not_found);
  CHECK(code(Status::Corruption("bad")) == StatusCode::data_loss);
  CHECK(code(Status::IOError("disk")) == StatusCode::io_error);
  CHECK(code(Status::NoSpace()) == StatusCode::resource_exhausted);
  CHECK(code(Status::SpaceLimit()) == StatusCode::resource_exhausted);
  CHECK(code(Status::PathNotFound()) == StatusCode::io_error);
  CHECK(code(Status::NotSupported()) == StatusCode::failed_precondition);
  CHECK(code(Status::MemoryLimit()) == StatusCode::resource_exhausted);
  CHECK(code(Status::Busy()) == StatusCode::internal);
  CHECK(code(Status::Incomplete()) == StatusCode::internal);
  CHECK(code(Status::InvalidArgument()) == StatusCode::internal);
}

TEST_CASE("rocks_status: what must be there and is not is data loss", "[rocks_status]") {
  const auto code = [](const Status& status) { return from_rocks_reading(status, "x").code(); };
  CHECK(code(Status::OK()) == StatusCode::ok);
  CHECK(code(Status::NotFound()) == StatusCode::data_loss);
  CHECK(code(Status::PathNotFound()) == StatusCode::data_loss);
  CHECK(code(Status::InvalidArgument()) == StatusCode::data_loss);
  CHECK(code(Status::Corruption()) == StatusCode::data_loss);
  CHECK(code(Status::IOError()) == StatusCode::io_error);
  CHECK(code(Status::NotSupported()) == StatusCode::failed_precondition);
}

TEST_CASE("rocks_status: the text says what was done and keeps the file's name", "[rocks_status]") {
  const auto status = from_rocks(Status::Corruption("in 000012.sst"), "reading rows");
  CHECK(status.message() == "reading rows: Corruption: in 000012.sst");
  CHECK(with_context(status, "db").message() == "db: reading rows: Corruption: in 000012.sst");
  CHECK(with_context(status, "db").code() == StatusCode::data_loss);
  CHECK(with_context(vecserve::Status(), "db").ok());
}

}  // namespace
}  // namespace vecserve::engine
