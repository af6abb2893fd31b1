// V2 form of a histogram: a header of 8 bytes around a zlib stream, which holds a header of 40
// bytes and the counts. Comes below histogram_log; any thread. Always holds: a length from outside
// is checked before anything of that size is allocated, and no count is read past the end.
#include "tools/report/histogram_blob.h"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

namespace vecserve::report {
namespace {

using engine::Histogram;
using engine::HistogramCells;
using Bytes = std::vector<std::uint8_t>;

// The cookies name the form; the second hexadecimal digit from the right says that counts are of
// variable length.
constexpr std::uint32_t kCookiePlain = 0x1c849303 | 0x10;
constexpr std::uint32_t kCookiePacked = 0x1c849304 | 0x10;
constexpr std::size_t kOuterBytes = 8;
constexpr std::size_t kInnerBytes = 40;
constexpr std::uint32_t kDigits = 2;
constexpr std::uint32_t kDigitsMax = 5;
constexpr std::string_view kAlphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

template <typename T>
void put_big_endian(Bytes& out, T value) {
  for (std::size_t i = sizeof(T); i-- > 0;) {
    out.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
}

template <typename T>
T get_big_endian(const std::uint8_t* at) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) value = static_cast<T>((value << 8) | at[i]);
  return value;
}

// Signed numbers with the sign in the lowest bit, seven bits to a byte; the ninth byte holds eight.
void put_number(Bytes& out, std::int64_t value) {
  auto bits = (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
  for (int i = 0; i < 8; ++i) {
    if (bits < 0x80) {
      out.push_back(static_cast<std::uint8_t>(bits));
      return;
    }
    out.push_back(static_cast<std::uint8_t>(bits | 0x80));
    bits >>= 7;
  }
  out.push_back(static_cast<std::uint8_t>(bits));
}

// False at the end of the bytes.
bool get_number(const std::uint8_t*& at, const std::uint8_t* end, std::int64_t& value) {
  std::uint64_t bits = 0;
  for (unsigned i = 0; i < 9; ++i) {
    if (at == end) return false;
    const std::uint8_t byte = *at++;
    if (i == 8) {
      bits |= static_cast<std::uint64_t>(byte) << 56;
      break;
    }
    bits |= static_cast<std::uint64_t>(byte & 0x7F) << (7 * i);
    if ((byte & 0x80) == 0) break;
  }
  value = static_cast<std::int64_t>(bits >> 1) ^ -static_cast<std::int64_t>(bits & 1);
  return true;
}

std::string to_base64(const Bytes& bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t word = static_cast<std::uint32_t>(bytes[i]) << 16;
    if (i + 1 < bytes.size()) word |= static_cast<std::uint32_t>(bytes[i + 1]) << 8;
    if (i + 2 < bytes.size()) word |= bytes[i + 2];
    text += kAlphabet[word >> 18];
    text += kAlphabet[(word >> 12) & 63];
    text += i + 1 < bytes.size() ? kAlphabet[(word >> 6) & 63] : '=';
    text += i + 2 < bytes.size() ? kAlphabet[word & 63] : '=';
  }
  return text;
}

// False for what is no base64.
bool from_base64(std::string_view text, Bytes& bytes) {
  if (text.size() % 4 != 0) return false;
  while (text.ends_with('=')) text.remove_suffix(1);
  std::uint32_t word = 0;
  unsigned bits = 0;
  for (const char c : text) {
    const std::size_t digit = kAlphabet.find(c);
    if (digit == kAlphabet.npos) return false;
    word = (word << 6) | static_cast<std::uint32_t>(digit);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push_back(static_cast<std::uint8_t>(word >> bits));
  }
  return true;
}

Status wrong(const char* what) {
  return Status::invalid_argument("histogram", std::string("no V2 histogram: ") + what);
}

// At most kBlobBytesMax come out; the size is not told beforehand.
Status unpack(const Bytes& packed, Bytes& plain) {
  z_stream stream = {};
  if (inflateInit(&stream) != Z_OK) return {StatusCode::internal, "zlib does not start"};
  stream.next_in = const_cast<Bytef*>(packed.data() + kOuterBytes);  // zlib only reads it
  stream.avail_in = static_cast<uInt>(packed.size() - kOuterBytes);
  int state = Z_OK;
  std::array<std::uint8_t, 16'384> piece;
  while (state == Z_OK && plain.size() <= kBlobBytesMax) {
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    plain.insert(plain.end(), piece.data(), piece.data() + (piece.size() - stream.avail_out));
  }
  inflateEnd(&stream);
  if (plain.size() > kBlobBytesMax) return wrong("it unpacks to more than 8 MiB");
  if (state != Z_STREAM_END) return wrong("its zlib stream is damaged");
  return {};
}

// How another histogram is laid out, from its header.
struct Layout {
  unsigned unit_bits = 0;
  unsigned sub_bits = 0;

  [[nodiscard]] std::uint64_t low(std::uint64_t cell) const {
    const std::uint64_t half = std::uint64_t{1} << (sub_bits - 1);
    if (cell < 2 * half) return cell << unit_bits;
    return (cell % half + half) << (cell / half - 1 + unit_bits);
  }
  // Cells from here on would begin beyond 2^62.
  [[nodiscard]] std::uint64_t cells() const {
    return (std::uint64_t{62} - unit_bits - sub_bits + 2) << (sub_bits - 1);
  }
};

Result<Layout> read_layout(const Bytes& plain) {
  const auto digits = get_big_endian<std::uint32_t>(plain.data() + 12);
  const auto lowest = get_big_endian<std::uint64_t>(plain.data() + 16);
  if (digits < 1 || digits > kDigitsMax) return wrong("its digits are not 1 to 5");
  if (lowest < 1 || lowest >= (std::uint64_t{1} << 32)) return wrong("its lowest value is odd");
  std::uint64_t largest = 2;
  for (std::uint32_t i = 0; i < digits; ++i) largest *= 10;
  Layout layout;
  layout.unit_bits = static_cast<unsigned>(std::bit_width(lowest)) - 1;
  layout.sub_bits = static_cast<unsigned>(std::bit_width(largest - 1));
  return layout;
}

Result<Histogram> read_counts(const Bytes& plain, const Layout& layout, std::size_t bytes) {
  Histogram histogram;
  const bool same = layout.unit_bits == 0 && layout.sub_bits == HistogramCells::sub_bits;
  const std::uint8_t* at = plain.data() + kInnerBytes;
  const std::uint8_t* const end = at + bytes;
  std::uint64_t cell = 0;
  while (at != end) {
    std::int64_t number = 0;
    if (!get_number(at, end, number)) return wrong("its last count is cut off");
    if (number <= 0) {
      // -n stands for n cells of nothing, 0 for one.
      const std::uint64_t zeros = number == 0 ? 1 : ~static_cast<std::uint64_t>(number) + 1;
      if (zeros > layout.cells()) return wrong("it has more cells than its range");
      cell += zeros;
    } else {
      if (cell >= layout.cells()) return wrong("it has more cells than its range");
      const auto times = static_cast<std::uint64_t>(number);
      if (same && cell < HistogramCells::count) {
        histogram.add_cell(cell, times);
      } else {
        histogram.record_many(layout.low(cell) / 2 + layout.low(cell + 1) / 2, times);
      }
      ++cell;
    }
    if (cell > layout.cells()) return wrong("it has more cells than its range");
  }
  return histogram;
}

}  // namespace

std::string encode_histogram(const Histogram& histogram) {
  Bytes counts;
  std::size_t cells = HistogramCells::count;
  while (cells > 0 && histogram.count_in(cells - 1) == 0) --cells;
  for (std::size_t cell = 0; cell < cells;) {
    std::int64_t zeros = 0;
    while (histogram.count_in(cell) == 0) {
      ++zeros;
      ++cell;
    }
    if (zeros > 0) put_number(counts, zeros == 1 ? 0 : -zeros);
    put_number(counts, static_cast<std::int64_t>(histogram.count_in(cell)));
    ++cell;
  }
  Bytes plain;
  put_big_endian(plain, kCookiePlain);
  put_big_endian(plain, static_cast<std::uint32_t>(counts.size()));
  put_big_endian(plain, std::uint32_t{0});  // the counts start at value 0
  put_big_endian(plain, kDigits);
  put_big_endian(plain, std::uint64_t{1});  // lowest value
  put_big_endian(plain, HistogramCells::value_max);
  put_big_endian(plain, std::bit_cast<std::uint64_t>(1.0));  // values are whole
  plain.insert(plain.end(), counts.begin(), counts.end());

  uLongf packed_size = compressBound(static_cast<uLong>(plain.size()));
  Bytes packed(packed_size);
  // With room of compressBound and a level that exists, zlib can only run out of memory.
  if (compress2(packed.data(), &packed_size, plain.data(), static_cast<uLong>(plain.size()),
                Z_DEFAULT_COMPRESSION) != Z_OK) {
    throw std::bad_alloc();
  }
  Bytes blob;
  put_big_endian(blob, kCookiePacked);
  put_big_endian(blob, static_cast<std::uint32_t>(packed_size));
  blob.insert(blob.end(), packed.data(), packed.data() + packed_size);
  return to_base64(blob);
}

Result<Histogram> decode_histogram(std::string_view text) {
  if (text.size() > kBlobTextBytesMax) return wrong("its text is longer than 4 MiB");
  Bytes packed;
  if (!from_base64(text, packed)) return wrong("not base64");
  if (packed.size() < kOuterBytes) return wrong("too short");
  if (get_big_endian<std::uint32_t>(packed.data()) != kCookiePacked) {
    return wrong("another form than compressed V2");
  }
  if (get_big_endian<std::uint32_t>(packed.data() + 4) != packed.size() - kOuterBytes) {
    return wrong("its length is not the one it says");
  }
  Bytes plain;
  VECSERVE_TRY(unpack(packed, plain));
  if (plain.size() < kInnerBytes) return wrong("too short inside");
  if (get_big_endian<std::uint32_t>(plain.data()) != kCookiePlain) {
    return wrong("another form than V2 inside");
  }
  const std::size_t bytes = get_big_endian<std::uint32_t>(plain.data() + 4);
  if (bytes > plain.size() - kInnerBytes) return wrong("its counts are cut off");
  const Result<Layout> layout = read_layout(plain);
  if (!layout.ok()) return layout.status();
  return read_counts(plain, *layout, bytes);
}

}  // namespace vecserve::report
