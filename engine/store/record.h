// One row as bytes on disk, both directions, and the hash that makes a lost row show. The layout by
// byte offset stands in FORMAT.md. Comes between collection (which encodes before a write waits for
// its turn) and the stores. Pure functions, any thread.
// Always holds: decode(encode(row)) == row; decode never reads outside its input and accepts
// nothing that encode could not have written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "engine/rows/row_block.h"
#include "vecserve/status.h"

namespace vecserve::engine {

struct StoreRow {
  IdView id;
  std::uint64_t expires_at_ms = 0;    // unix time; 0: never
  std::string_view payload;           // JSON text; "" for none
  std::span<const std::byte> vector;  // in the stored type, without padding
};

// Appends the record of a row to `out`. The row must already have been checked against the limits.
void encode_record(const StoreRow& row, std::string& out);

// `vector_bytes` is what the collection's type and dim demand; anything else is data_loss.
[[nodiscard]] Result<StoreRow> decode_record(std::string_view record, std::size_t vector_bytes);

// What one live row adds to CollectionCounters::live_hash: a 64-bit hash of collection, slot and
// id. Sums of it do not depend on order, and every write takes a new slot, so a lost write, a lost
// erase and an old version that came back all change the sum.
[[nodiscard]] std::uint64_t row_hash(std::uint32_t collection, std::uint64_t slot,
                                     const IdView& id);

}  // namespace vecserve::engine
