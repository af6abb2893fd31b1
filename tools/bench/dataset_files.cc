// The file formats of vectors. Comes below dataset.cc; main thread. gzip is called as a program, so
// that a bench needs no compression library. Always holds: nothing is read past what a file has.
// Part of bench_support, which every bench links.
#include "tools/bench/dataset_files.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include "tools/bench/bench_report.h"

namespace vecserve::bench {
namespace {

static_assert(std::endian::native == std::endian::little, "npy and fvecs are read as they are");

std::string read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  require(in.good(), "cannot read " + path);
  std::string bytes(std::istreambuf_iterator<char>(in), {});
  require(!in.bad(), "cannot read " + path);
  return bytes;
}

std::string gunzip(const std::string& path) {
  require(path.find('\'') == std::string::npos, "a quote in the name of " + path);
  require(std::ifstream(path).good(), "cannot read " + path);
  const std::string command = "gzip -dc -- '" + path + "'";
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  require(pipe != nullptr, "cannot run gzip");
  std::string bytes;
  std::vector<char> buffer(1 << 20);
  while (const std::size_t got = std::fread(buffer.data(), 1, buffer.size(), pipe.get())) {
    bytes.append(buffer.data(), got);
  }
  require(pclose(pipe.release()) == 0, "gzip cannot read " + path);
  return bytes;
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<std::uint8_t>(bytes[at + i]);
  return value;
}

std::vector<float> floats_at(const std::string& bytes, std::size_t at, std::size_t count) {
  std::vector<float> values(count);
  if (count > 0) std::memcpy(values.data(), bytes.data() + at, count * sizeof(float));
  return values;
}

// "(60000, 784)" behind 'shape': of a npy header.
std::vector<std::size_t> shape_of(const std::string& header) {
  std::vector<std::size_t> shape;
  const std::size_t open = header.find('(', header.find("'shape'"));
  const std::size_t close = header.find(')', open);
  if (open == std::string::npos || close == std::string::npos) return shape;
  for (std::size_t at = open + 1; at < close;) {
    const std::size_t digits = header.find_first_of("0123456789", at);
    if (digits >= close) break;
    shape.push_back(std::stoull(header.substr(digits)));
    at = header.find_first_not_of("0123456789", digits);
  }
  return shape;
}

void write_array(const std::string& path, const char* type, const void* values, std::size_t count,
                 std::size_t columns) {
  std::string header = std::string("{'descr': '") + type + "', 'fortran_order': False, 'shape': (" +
                       std::to_string(count / columns) + ", " + std::to_string(columns) + "), }";
  constexpr std::size_t kPrefix = 10;  // magic, version, length of the header
  header.append(63 - (kPrefix + header.size()) % 64, ' ');
  header.push_back('\n');
  std::ofstream out(path, std::ios::binary);
  out.write("\x93NUMPY\x01\x00", 8);
  out.put(static_cast<char>(header.size() & 0xff)).put(static_cast<char>(header.size() >> 8));
  out << header;
  out.write(static_cast<const char*>(values), static_cast<std::streamsize>(count * 4));
  out.close();
  require(out.good(), "cannot write " + path);
}

}  // namespace

FileVectors read_idx_gz(const std::string& path) {
  const std::string bytes = gunzip(path);
  require(bytes.size() >= 8 && bytes.starts_with(std::string_view("\0\0\x08", 3)),
          "not an idx file of bytes: " + path);
  const auto dims = static_cast<std::size_t>(bytes[3]);
  require(dims >= 2 && dims <= 4 && bytes.size() >= 4 + 4 * dims, "odd dimensions in " + path);
  const std::size_t count = big_endian(bytes, 4);
  std::size_t dim = 1;
  for (std::size_t i = 1; i < dims; ++i) dim *= std::min(big_endian(bytes, 4 + 4 * i), 65536U);
  const std::size_t start = 4 + 4 * dims;
  require(dim >= 1 && dim <= 65536 && bytes.size() - start == count * dim, "cut short: " + path);
  FileVectors vectors{static_cast<std::uint32_t>(dim), std::vector<float>(count * dim)};
  std::transform(bytes.begin() + static_cast<std::ptrdiff_t>(start), bytes.end(),
                 vectors.values.begin(),
                 [](char c) { return static_cast<float>(static_cast<std::uint8_t>(c)); });
  return vectors;
}

FileVectors read_npy(const std::string& path) {
  const std::string bytes = read_file(path);
  require(bytes.size() > 12 && bytes.starts_with("\x93NUMPY"), "not a npy file: " + path);
  const bool wide = bytes[6] != 1;
  std::uint32_t length = 0;
  std::memcpy(&length, bytes.data() + 8, wide ? 4 : 2);
  const std::size_t start = (wide ? 12 : 10) + std::size_t{length};
  require(start <= bytes.size(), "cut short: " + path);
  const std::string header = bytes.substr(wide ? 12 : 10, length);
  require(header.find("'<f4'") != std::string::npos && header.find("False") != std::string::npos,
          "not little-endian f32 in C order: " + path);
  const std::vector<std::size_t> shape = shape_of(header);
  require(shape.size() == 2 && shape[1] >= 1 && shape[1] <= 65536, "not a matrix: " + path);
  const std::size_t count = (bytes.size() - start) / sizeof(float);
  require(count / shape[1] == shape[0] && count % shape[1] == 0, "cut short: " + path);
  return {static_cast<std::uint32_t>(shape[1]), floats_at(bytes, start, count)};
}

FileVectors read_fvecs(const std::string& path) {
  const std::string bytes = read_file(path);
  std::int32_t dim = 0;
  require(bytes.size() > sizeof(dim), "empty: " + path);
  std::memcpy(&dim, bytes.data(), sizeof(dim));
  require(dim >= 1 && dim <= 65536, "not a fvecs file: " + path);
  const auto width = static_cast<std::size_t>(dim);
  const std::size_t record = sizeof(dim) + width * sizeof(float);
  require(bytes.size() % record == 0, "cut short: " + path);
  FileVectors vectors{static_cast<std::uint32_t>(dim), {}};
  for (std::size_t at = 0; at < bytes.size(); at += record) {
    require(std::memcmp(bytes.data() + at, &dim, sizeof(dim)) == 0, "mixed dimensions: " + path);
    const std::vector<float> values = floats_at(bytes, at + sizeof(dim), width);
    vectors.values.insert(vectors.values.end(), values.begin(), values.end());
  }
  return vectors;
}

void write_npy(const std::string& path, std::span<const float> values, std::size_t columns) {
  write_array(path, "<f4", values.data(), values.size(), columns);
}

void write_npy(const std::string& path, std::span<const std::uint32_t> values,
               std::size_t columns) {
  write_array(path, "<u4", values.data(), values.size(), columns);
}

}  // namespace vecserve::bench
