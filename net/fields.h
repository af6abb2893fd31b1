// Tagged fields: what the body of every frame is made of, written and read. One description of a
// message, a template over FieldWriter and FieldReader, serves both directions, so that they cannot
// drift apart. Between frame and request or reply; pure, any thread.
// Always holds: the reader never reads outside the body, checks every length and count against the
// limit it is given before it allocates, and what it hands out as views points into the body.
//
// A field is one key byte (tag * 4 + kind), then by kind: a varint; 8 bytes; or a 32-bit length and
// so many bytes. The kind says where a field ends, so one that is unknown can be passed over; that
// is done for tags from kTagSkippable on, while an unknown tag below it is an error, because the
// sender counts on its being obeyed.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "engine/base/coding.h"
#include "vecserve/status.h"
#include "vecserve/types.h"

namespace vecserve::net {

using Tag = std::uint8_t;
inline constexpr Tag kTagSkippable = 48;
inline constexpr Tag kTagMax = 63;

enum class FieldKind : std::uint8_t { varint = 0, fixed = 1, bytes = 2 };

class FieldWriter {
 public:
  explicit FieldWriter(std::string& out) : out_(out) {}

  template <typename T>
  void number(Tag tag, std::string_view /*name*/, const T& value, std::uint64_t /*max*/) {
    key(tag, FieldKind::varint);
    engine::put_varint(out_, static_cast<std::uint64_t>(value));
  }
  template <typename T>
  void number(Tag tag, std::string_view name, const std::optional<T>& value, std::uint64_t max) {
    if (value) number(tag, name, *value, max);
  }
  void flag(Tag tag, std::string_view name, const bool& value) {
    if (value) number(tag, name, 1U, 1);
  }
  void real(Tag tag, std::string_view /*name*/, const double& value) {
    key(tag, FieldKind::fixed);
    engine::put_fixed(out_, std::bit_cast<std::uint64_t>(value));
  }
  void real(Tag tag, std::string_view name, const std::optional<double>& value) {
    if (value) real(tag, name, *value);
  }
  // A plain text is left out when empty, an optional one when it is not there.
  template <typename T>
  void text(Tag tag, std::string_view /*name*/, const T& value, std::size_t /*max*/) {
    if constexpr (std::is_convertible_v<const T&, std::string_view>) {
      if (!value.empty()) bytes(tag, value);
    } else {
      if (value) bytes(tag, *value);
    }
  }
  void id(Tag tag, std::string_view name, const RowId& value);
  void id(Tag tag, std::string_view name, const std::optional<RowId>& value) {
    if (value) id(tag, name, *value);
  }
  void vector(Tag tag, std::string_view name, const VectorView& value);
  void vector(Tag tag, std::string_view name, const Vector& value) {
    vector(tag, name, value.view());
  }
  template <typename T, typename Describe>
  void nested(Tag tag, std::string_view /*name*/, const T& value, Describe&& describe) {
    const std::size_t begin = open(tag);
    describe(*this, value);
    close(begin);
  }
  template <typename T, typename Describe>
  void list(Tag tag, std::string_view name, const std::vector<T>& values, std::size_t /*max*/,
            Describe&& describe) {
    for (const T& value : values) nested(tag, name, value, describe);
  }
  void ids(Tag tag, std::string_view name, const std::vector<RowId>& values, std::size_t /*max*/) {
    for (const RowId& value : values) id(tag, name, value);
  }

  // Where a nested body begins, and the length put in front of it.
  [[nodiscard]] std::size_t open(Tag tag);
  void close(std::size_t begin);

 private:
  void key(Tag tag, FieldKind kind) {
    out_.push_back(static_cast<char>(tag * 4 + static_cast<unsigned>(kind)));
  }
  void bytes(Tag tag, std::string_view value);

  std::string& out_;
};

// Reads one body. step() finds the next field; then the description is run and takes it.
class FieldReader {
 public:
  explicit FieldReader(std::string_view body) : left_(body) {}

  // False at the end of the body, and when it is malformed or a field was refused: see status().
  [[nodiscard]] bool step();
  // After the description was run for this field: false if nothing took it and it may not be
  // passed over, or what took it refused it.
  [[nodiscard]] bool settled();
  [[nodiscard]] const Status& status() const { return status_; }

  template <typename T>
  void number(Tag tag, std::string_view name, T& value, std::uint64_t max) {
    if (!take(tag, name, FieldKind::varint)) return;
    if (number_ > max) return refuse(name, "is larger than is allowed");
    value = static_cast<T>(number_);
  }
  template <typename T>
  void number(Tag tag, std::string_view name, std::optional<T>& value, std::uint64_t max) {
    if (tag != tag_) return;
    T inner{};
    number(tag, name, inner, max);
    if (status_.ok()) value = inner;
  }
  void flag(Tag tag, std::string_view name, bool& value) {
    if (!take(tag, name, FieldKind::varint)) return;
    if (number_ > 1) return refuse(name, "must be 0 or 1");
    value = number_ == 1;
  }
  void real(Tag tag, std::string_view name, double& value) {
    if (take(tag, name, FieldKind::fixed)) value = std::bit_cast<double>(number_);
  }
  void real(Tag tag, std::string_view name, std::optional<double>& value) {
    if (tag == tag_) real(tag, name, value.emplace());
  }
  template <typename T>
  void text(Tag tag, std::string_view name, T& value, std::size_t max) {
    if (!take(tag, name, FieldKind::bytes)) return;
    if (bytes_.size() > max) return refuse(name, "is longer than is allowed");
    value = T(bytes_);
  }
  void id(Tag tag, std::string_view name, RowId& value);
  void id(Tag tag, std::string_view name, std::optional<RowId>& value) {
    if (tag == tag_) id(tag, name, value.emplace());
  }
  void vector(Tag tag, std::string_view name, VectorView& value);
  void vector(Tag tag, std::string_view name, Vector& value);

  template <typename T, typename Describe>
  void nested(Tag tag, std::string_view name, T& value, Describe&& describe) {
    if (!take(tag, name, FieldKind::bytes)) return;
    FieldReader inner(bytes_);
    while (inner.step()) {
      describe(inner, value);
      if (!inner.settled()) break;
    }
    if (!inner.status_.ok()) status_ = std::move(inner.status_);
  }
  template <typename T, typename Describe>
  void list(Tag tag, std::string_view name, std::vector<T>& values, std::size_t max,
            Describe&& describe) {
    if (tag != tag_) return;
    if (values.size() >= max) return refuse(name, "there are more of these than is allowed");
    nested(tag, name, values.emplace_back(), describe);
  }
  void ids(Tag tag, std::string_view name, std::vector<RowId>& values, std::size_t max) {
    if (tag != tag_) return;
    if (values.size() >= max) return refuse(name, "there are more of these than is allowed");
    id(tag, name, values.emplace_back());
  }

 private:
  [[nodiscard]] bool take(Tag tag, std::string_view name, FieldKind kind);
  void refuse(std::string_view name, std::string_view why);

  engine::ByteReader left_;
  Status status_;
  Tag tag_ = 0;
  FieldKind kind_ = FieldKind::varint;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
  bool taken_ = false;
};

// Fills `value` from a body by its description.
template <typename T, typename Describe>
[[nodiscard]] Status read_fields(std::string_view body, T& value, Describe&& describe) {
  FieldReader reader(body);
  while (reader.step()) {
    describe(reader, value);
    if (!reader.settled()) break;
  }
  return reader.status();
}

}  // namespace vecserve::net
