// Tagged fields: their bytes, what is passed over, what is refused and under which name. The
// message that is tried has one field of each kind. One thread.
// Always holds: each kind is checked in both directions and at its limits.
#include "net/fields.h"

#include <catch2/catch.hpp>
#include <limits>

namespace vecserve::net {
namespace {

struct Inner {
  std::uint64_t number = 0;
};

struct Sample {
  std::uint32_t number = 0;
  std::optional<std::uint64_t> maybe{};
  bool flag = false;
  double real = 0.0;
  std::string text{};
  std::optional<std::string_view> view{};
  RowId id{};
  std::optional<RowId> maybe_id{};
  Vector vector{};
  std::vector<Inner> list{};
  std::vector<RowId> ids{};
};

constexpr auto kInner = [](auto& fields, auto& value) {
  fields.number(1, "inner_number", value.number, 1'000);
};
constexpr auto kSample = [](auto& fields, auto& value) {
  fields.number(1, "number", value.number, 100);
  fields.number(2, "maybe", value.maybe, UINT64_MAX);
  fields.flag(3, "flag", value.flag);
  fields.real(4, "real", value.real);
  fields.text(5, "text", value.text, 8);
  fields.text(6, "view", value.view, 8);
  fields.id(7, "id", value.id);
  fields.id(8, "maybe_id", value.maybe_id);
  fields.vector(9, "vector", value.vector);
  fields.list(10, "list", value.list, 3, kInner);
  fields.ids(11, "ids", value.ids, 3);
};

std::string write(const Sample& sample) {
  std::string out;
  FieldWriter writer(out);
  kSample(writer, sample);
  return out;
}

std::string bytes(std::initializer_list<int> values) {
  std::string out;
  for (const int value : values) out.push_back(static_cast<char>(value));
  return out;
}

Status read(std::string_view body) {
  Sample sample;
  return read_fields(body, sample, kSample);
}

TEST_CASE("fields: everything that is written is read again", "[fields]") {
  const std::vector<float> floats = {1.0f, -2.5f};
  const VectorView view(floats);
  Sample sample;
  sample.number = 100;
  sample.maybe = UINT64_MAX;
  sample.flag = true;
  sample.real = -0.5;
  sample.text = "eight by";
  sample.view = "";
  sample.id = RowId(std::string("\x00\xff", 2));
  sample.maybe_id = RowId(UINT64_MAX);
  sample.vector =
      Vector(ScalarType::f32, 2, {static_cast<const std::byte*>(view.data), 2 * sizeof(float)});
  sample.list = {{1}, {2}, {3}};
  sample.ids = {RowId(1), RowId("a")};
  const std::string body = write(sample);
  Sample again;
  REQUIRE(read_fields(body, again, kSample).ok());
  CHECK(again.number == 100);
  CHECK(again.maybe == UINT64_MAX);
  CHECK(again.flag);
  CHECK(again.real == -0.5);
  CHECK(again.text == "eight by");
  REQUIRE(again.view.has_value());
  CHECK(again.view->empty());
  CHECK(again.id == sample.id);
  CHECK(again.maybe_id == sample.maybe_id);
  CHECK(again.vector.to_floats() == floats);
  REQUIRE(again.list.size() == 3);
  CHECK(again.list[2].number == 3);
  CHECK(again.ids == sample.ids);
  CHECK(write(again) == body);
}

TEST_CASE("fields: the bytes of each kind", "[fields]") {
  std::string out;
  FieldWriter writer(out);
  writer.number(1, "", 300U, 0);
  CHECK(out == bytes({1 * 4, 0xac, 0x02}));
  out.clear();
  writer.real(4, "", 1.0);
  CHECK(out == bytes({4 * 4 + 1, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f}));
  out.clear();
  writer.text(5, "", std::string_view("ab"), 8);
  CHECK(out == bytes({5 * 4 + 2, 2, 0, 0, 0, 'a', 'b'}));
  out.clear();
  const std::vector<std::uint8_t> coordinates = {7, 8};
  writer.vector(9, "", VectorView(std::span<const std::uint8_t>(coordinates)));
  CHECK(out == bytes({9 * 4 + 2, 7, 0, 0, 0, 4, 2, 0, 0, 0, 7, 8}));
}

TEST_CASE("fields: limits are kept, and the error names the field", "[fields]") {
  CHECK(read(bytes({1 * 4, 101})).field() == "number");
  CHECK(read(bytes({3 * 4, 2})).field() == "flag");
  CHECK(read(bytes({5 * 4 + 2, 9, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9})).field() == "text");
  CHECK(read(bytes({1 * 4 + 1, 0, 0, 0, 0, 0, 0, 0, 0})).field() == "number");
  CHECK(read(bytes({7 * 4 + 2, 0, 0, 0, 0})).field() == "id");
  CHECK(read(bytes({11 * 4, 1, 11 * 4, 2, 11 * 4, 3})).ok());
  CHECK(read(bytes({11 * 4, 1, 11 * 4, 2, 11 * 4, 3, 11 * 4, 4})).field() == "ids");
  CHECK(read(bytes({10 * 4 + 2, 3, 0, 0, 0, 1 * 4, 0xff, 0x7f})).field() == "inner_number");
  const std::string inner = bytes({10 * 4 + 2, 0, 0, 0, 0});
  CHECK(read(inner + inner + inner).ok());
  CHECK(read(inner + inner + inner + inner).field() == "list");
}

TEST_CASE("fields: a vector has the length of its type and dimension", "[fields]") {
  const auto vector = [](std::initializer_list<int> head, std::size_t data) {
    std::string value = bytes(head) + std::string(data, '\0');
    const std::string length = bytes({static_cast<int>(value.size()), 0, 0, 0});
    return bytes({9 * 4 + 2}) + length + value;
  };
  CHECK(read(vector({0, 2, 0, 0, 0}, 8)).ok());
  CHECK(read(vector({0, 2, 0, 0, 0}, 7)).field() == "vector");
  CHECK(read(vector({0, 2, 0, 0, 0}, 9)).field() == "vector");
  CHECK(read(vector({5, 9, 0, 0, 0}, 2)).ok());
  CHECK(read(vector({6, 2, 0, 0, 0}, 2)).field() == "vector");
  CHECK(read(vector({0, 0, 0, 0, 0x40}, 0)).field() == "vector");  // times 4 it is 0 in 32 bits
  CHECK(read(vector({0, 0xff, 0xff, 0xff, 0xff}, 8)).field() == "vector");
  CHECK(read(vector({0, 2, 0}, 0)).field() == "vector");
}

TEST_CASE("fields: unknown fields are passed over or refused by their tag", "[fields]") {
  const std::string known = bytes({1 * 4, 5});
  CHECK(read(bytes({48 * 4, 1}) + known).ok());
  CHECK(read(bytes({63 * 4 + 1, 0, 0, 0, 0, 0, 0, 0, 0}) + known).ok());
  CHECK(read(bytes({50 * 4 + 2, 1, 0, 0, 0, 9}) + known).ok());
  const Status refused = read(bytes({47 * 4, 1}) + known);
  CHECK(refused.code() == StatusCode::unimplemented);
  CHECK(refused.field() == "tag 47");
}

TEST_CASE("fields: a body that is cut anywhere is refused or shorter by whole fields", "[fields]") {
  Sample sample;
  sample.text = "text";
  sample.list = {{1}, {2}};
  sample.real = 2.0;
  const std::string body = write(sample);
  for (std::size_t size = 0; size < body.size(); ++size) {
    Sample again;
    const Status status = read_fields(std::string_view(body).substr(0, size), again, kSample);
    if (!status.ok()) CHECK(status.field() == "body");
    if (status.ok()) CHECK(again.list.size() <= 2);
  }
  CHECK(read(bytes({1 * 4 + 3, 0})).field() == "body");
  CHECK(read(bytes({5 * 4 + 2, 0xff, 0xff, 0xff, 0xff, 0})).field() == "body");
}

}  // namespace
}  // namespace vecserve::net
