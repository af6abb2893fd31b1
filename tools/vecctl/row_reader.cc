// See row_reader.h.
// The batch, and the choice of a reader by the format. The importing thread only.
// Always holds: coordinates_ is exactly as long as the rows' coordinates together.
#include "tools/vecctl/row_reader.h"

#include <cstring>
#include <utility>

#include "tools/vecctl/text_readers.h"
#include "tools/vecctl/vector_files.h"

namespace vecserve::vecctl {

void RowBatch::clear() {
  rows_.clear();
  coordinates_.clear();
  payload_bytes_ = 0;
}

std::byte* RowBatch::add(RowId id, ScalarType type, std::uint32_t dim) {
  const std::size_t offset = coordinates_.size();
  coordinates_.resize(offset + vector_bytes(type, dim));
  rows_.push_back({std::move(id), type, dim, offset, std::nullopt, std::nullopt});
  return coordinates_.data() + offset;
}

void RowBatch::add(RowId id, const std::vector<float>& vector) {
  std::byte* const to =
      add(std::move(id), ScalarType::f32, static_cast<std::uint32_t>(vector.size()));
  if (!vector.empty()) std::memcpy(to, vector.data(), vector.size() * sizeof(float));
}

void RowBatch::set_payload(std::string payload) {
  payload_bytes_ += payload.size();
  rows_.back().payload = std::move(payload);
}

void RowBatch::set_ttl_ms(std::uint64_t ttl_ms) {
  rows_.back().ttl_ms = ttl_ms;
}

void RowBatch::truncate(std::size_t keep) {
  while (rows_.size() > keep) {
    coordinates_.resize(rows_.back().offset);
    if (rows_.back().payload) payload_bytes_ -= rows_.back().payload->size();
    rows_.pop_back();
  }
}

std::vector<RowInput> RowBatch::inputs() const {
  std::vector<RowInput> inputs;
  inputs.reserve(rows_.size());
  for (const Entry& row : rows_) {
    RowInput input;
    input.id = row.id;
    input.vector = VectorView(row.type, coordinates_.data() + row.offset, row.dim);
    if (row.payload) input.payload = *row.payload;
    input.ttl_ms = row.ttl_ms;
    inputs.push_back(std::move(input));
  }
  return inputs;
}

std::optional<FileFormat> parse_file_format(std::string_view name) {
  if (name == "npy") return FileFormat::npy;
  if (name == "fvecs") return FileFormat::fvecs;
  if (name == "bvecs") return FileFormat::bvecs;
  if (name == "jsonl" || name == "ndjson" || name == "json") return FileFormat::json_lines;
  if (name == "csv") return FileFormat::csv;
  return std::nullopt;
}

std::optional<FileFormat> format_of(std::string_view path) {
  const std::size_t dot = path.rfind('.');
  if (dot == std::string_view::npos) return std::nullopt;
  return parse_file_format(path.substr(dot + 1));
}

Result<std::unique_ptr<RowReader>> open_rows(const std::string& path, FileFormat format,
                                             const ReadOptions& options) {
  switch (format) {
    case FileFormat::npy:
      return open_npy(path, options);
    case FileFormat::fvecs:
      return open_vecs(path, ScalarType::f32, options);
    case FileFormat::bvecs:
      return open_vecs(path, ScalarType::u8, options);
    case FileFormat::json_lines:
      return open_json_lines(path, options);
    case FileFormat::csv:
      break;
  }
  return open_csv(path, options);
}

}  // namespace vecserve::vecctl
