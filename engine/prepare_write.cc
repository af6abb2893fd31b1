// See prepare_write.h.
// Runs on the writers' own threads, many at once.
// Always holds: no buffer is sized from a number that was not checked against its limit first.
#include "engine/prepare_write.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "engine/base/limits.h"
#include "engine/payload/document.h"
#include "engine/rows/vector_input.h"
#include "engine/store/record.h"

namespace vecserve::engine {

namespace {

// Finds an id that comes twice, by open addressing over the hashes; a batch is its own caller's, so
// the table is as large as the batch.
Status check_distinct(std::span<const WriteRow> rows) {
  const std::size_t capacity = std::bit_ceil(rows.size() * 2 + 1);
  std::vector<std::uint32_t> table(capacity, 0);  // row index + 1
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::size_t at = rows[i].hash & (capacity - 1);
    for (; table[at] != 0; at = (at + 1) & (capacity - 1)) {
      const WriteRow& other = rows[table[at] - 1];
      if (other.hash == rows[i].hash && other.id == rows[i].id) {
        return Status::invalid_argument(
            "id", "row " + std::to_string(i) + " repeats the id " + rows[i].id.to_id().to_string());
      }
    }
    table[at] = static_cast<std::uint32_t>(i) + 1;
  }
  return {};
}

Status check_sizes(std::span<const RowInput> rows, const RowShape& shape) {
  if (rows.size() > limits::batch_rows_max) {
    return Status::invalid_argument("rows", "more than 1000000 in one write");
  }
  std::size_t bytes = 0;
  for (const RowInput& row : rows) {
    const std::size_t payload = row.payload.has_value() ? row.payload->size() : 0;
    if (payload > limits::payload_bytes_max) {
      return Status::invalid_argument("payload", "longer than 1 MiB");
    }
    bytes += payload + shape.row_bytes + (row.id.is_number() ? 8 : row.id.bytes().size());
    if (bytes > limits::batch_bytes_max) {
      return Status::invalid_argument("rows", "more than 1 GiB in one write");
    }
  }
  return {};
}

Status prepare_ttl(const RowInput& input, std::uint64_t now_ms, WriteRow& row) {
  row.has_ttl = input.ttl_ms.has_value();
  const std::uint64_t ttl_ms = input.ttl_ms.value_or(0);
  if (ttl_ms > limits::ttl_ms_max) {
    return Status::invalid_argument("ttl_ms", "longer than a century");
  }
  row.expires_at_ms = ttl_ms == 0 ? 0 : now_ms + ttl_ms;
  return {};
}

Status prepare_row(const RowInput& input, WriteOp& op, std::vector<FieldValue>& scratch) {
  const CollectionCore& core = *op.core;
  const bool update = op.kind == WriteOp::Kind::update;
  WriteRow row;
  VECSERVE_TRY(check_id(input.id, "id"));
  row.id = IdView(input.id);
  row.hash = hash_id(row.id);
  row.vector_at = op.vectors.size();
  row.has_vector = !(update && input.vector.data == nullptr && input.vector.dim == 0);
  if (row.has_vector) {
    VECSERVE_TRY(store_vector(core.shape, input.vector, "vector", op.vectors));
  }
  row.has_payload = input.payload.has_value();
  row.payload = input.payload.value_or(std::string_view());
  row.fields_at = op.fields.size();
  if (row.has_payload && !row.payload.empty()) {
    VECSERVE_TRY(check_payload(row.payload, core.options.fields, scratch));
    std::move(scratch.begin(), scratch.end(), std::back_inserter(op.fields));
  } else {
    op.fields.resize(op.fields.size() + core.options.fields.size());
  }
  VECSERVE_TRY(prepare_ttl(input, op.now_ms, row));
  if (!update || (row.has_vector && row.has_payload && row.has_ttl)) {
    row.record_at = op.records.size();
    const StoreRow stored{row.id,
                          row.expires_at_ms,
                          row.payload,
                          {op.vectors.data() + row.vector_at, core.shape.row_bytes}};
    encode_record(stored, op.records);
    row.record_bytes = op.records.size() - row.record_at;
  }
  op.rows.push_back(row);
  return {};
}

}  // namespace

Status check_id(const RowId& id, const char* field) {
  if (!id.is_number() && (id.bytes().empty() || id.bytes().size() > limits::id_bytes_max)) {
    return Status::invalid_argument(field, "a byte-string id must have 1 to 255 bytes");
  }
  return {};
}

Status prepare_rows(std::span<const RowInput> rows, WriteOp& op) {
  const CollectionCore& core = *op.core;
  VECSERVE_TRY(check_sizes(rows, core.shape));
  op.rows.reserve(rows.size());
  op.vectors.reserve(rows.size() * core.shape.row_bytes);
  op.records.reserve(rows.size() * (core.shape.row_bytes + 64));
  op.fields.reserve(rows.size() * core.options.fields.size());
  std::vector<FieldValue> scratch;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Status status = prepare_row(rows[i], op, scratch);
    if (!status.ok()) {
      return {status.code(), "row " + std::to_string(i) + ": " + status.message(), status.field()};
    }
  }
  op.bytes = op.records.size();
  return check_distinct(op.rows);
}

Status prepare_erases(std::span<const RowId> ids, WriteOp& op) {
  if (ids.size() > limits::batch_rows_max) {
    return Status::invalid_argument("ids", "more than 1000000 in one write");
  }
  op.erases.reserve(ids.size());
  for (const RowId& id : ids) {
    VECSERVE_TRY(check_id(id, "id"));
    SlotToErase erase;
    erase.id = IdView(id);
    erase.hash = hash_id(erase.id);
    op.erases.push_back(erase);
  }
  op.bytes = ids.size() * 32;
  return {};
}

}  // namespace vecserve::engine
