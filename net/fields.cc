// The parts of writing and reading fields that do not depend on the message: keys, lengths, ids and
// vectors. Below request and reply. Pure, any thread.
// Always holds: a vector is accepted only if its length is the one that its type and dimension say,
// computed without overflow; an id only if its own bounds hold.
#include "net/fields.h"

#include <cstring>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace vecserve::net {

namespace {

namespace bounds = engine::limits;

constexpr std::size_t kVectorPrefixBytes = 5;  // its type and its dimension
constexpr auto kScalarLast = static_cast<std::uint8_t>(ScalarType::bit);

// Type, dimension and data of a vector field; false if they do not fit each other.
bool split_vector(std::string_view bytes, VectorView& value) {
  engine::ByteReader reader(bytes);
  std::uint8_t type = 0;
  std::uint32_t dim = 0;
  if (!reader.fixed(type) || !reader.fixed(dim)) return false;
  if (type > kScalarLast || dim > bounds::dim_max) return false;
  const auto scalar = static_cast<ScalarType>(type);
  if (reader.left() != vector_bytes(scalar, dim)) return false;
  value = VectorView(scalar, bytes.data() + kVectorPrefixBytes, dim);
  return true;
}

}  // namespace

void FieldWriter::bytes(Tag tag, std::string_view value) {
  key(tag, FieldKind::bytes);
  engine::put_fixed(out_, static_cast<std::uint32_t>(value.size()));
  out_.append(value);
}

void FieldWriter::id(Tag tag, std::string_view name, const RowId& value) {
  if (value.is_number()) {
    number(tag, name, value.number(), UINT64_MAX);
  } else {
    bytes(tag, value.bytes());
  }
}

void FieldWriter::vector(Tag tag, std::string_view /*name*/, const VectorView& value) {
  if (value.empty()) return;
  const std::size_t begin = open(tag);
  engine::put_fixed(out_, static_cast<std::uint8_t>(value.type));
  engine::put_fixed(out_, value.dim);
  out_.append(static_cast<const char*>(value.data), vector_bytes(value.type, value.dim));
  close(begin);
}

std::size_t FieldWriter::open(Tag tag) {
  key(tag, FieldKind::bytes);
  out_.append(sizeof(std::uint32_t), '\0');
  return out_.size();
}

void FieldWriter::close(std::size_t begin) {
  const std::size_t size = out_.size() - begin;
  VECSERVE_CHECK(size <= UINT32_MAX);
  const auto length = static_cast<std::uint32_t>(size);
  std::memcpy(out_.data() + begin - sizeof length, &length, sizeof length);
}

bool FieldReader::step() {
  if (!status_.ok() || left_.done()) return false;
  std::uint8_t key = 0;
  std::uint32_t length = 0;
  bool whole = left_.fixed(key);
  tag_ = static_cast<Tag>(key / 4);
  kind_ = static_cast<FieldKind>(key % 4);
  number_ = 0;
  bytes_ = {};
  taken_ = false;
  switch (kind_) {
    case FieldKind::varint:
      whole = whole && left_.varint(number_);
      break;
    case FieldKind::fixed:
      whole = whole && left_.fixed(number_);
      break;
    case FieldKind::bytes:
      whole = whole && left_.fixed(length) && left_.bytes(length, bytes_);
      break;
    default:
      whole = false;
  }
  if (!whole) refuse("body", "is cut short or holds a field of no known kind");
  return whole;
}

bool FieldReader::settled() {
  if (status_.ok() && !taken_ && tag_ < kTagSkippable) {
    status_ = Status(StatusCode::unimplemented,
                     "a field that must be obeyed is unknown here: the other side is newer",
                     "tag " + std::to_string(tag_));
  }
  return status_.ok();
}

bool FieldReader::take(Tag tag, std::string_view name, FieldKind kind) {
  if (tag != tag_ || !status_.ok()) return false;
  taken_ = true;
  if (kind == kind_) return true;
  refuse(name, "is of the wrong kind");
  return false;
}

void FieldReader::refuse(std::string_view name, std::string_view why) {
  taken_ = true;
  status_ = Status::invalid_argument(std::string(name), std::string(why));
}

void FieldReader::id(Tag tag, std::string_view name, RowId& value) {
  if (tag != tag_ || !status_.ok()) return;
  if (kind_ == FieldKind::varint) {
    taken_ = true;
    value = RowId(number_);
    return;
  }
  if (!take(tag, name, FieldKind::bytes)) return;
  if (bytes_.empty() || bytes_.size() > bounds::id_bytes_max) {
    return refuse(name, "must have 1 to 255 bytes");
  }
  value = RowId(bytes_);
}

void FieldReader::vector(Tag tag, std::string_view name, VectorView& value) {
  if (!take(tag, name, FieldKind::bytes)) return;
  if (!split_vector(bytes_, value)) {
    refuse(name, "its length is not the one of its type and dimension");
  }
}

void FieldReader::vector(Tag tag, std::string_view name, Vector& value) {
  VectorView view;
  vector(tag, name, view);
  if (!taken_ || tag != tag_ || !status_.ok()) return;
  const auto* data = static_cast<const std::byte*>(view.data);
  value = Vector(view.type, view.dim, {data, vector_bytes(view.type, view.dim)});
}

}  // namespace vecserve::net
