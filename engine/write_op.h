// One write on its way: checked and encoded by the caller's thread, then staged, made durable and
// published by whichever thread leads the group commit. Comes after prepare_write, before
// commit_group. The caller's thread owns it and waits; between submission and `done` only the
// leader touches it. Always holds: views point into the caller's memory or into the op's own
// buffers, both of which live until the call returns.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/payload/document.h"
#include "engine/rows/row_block.h"
#include "vecserve/collection.h"
#include "vecserve/options.h"
#include "vecserve/status.h"

namespace vecserve::engine {

class CollectionCore;

struct WriteRow {
  IdView id;
  std::uint64_t hash = 0;
  std::size_t record_at = 0;  // in WriteOp::records; the record of a complete row
  std::size_t record_bytes = 0;
  std::size_t vector_at = 0;  // in WriteOp::vectors
  bool has_vector = true;     // false only in an update: keep the stored one
  bool has_payload = true;    // likewise
  bool has_ttl = true;        // likewise
  std::string_view payload;
  std::uint64_t expires_at_ms = 0;
  std::size_t fields_at = 0;  // in WriteOp::fields, one per declared field
};

// Erases the row only if it still stands in this slot.
struct SlotToErase {
  IdView id;
  std::uint64_t hash = 0;
  std::uint64_t slot = 0;
};

struct WriteOp {
  enum class Kind : std::uint8_t { upsert, insert, update, erase, erase_slots, exclusive };

  Kind kind = Kind::upsert;
  std::shared_ptr<CollectionCore> core;
  WriteOptions options;
  std::uint64_t now_ms = 0;  // unix time of the call
  std::vector<WriteRow> rows;
  std::string records;
  std::vector<std::byte> vectors;
  std::vector<FieldValue> fields;
  std::vector<SlotToErase> erases;    // for erase, slot is filled in by the leader
  std::size_t bytes = 0;              // what it adds to a group
  std::function<Status()> exclusive;  // Kind::exclusive: runs with no commit under way

  Status status;
  WriteResult result;
  // Made beforehand, so that the leader can report this much even when it gets no memory at all.
  Status out_of_memory{StatusCode::resource_exhausted, "out of memory"};

  // The committer's own.
  WriteOp* next = nullptr;
  bool done = false;
  std::condition_variable wake;
};

}  // namespace vecserve::engine
