// Encodes and decodes keys and values; see meta.h and FORMAT.md. Pure functions, any thread.
// Always holds: a value is believed only after its checksum over key and body agreed; what follows
// then are format checks, and the bytes must be used up exactly.
#include "engine/store/meta.h"

#include <cstring>
#include <optional>

#include "engine/base/coding.h"
#include "engine/base/limits.h"
#include "engine/store/checksum.h"

namespace vecserve::engine {
namespace {

constexpr std::string_view kFormatMagic = "vecserve";
constexpr std::size_t kChecksumBytes = 8;
constexpr std::uint32_t kRequestRing = 65'536;  // part of the format
static_assert(kRequestRing == limits::request_ids_max);

std::uint64_t checksum_of(std::string_view key, std::string_view body) {
  return checksum(body, checksum(key));
}

std::uint64_t seal(std::string_view key, std::string& value) {
  const std::uint64_t sum = checksum_of(key, value);
  put_fixed(value, sum);
  return sum;
}

std::optional<ByteReader> unseal(std::string_view key, std::string_view value) {
  if (value.size() < kChecksumBytes) return std::nullopt;
  const std::string_view body = value.substr(0, value.size() - kChecksumBytes);
  if (value_checksum(value) != checksum_of(key, body)) return std::nullopt;
  return ByteReader(body);
}

Status damaged(const char* what) {
  return {StatusCode::data_loss, std::string("stored ") + what + " is damaged"};
}

bool read_field(ByteReader& in, FieldOptions& field) {
  std::string_view name;
  std::uint8_t type = 0;
  if (!in.sized(limits::name_bytes_max, name) || !in.fixed(type)) return false;
  field.name = name;
  field.type = static_cast<FieldType>(type);
  return type <= static_cast<std::uint8_t>(FieldType::boolean);
}

}  // namespace

std::string meta_key(MetaTag tag) {
  return std::string(1, static_cast<char>(tag));
}

std::string meta_key(MetaTag tag, std::uint32_t number) {
  std::string key(1, static_cast<char>(tag));
  put_big_endian(key, number);
  return key;
}

std::string request_key(std::uint64_t ordinal) {
  return meta_key(MetaTag::request, static_cast<std::uint32_t>(ordinal % kRequestRing));
}

std::string row_key(std::uint32_t collection, std::uint64_t slot) {
  std::string key;
  put_big_endian(key, collection);
  put_big_endian(key, slot);
  return key;
}

bool decode_row_key(std::string_view key, std::uint32_t& collection, std::uint64_t& slot) {
  ByteReader in(key);
  return key.size() == kRowKeyBytes && in.big_endian(collection) && in.big_endian(slot);
}

std::uint64_t encode_format(std::string_view key, std::string& value) {
  value = kFormatMagic;
  put_fixed(value, kFormatVersion);
  return seal(key, value);
}

std::uint64_t encode_state(std::string_view key, const StoreState& state, std::string& value) {
  value.clear();
  put_fixed(value, state.sequence);
  put_fixed(value, state.requests_next);
  put_fixed(value, state.collections_next);
  put_fixed(value, state.collections);
  put_fixed(value, state.meta_hash);
  return seal(key, value);
}

std::uint64_t encode_collection(std::string_view key, const StoredCollection& collection,
                                std::string& value) {
  const CollectionOptions& options = collection.options;
  value.clear();
  put_sized(value, collection.name);
  put_fixed(value, options.dim);
  put_fixed(value, static_cast<std::uint8_t>(options.metric));
  put_fixed(value, static_cast<std::uint8_t>(options.type));
  put_varint(value, options.fields.size());
  for (const FieldOptions& field : options.fields) {
    put_sized(value, field.name);
    put_fixed(value, static_cast<std::uint8_t>(field.type));
  }
  return seal(key, value);
}

std::uint64_t encode_counters(std::string_view key, const CollectionCounters& counters,
                              std::string& value) {
  value.clear();
  put_fixed(value, counters.next_slot);
  put_fixed(value, counters.live_rows);
  put_fixed(value, counters.live_hash);
  return seal(key, value);
}

std::uint64_t encode_dropping(std::string_view key, std::string& value) {
  value.clear();
  return seal(key, value);
}

std::uint64_t encode_request(std::string_view key, const RequestEntry& entry, std::string& value) {
  value.clear();
  put_fixed(value, entry.ordinal);
  put_fixed(value, entry.id.client);
  put_fixed(value, entry.id.sequence);
  put_fixed(value, entry.outcome.rows);
  put_fixed(value, entry.outcome.sequence);
  return seal(key, value);
}

Status decode_format(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  std::string_view magic;
  std::uint32_t version = 0;
  if (!in || !in->bytes(kFormatMagic.size(), magic) || magic != kFormatMagic ||
      !in->fixed(version) || version == 0) {
    return damaged("format version");
  }
  if (version > kFormatVersion) return newer_format(version);
  return in->done() ? Status() : damaged("format version");
}

Result<StoreState> decode_state(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  StoreState state;
  if (!in || !in->fixed(state.sequence) || !in->fixed(state.requests_next) ||
      !in->fixed(state.collections_next) || !in->fixed(state.collections) ||
      !in->fixed(state.meta_hash) || !in->done()) {
    return damaged("state");
  }
  return state;
}

Result<StoredCollection> decode_collection(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  StoredCollection collection;
  ByteReader number(key);
  std::uint8_t tag = 0;
  std::string_view name;
  std::uint8_t metric = 0;
  std::uint8_t type = 0;
  std::uint64_t fields = 0;
  if (!in || !number.fixed(tag) || !number.big_endian(collection.id) || !number.done() ||
      !in->sized(limits::name_bytes_max, name) || !in->fixed(collection.options.dim) ||
      !in->fixed(metric) || !in->fixed(type) || !in->varint(fields) ||
      fields > limits::fields_max) {
    return damaged("collection");
  }
  collection.name = name;
  collection.options.metric = static_cast<Metric>(metric);
  collection.options.type = static_cast<ScalarType>(type);
  collection.options.fields.resize(static_cast<std::size_t>(fields));
  for (FieldOptions& field : collection.options.fields) {
    if (!read_field(*in, field)) return damaged("collection");
  }
  if (metric > static_cast<std::uint8_t>(Metric::hamming) ||
      type > static_cast<std::uint8_t>(ScalarType::bit) || !in->done() ||
      collection.options.dim == 0 || collection.options.dim > limits::dim_max) {
    return damaged("collection");
  }
  return collection;
}

Result<CollectionCounters> decode_counters(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  CollectionCounters counters;
  if (!in || !in->fixed(counters.next_slot) || !in->fixed(counters.live_rows) ||
      !in->fixed(counters.live_hash) || !in->done() || counters.live_rows > counters.next_slot ||
      counters.next_slot > limits::slots_max) {
    return damaged("counters of a collection");
  }
  return counters;
}

Status decode_dropping(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  return in && in->done() ? Status() : damaged("mark of a dropped collection");
}

Result<RequestEntry> decode_request(std::string_view key, std::string_view value) {
  auto in = unseal(key, value);
  RequestEntry entry;
  if (!in || !in->fixed(entry.ordinal) || !in->fixed(entry.id.client) ||
      !in->fixed(entry.id.sequence) || !in->fixed(entry.outcome.rows) ||
      !in->fixed(entry.outcome.sequence) || !in->done() || request_key(entry.ordinal) != key) {
    return damaged("request");
  }
  return entry;
}

std::uint64_t value_checksum(std::string_view value) {
  std::uint64_t sum = 0;
  std::memcpy(&sum, value.data() + (value.size() - kChecksumBytes), kChecksumBytes);
  return sum;
}

Status newer_format(std::uint32_t version) {
  return {StatusCode::failed_precondition, "written in format " + std::to_string(version) +
                                               " by a newer version; this one reads " +
                                               "formats up to " + std::to_string(kFormatVersion)};
}

}  // namespace vecserve::engine
