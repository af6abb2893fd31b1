// Encodes and decodes one row; see record.h. The reader checks the checksum before it believes any
// length, so that what follows are format checks, not guesses about damage.
// Pure functions, any thread.
// Always holds: one row has exactly one encoding.
#include "engine/store/record.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "engine/base/coding.h"
#include "engine/base/limits.h"
#include "engine/store/checksum.h"

namespace vecserve::engine {
namespace {

constexpr std::uint8_t kRecordVersion = 1;
constexpr std::uint8_t kFlagIdBytes = 1;
constexpr std::uint8_t kFlagExpiry = 2;
constexpr std::uint8_t kFlagPayload = 4;
constexpr std::uint8_t kFlagsKnown = kFlagIdBytes | kFlagExpiry | kFlagPayload;
constexpr std::size_t kChecksumBytes = 8;

static_assert(limits::id_bytes_max <= std::numeric_limits<std::uint8_t>::max());

Status damaged(const char* what) {
  return {StatusCode::data_loss, std::string("row record: ") + what};
}

bool read_id(ByteReader& in, std::uint8_t flags, IdView& id) {
  if ((flags & kFlagIdBytes) == 0) return in.fixed(id.number);
  std::uint8_t count = 0;
  return in.fixed(count) && count > 0 && in.bytes(count, id.bytes);
}

}  // namespace

void encode_record(const StoreRow& row, std::string& out) {
  const std::size_t start = out.size();
  out.reserve(start + 2 + 1 + row.id.bytes.size() + 8 + 8 + kVarintBytesMax + row.payload.size() +
              row.vector.size() + kChecksumBytes);
  std::uint8_t flags = 0;
  if (!row.id.is_number()) flags |= kFlagIdBytes;
  if (row.expires_at_ms != 0) flags |= kFlagExpiry;
  if (!row.payload.empty()) flags |= kFlagPayload;
  put_fixed(out, kRecordVersion);
  put_fixed(out, flags);
  if (row.id.is_number()) {
    put_fixed(out, row.id.number);
  } else {
    put_fixed(out, static_cast<std::uint8_t>(row.id.bytes.size()));
    out.append(row.id.bytes);
  }
  if (row.expires_at_ms != 0) put_fixed(out, row.expires_at_ms);
  if (!row.payload.empty()) put_sized(out, row.payload);
  out.append(reinterpret_cast<const char*>(row.vector.data()), row.vector.size());
  put_fixed(out, checksum(std::string_view(out).substr(start)));
}

Result<StoreRow> decode_record(std::string_view record, std::size_t vector_bytes) {
  if (record.size() < 2 + kChecksumBytes) return damaged("too short");
  const std::string_view body = record.substr(0, record.size() - kChecksumBytes);
  std::uint64_t stored = 0;
  std::memcpy(&stored, record.data() + body.size(), kChecksumBytes);
  if (stored != checksum(body)) return damaged("wrong checksum");

  ByteReader in(body);
  std::uint8_t version = 0;
  std::uint8_t flags = 0;
  if (!in.fixed(version) || version != kRecordVersion) return damaged("unknown version");
  if (!in.fixed(flags) || (flags & ~kFlagsKnown) != 0) return damaged("unknown flags");
  StoreRow row;
  if (!read_id(in, flags, row.id)) return damaged("id cut short");
  if ((flags & kFlagExpiry) != 0 && (!in.fixed(row.expires_at_ms) || row.expires_at_ms == 0)) {
    return damaged("expiry cut short");
  }
  if ((flags & kFlagPayload) != 0 &&
      (!in.sized(limits::payload_bytes_max, row.payload) || row.payload.empty())) {
    return damaged("payload cut short or too long");
  }
  std::string_view vector;
  if (in.left() != vector_bytes || !in.bytes(vector_bytes, vector)) {
    return damaged("vector of the wrong size");
  }
  row.vector = {reinterpret_cast<const std::byte*>(vector.data()), vector.size()};
  return row;
}

std::uint64_t row_hash(std::uint32_t collection, std::uint64_t slot, const IdView& id) {
  // Collection, slot, kind of id, id: the kind keeps the number 0x61 and the string "a" apart.
  char bytes[4 + 8 + 1 + limits::id_bytes_max];
  std::size_t size = 0;
  const auto add = [&](const void* data, std::size_t count) {
    std::memcpy(bytes + size, data, count);
    size += count;
  };
  add(&collection, sizeof collection);
  add(&slot, sizeof slot);
  const char kind = id.is_number() ? 0 : 1;
  add(&kind, 1);
  if (id.is_number()) {
    add(&id.number, sizeof id.number);
  } else {
    add(id.bytes.data(), std::min(id.bytes.size(), limits::id_bytes_max));
  }
  return checksum({bytes, size});
}

}  // namespace vecserve::engine
