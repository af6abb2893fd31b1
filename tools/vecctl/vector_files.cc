// See vector_files.h.
// A header is read by a small scanner that knows the one form NumPy writes: a Python dictionary of
// three keys. One thread. Always holds: rows * row bytes + header bytes = file bytes.
#include "tools/vecctl/vector_files.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cstring>
#include <utility>

#include "engine/base/limits.h"
#include "tools/vecctl/input_file.h"

namespace vecserve::vecctl {
namespace {

namespace limits = engine::limits;

Status wrong(const std::string& path, const std::string& what) {
  return Status::invalid_argument("file", path + ": " + what);
}

// The text behind `'key':`, blanks skipped; empty when the key is not there.
std::string_view value_of(std::string_view text, std::string_view key) {
  const std::size_t at = text.find(fmt::format("'{}'", key));
  if (at == std::string_view::npos) return {};
  std::string_view rest = text.substr(at + key.size() + 2);
  while (!rest.empty() && (rest.front() == ' ' || rest.front() == ':')) rest.remove_prefix(1);
  return rest;
}

bool parse_shape(std::string_view text, std::vector<std::uint64_t>& shape) {
  if (text.empty() || text.front() != '(') return false;
  text.remove_prefix(1);
  while (true) {
    while (!text.empty() && (text.front() == ' ' || text.front() == ',')) text.remove_prefix(1);
    if (text.empty()) return false;
    if (text.front() == ')') return true;
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value);
    if (parsed.ec != std::errc() || shape.size() == 32) return false;  // NumPy's most dimensions
    shape.push_back(value);
    text.remove_prefix(static_cast<std::size_t>(parsed.ptr - text.data()));
  }
}

// How a stored coordinate becomes one of ours: as it is, or from f64.
struct Coordinates {
  ScalarType type = ScalarType::f32;
  std::size_t bytes = 4;
  bool narrow = false;
};

std::optional<Coordinates> coordinates_of(std::string_view type) {
  if (type == "<f4") return Coordinates{ScalarType::f32, 4, false};
  if (type == "<f8") return Coordinates{ScalarType::f32, 8, true};
  if (type == "<f2") return Coordinates{ScalarType::f16, 2, false};
  if (type == "|i1") return Coordinates{ScalarType::i8, 1, false};
  if (type == "|u1") return Coordinates{ScalarType::u8, 1, false};
  return std::nullopt;
}

// Rows of one width behind each other, each perhaps behind its own dimension.
class FixedRows final : public RowReader {
 public:
  FixedRows(InputFile file, Coordinates coordinates, std::uint32_t dim, std::uint64_t rows,
            bool dim_in_rows, std::uint64_t first_id)
      : file_(std::move(file)),
        coordinates_(coordinates),
        dim_(dim),
        rows_left_(rows),
        dim_in_rows_(dim_in_rows),
        id_(first_id) {}

  Result<bool> read(std::size_t rows_max, RowBatch& batch) override {
    const std::size_t before = batch.size();
    while (rows_left_ > 0 && batch.size() < rows_max && batch.bytes() < kBatchBytesTarget) {
      if (Status status = row(batch); !status.ok()) {
        rows_left_ = 0;
        return status;
      }
      --rows_left_;
      ++id_;
    }
    return batch.size() > before;
  }

  std::uint64_t bytes_read() const override { return file_.position(); }
  std::uint64_t bytes_total() const override { return file_.size(); }

 private:
  Status row(RowBatch& batch) {
    if (dim_in_rows_) {
      std::uint32_t dim = 0;
      VECSERVE_TRY(file_.read(&dim, sizeof(dim)));
      if (dim != dim_) {
        return wrong(file_.path(), "row " + std::to_string(id_) + " has " + std::to_string(dim) +
                                       " coordinates, the first one " + std::to_string(dim_));
      }
    }
    const std::size_t keep = batch.size();
    std::byte* const to = batch.add(RowId(id_), coordinates_.type, dim_);
    Status status =
        coordinates_.narrow ? narrow(to) : file_.read(to, std::size_t{dim_} * coordinates_.bytes);
    if (!status.ok()) batch.truncate(keep);
    return status;
  }

  Status narrow(std::byte* to) {
    for (std::uint32_t i = 0; i < dim_; ++i) {
      double wide = 0.0;
      VECSERVE_TRY(file_.read(&wide, sizeof(wide)));
      const auto value = static_cast<float>(wide);
      std::memcpy(to + i * sizeof(value), &value, sizeof(value));
    }
    return {};
  }

  InputFile file_;
  Coordinates coordinates_;
  std::uint32_t dim_;
  std::uint64_t rows_left_;
  bool dim_in_rows_;
  std::uint64_t id_;
};

// The text of the header, after magic, version and length.
Result<std::string> npy_header_text(InputFile& file) {
  std::array<unsigned char, 8> start{};
  if (file.size() < 10) return wrong(file.path(), "is too short for a .npy file");
  VECSERVE_TRY(file.read(start.data(), start.size()));
  if (std::memcmp(start.data(), "\x93NUMPY", 6) != 0) {
    return wrong(file.path(), "is no .npy file (save it with numpy.save)");
  }
  std::uint32_t length = 0;
  if (start[6] == 1) {
    std::uint16_t brief = 0;
    VECSERVE_TRY(file.read(&brief, sizeof(brief)));
    length = brief;
  } else if (start[6] == 2 || start[6] == 3) {
    VECSERVE_TRY(file.read(&length, sizeof(length)));
  } else {
    return wrong(file.path(),
                 "has .npy version " + std::to_string(start[6]) + ", known are 1 to 3");
  }
  if (length > kHeaderBytesMax || length > file.size()) {
    return wrong(file.path(), "claims a header of " + std::to_string(length) + " bytes");
  }
  std::string text(length, '\0');
  VECSERVE_TRY(file.read(text.data(), text.size()));
  return text;
}

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view text) {
  NpyHeader header;
  const std::string_view type = value_of(text, "descr");
  const std::size_t type_end = type.empty() ? type.npos : type.find('\'', 1);
  const std::string_view order = value_of(text, "fortran_order");
  if (!type.starts_with('\'') || type_end == type.npos || order.empty() ||
      !parse_shape(value_of(text, "shape"), header.shape)) {
    return Status::invalid_argument("file", "its .npy header is not one that NumPy writes");
  }
  header.type = std::string(type.substr(1, type_end - 1));
  header.fortran_order = order.starts_with("True");
  return header;
}

Result<std::unique_ptr<RowReader>> open_npy(const std::string& path, const ReadOptions& options) {
  Result<InputFile> file = InputFile::open(path);
  VECSERVE_TRY(file.status());
  const Result<std::string> text = npy_header_text(*file);
  VECSERVE_TRY(text.status());
  const Result<NpyHeader> header = parse_npy_header(*text);
  if (!header.ok()) return wrong(path, header.status().message());
  const std::optional<Coordinates> coordinates = coordinates_of(header->type);
  if (!coordinates) {
    return wrong(path, "has the type " + header->type + "; convert it: array.astype('float32')");
  }
  if (header->shape.size() != 2 || (header->fortran_order && header->shape[0] > 1)) {
    return wrong(path, "is not a C-ordered array of rows × dimensions");
  }
  const std::uint64_t rows = header->shape[0];
  const std::uint64_t dim = header->shape[1];
  if (dim == 0 || dim > limits::dim_max) {
    return wrong(path, "has " + std::to_string(dim) + " dimensions, allowed are 1 to 65536");
  }
  const std::uint64_t body = file->size() - file->position();
  if (rows > body || rows * dim * coordinates->bytes != body) {  // rows <= body: no overflow
    return wrong(path, "states " + std::to_string(rows) + " × " + std::to_string(dim) + " but is " +
                           std::to_string(file->size()) + " bytes long");
  }
  return std::unique_ptr<RowReader>(std::make_unique<FixedRows>(*std::move(file), *coordinates,
                                                                static_cast<std::uint32_t>(dim),
                                                                rows, false, options.first_id));
}

Result<std::unique_ptr<RowReader>> open_vecs(const std::string& path, ScalarType type,
                                             const ReadOptions& options) {
  Result<InputFile> look = InputFile::open(path);
  VECSERVE_TRY(look.status());
  std::uint32_t dim = 0;
  if (look->size() < sizeof(dim)) return wrong(path, "holds no row");
  VECSERVE_TRY(look->read(&dim, sizeof(dim)));
  if (dim == 0 || dim > limits::dim_max) {
    return wrong(path,
                 "begins with the dimension " + std::to_string(dim) + ", allowed are 1 to 65536");
  }
  const std::uint64_t row_bytes = sizeof(dim) + vector_bytes(type, dim);
  if (look->size() % row_bytes != 0) {
    return wrong(path, "is not a whole number of rows of " + std::to_string(dim) + " dimensions");
  }
  Result<InputFile> file = InputFile::open(path);
  VECSERVE_TRY(file.status());
  const Coordinates coordinates{type, type == ScalarType::u8 ? std::size_t{1} : std::size_t{4},
                                false};
  const std::uint64_t rows = file->size() / row_bytes;
  return std::unique_ptr<RowReader>(std::make_unique<FixedRows>(*std::move(file), coordinates, dim,
                                                                rows, true, options.first_id));
}

}  // namespace vecserve::vecctl
