// Row records, meta values and watermarks from any bytes: decoding never reads outside, and what it
// accepts is exactly what encoding writes. The checksums are set right first, or nothing would ever
// get past them.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "engine/store/checksum.h"
#include "engine/store/meta.h"
#include "engine/store/record.h"
#include "engine/store/watermark.h"

namespace vecserve::engine {
namespace {

void require(bool holds) {
  if (!holds) __builtin_trap();
}

std::string with_checksum(std::string bytes, std::uint64_t seed = 0) {
  if (bytes.size() < 8) return bytes;
  const std::size_t body = bytes.size() - 8;
  const std::uint64_t sum = checksum(std::string_view(bytes).substr(0, body), seed);
  std::memcpy(bytes.data() + body, &sum, sizeof sum);
  return bytes;
}

void try_record(const std::string& bytes, std::size_t vector_bytes) {
  auto row = decode_record(bytes, vector_bytes);
  if (!row.ok()) return;
  require(row->vector.size() == vector_bytes);
  std::string again;
  encode_record(*row, again);
  require(again == bytes);
}

void try_meta(const std::string& given) {
  std::string again;
  for (const MetaTag tag : {MetaTag::collection, MetaTag::counters}) {
    const std::string key = meta_key(tag, 7);
    const std::string value = with_checksum(given, checksum(key));
    if (tag == MetaTag::collection) {
      auto decoded = decode_collection(key, value);
      if (!decoded.ok()) continue;
      encode_collection(key, *decoded, again);
    } else {
      auto decoded = decode_counters(key, value);
      if (!decoded.ok()) continue;
      encode_counters(key, *decoded, again);
    }
    require(again == value);
  }
}

}  // namespace
}  // namespace vecserve::engine

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace vecserve::engine;
  if (size == 0) return 0;
  const std::size_t vector_bytes = data[0];
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  try_record(bytes, vector_bytes);
  try_record(with_checksum(bytes), vector_bytes);
  try_meta(bytes);
  const std::string mark = with_checksum(bytes);
  auto watermark = decode_watermark(mark);
  if (watermark.ok()) require(encode_watermark(*watermark) == mark);
  return 0;
}
