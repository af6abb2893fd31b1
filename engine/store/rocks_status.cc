// Maps RocksDB's statuses to ours; see rocks_status.h. The same failure means different things to
// different callers: a file that must be there and is not is lost data, not a wrong path.
// Pure functions, any thread.
// Always holds: a status that is not known here becomes internal, never ok.
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

StatusCode code_of(const rocksdb::Status& status) {
  using SubCode = rocksdb::Status::SubCode;
  switch (status.code()) {
    case rocksdb::Status::kOk:
      return StatusCode::ok;
    case rocksdb::Status::kNotFound:
      return StatusCode::not_found;
    case rocksdb::Status::kCorruption:
      return StatusCode::data_loss;
    case rocksdb::Status::kNotSupported:
      return StatusCode::failed_precondition;
    case rocksdb::Status::kIOError:
      if (status.subcode() == SubCode::kNoSpace || status.subcode() == SubCode::kSpaceLimit) {
        return StatusCode::resource_exhausted;
      }
      return StatusCode::io_error;
    case rocksdb::Status::kAborted:
    case rocksdb::Status::kBusy:
      return status.subcode() == SubCode::kMemoryLimit ? StatusCode::resource_exhausted
                                                       : StatusCode::internal;
    default:
      return StatusCode::internal;
  }
}

}  // namespace

Status from_rocks(const rocksdb::Status& status, const std::string& doing) {
  if (status.ok()) return {};
  return {code_of(status), doing + ": " + status.ToString()};
}

Status from_rocks_reading(const rocksdb::Status& status, const std::string& doing) {
  if (status.ok()) return {};
  StatusCode code = code_of(status);
  const bool missing = status.code() == rocksdb::Status::kNotFound ||
                       status.subcode() == rocksdb::Status::SubCode::kPathNotFound;
  // RocksDB calls a manifest without our families, or a folder without CURRENT, a wrong argument.
  if (missing || status.code() == rocksdb::Status::kInvalidArgument) code = StatusCode::data_loss;
  return {code, doing + ": " + status.ToString()};
}

Status with_context(const Status& status, const std::string& doing) {
  if (status.ok()) return {};
  return {status.code(), doing + ": " + status.message(), status.field()};
}

}  // namespace vecserve::engine
