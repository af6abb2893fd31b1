// The code itself: four coordinates hold the version in base 256, the others a hash of id and
// version; the payload is text that is made again from its own "v" and compared whole. Comes below
// the harnesses; any thread. Always holds: decode_coded accepts exactly what the makers made.
#include "tests/support/coded_row.h"

#include <charconv>
#include <cstddef>
#include <string_view>

#include "tests/support/dice.h"

namespace vecserve::test {
namespace {

constexpr std::uint32_t kVersionCoordinates = 4;  // base 256 digits of 32 bits
constexpr std::string_view kVersionKey = "\"v\":";

}  // namespace

CollectionOptions coded_collection() {
  CollectionOptions options;
  options.dim = kCodedDim;
  options.metric = Metric::l2;
  options.type = ScalarType::f32;
  options.fields = {
      {"owner", FieldType::number}, {"group", FieldType::number}, {"v", FieldType::number}};
  return options;
}

std::vector<float> coded_vector(std::uint64_t id, std::uint32_t version) {
  std::vector<float> vector(kCodedDim);
  for (std::uint32_t i = 0; i < kVersionCoordinates; ++i) {
    vector[i] = static_cast<float>((version >> (8 * i)) & 0xffu);
  }
  std::uint64_t hash = mix64(id * 0x10001 + version);
  for (std::uint32_t i = kVersionCoordinates; i < kCodedDim; ++i) {
    vector[i] = static_cast<float>(hash & 0x7fu);
    hash = mix64(hash);
  }
  return vector;
}

std::string coded_payload(std::uint64_t id, std::uint32_t version) {
  std::string text = "{\"owner\":" + std::to_string(id / kOwnerSpan) +
                     ",\"group\":" + std::to_string(id % kGroups) +
                     ",\"v\":" + std::to_string(version) + ",\"note\":\"";
  const std::uint64_t hash = mix64(id ^ (std::uint64_t{version} << 32));
  text.append(hash % 120, static_cast<char>('a' + hash % 26));
  return text + "\"}";
}

std::optional<CodedVersions> decode_coded(const Row& row) {
  if (!row.id.is_number()) return std::nullopt;
  const std::vector<float> floats = row.vector.to_floats();
  if (floats.size() != kCodedDim) return std::nullopt;
  CodedVersions versions;
  for (std::uint32_t i = 0; i < kVersionCoordinates; ++i) {
    if (!(floats[i] >= 0.0f && floats[i] < 256.0f)) return std::nullopt;
    versions.vector |= static_cast<std::uint32_t>(floats[i]) << (8 * i);
  }
  if (floats != coded_vector(row.id.number(), versions.vector)) return std::nullopt;

  const std::size_t key = row.payload.find(kVersionKey);
  if (key == std::string::npos) return std::nullopt;
  const char* const from = row.payload.data() + key + kVersionKey.size();
  const char* const end = row.payload.data() + row.payload.size();
  if (std::from_chars(from, end, versions.payload).ec != std::errc()) return std::nullopt;
  if (row.payload != coded_payload(row.id.number(), versions.payload)) return std::nullopt;
  return versions;
}

void CodedBatch::add(std::uint64_t id, std::uint32_t version) {
  held_.push_back({id, coded_vector(id, version), coded_payload(id, version)});
}

void CodedBatch::add_payload_only(std::uint64_t id, std::uint32_t version) {
  held_.push_back({id, {}, coded_payload(id, version)});
}

void CodedBatch::clear() {
  held_.clear();
  inputs_.clear();
}

const std::vector<RowInput>& CodedBatch::inputs() {
  inputs_.clear();
  inputs_.reserve(held_.size());
  for (const Held& row : held_) {
    RowInput input;
    input.id = row.id;
    input.vector = VectorView(row.vector);
    input.payload = row.payload;
    inputs_.push_back(std::move(input));
  }
  return inputs_;
}

}  // namespace vecserve::test
