// Encodes, writes and reads the watermark; see watermark.h. One thread at a time.
// Always holds: size, magic, version and checksum keep their places in every version, so that an
// older program can tell a newer file from a damaged one.
#include "engine/store/watermark.h"

#include "engine/base/coding.h"
#include "engine/store/checksum.h"
#include "engine/store/folder.h"
#include "engine/store/meta.h"
#include "engine/store/rocks_status.h"

namespace vecserve::engine {
namespace {

constexpr std::string_view kMagic = "VECSMARK";
constexpr std::size_t kFileBytes = 64;
constexpr std::size_t kBodyBytes = kFileBytes - 8;  // the checksum is the last 8 bytes

Status damaged() {
  return {StatusCode::data_loss, "the file WATERMARK is damaged"};
}

}  // namespace

std::string encode_watermark(const Watermark& watermark) {
  std::string bytes(kMagic);
  put_fixed(bytes, kFormatVersion);
  put_fixed(bytes, static_cast<std::uint8_t>(watermark.clean ? 1 : 0));
  put_fixed(bytes, static_cast<std::uint8_t>(watermark.durability));
  put_fixed(bytes, std::uint16_t{0});
  put_fixed(bytes, watermark.commit_sequence);
  put_fixed(bytes, watermark.rocksdb_sequence);
  bytes.resize(kBodyBytes, '\0');
  put_fixed(bytes, checksum(bytes));
  return bytes;
}

Result<Watermark> decode_watermark(std::string_view bytes) {
  if (bytes.size() != kFileBytes) return damaged();
  const std::string_view body = bytes.substr(0, kBodyBytes);
  std::uint64_t stored = 0;
  ByteReader tail(bytes.substr(kBodyBytes));
  if (!tail.fixed(stored) || stored != checksum(body)) return damaged();

  ByteReader in(body);
  std::string_view magic;
  std::uint32_t version = 0;
  if (!in.bytes(kMagic.size(), magic) || magic != kMagic || !in.fixed(version) || version == 0) {
    return damaged();
  }
  if (version > kFormatVersion) return newer_format(version);
  Watermark watermark;
  std::uint8_t clean = 0;
  std::uint8_t durability = 0;
  std::uint16_t zero = 0;
  if (!in.fixed(clean) || clean > 1 || !in.fixed(durability) || durability > 1 || !in.fixed(zero) ||
      !in.fixed(watermark.commit_sequence) || !in.fixed(watermark.rocksdb_sequence)) {
    return damaged();
  }
  watermark.clean = clean == 1;
  watermark.durability = static_cast<Durability>(durability);
  if (encode_watermark(watermark) != bytes) return damaged();  // a reserved byte is not zero
  return watermark;
}

Status write_watermark(rocksdb::FileSystem& fs, const std::string& folder,
                       const Watermark& watermark) {
  return write_file(fs, folder, kWatermarkName, encode_watermark(watermark));
}

Result<Watermark> read_watermark(rocksdb::FileSystem& fs, const std::string& folder) {
  const std::string path = folder + "/" + kWatermarkName;
  auto bytes = read_file(fs, path, kFileBytes);
  if (!bytes.ok()) return bytes.status();
  auto watermark = decode_watermark(*bytes);
  if (!watermark.ok()) return with_context(watermark.status(), path);
  return watermark;
}

}  // namespace vecserve::engine
