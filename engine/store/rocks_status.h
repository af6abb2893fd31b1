// What RocksDB and its file system report, in our codes. Used by everything in this folder that
// calls them. Pure functions, any thread.
// Always holds: ok maps to ok and nothing else does; the text keeps RocksDB's, which names the
// file.
#pragma once

#include <rocksdb/status.h>

#include <string>

#include "vecserve/status.h"

namespace vecserve::engine {

// For writing and for small files: a full disk is resource_exhausted, a failing one io_error, a
// damaged file data_loss.
[[nodiscard]] Status from_rocks(const rocksdb::Status& status, const std::string& doing);

// For opening and reading a database that must be there: a missing file, and a set of files that do
// not fit together, are data_loss too.
[[nodiscard]] Status from_rocks_reading(const rocksdb::Status& status, const std::string& doing);

// `status` with "doing: " before its text.
[[nodiscard]] Status with_context(const Status& status, const std::string& doing);

}  // namespace vecserve::engine
