// Keys and values of the meta family: golden bytes, round trips, damage. FORMAT.md describes what
// is pinned here. One thread.
// Always holds: a change of any byte on disk fails here first.
#include "engine/store/meta.h"

#include <catch2/catch.hpp>
#include <functional>

#include "engine/base/limits.h"

namespace vecserve::engine {
namespace {

std::string bytes_of(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

StoredCollection sample() {
  StoredCollection collection;
  collection.id = 7;
  collection.name = "docs";
  collection.options.dim = 128;
  collection.options.metric = Metric::cosine;
  collection.options.type = ScalarType::f16;
  collection.options.fields = {{"year", FieldType::number}, {"ok", FieldType::boolean}};
  return collection;
}

TEST_CASE("meta: keys are those of FORMAT.md and sort by number", "[meta]") {
  CHECK(meta_key(MetaTag::format) == bytes_of("01"));
  CHECK(meta_key(MetaTag::collection, 0x01020304) == bytes_of("0301020304"));
  CHECK(request_key(65'537) == bytes_of("0600000001"));
  CHECK(row_key(0x01020304, 0x05060708090a0b0c) == bytes_of("0102030405060708090a0b0c"));
  CHECK(row_key(1, 255) < row_key(1, 256));
  CHECK(row_key(1, UINT64_MAX) < row_key(2, 0));
  std::uint32_t collection = 0;
  std::uint64_t slot = 0;
  REQUIRE(decode_row_key(row_key(9, 1ULL << 47), collection, slot));
  CHECK(collection == 9);
  CHECK(slot == 1ULL << 47);
  CHECK_FALSE(decode_row_key(row_key(9, 1) + "x", collection, slot));
  CHECK_FALSE(decode_row_key(row_key(9, 1).substr(1), collection, slot));
}

TEST_CASE("meta: values are those of FORMAT.md", "[meta]") {
  std::string value;
  encode_format(meta_key(MetaTag::format), value);
  CHECK(value == bytes_of("7665637365727665010000008335b9fd7ea9fdc6"));
  encode_state(meta_key(MetaTag::state), {1, 2, 3, 4, 5}, value);
  CHECK(value == bytes_of("010000000000000002000000000000000300000004000000"
                          "0500000000000000404ca7b6d989b9f6"));
  encode_collection(meta_key(MetaTag::collection, 7), sample(), value);
  CHECK(value == bytes_of("04646f637380000000020102047965617200026f6b0209bffc03cf049af7"));
  encode_counters(meta_key(MetaTag::counters, 7), {10, 9, 8}, value);
  CHECK(value == bytes_of("0a0000000000000009000000000000000800000000000000fa06b4cbc6afd706"));
  encode_dropping(meta_key(MetaTag::dropping, 7), value);
  CHECK(value == bytes_of("2ba38eab45b8e6d5"));
  encode_request(request_key(65'537), {65'537, {1, 2}, {3, 4}}, value);
  CHECK(value == bytes_of("0100010000000000010000000000000002000000000000000300000000000000"
                          "040000000000000048b8b55000605022"));
}

TEST_CASE("meta: decoding gives back what was encoded", "[meta]") {
  std::string value;
  std::string key = meta_key(MetaTag::state);
  const StoreState state{11, 12, 13, 14, 15};
  const std::uint64_t checksum = encode_state(key, state, value);
  CHECK(checksum == value_checksum(value));
  CHECK(*decode_state(key, value) == state);
  key = meta_key(MetaTag::collection, 7);
  encode_collection(key, sample(), value);
  auto collection = decode_collection(key, value);
  REQUIRE(collection.ok());
  CHECK(collection->id == 7);
  CHECK(collection->name == "docs");
  CHECK(collection->options == sample().options);
  key = meta_key(MetaTag::counters, 7);
  encode_counters(key, {10, 9, 8}, value);
  CHECK(*decode_counters(key, value) == CollectionCounters{10, 9, 8});
  key = request_key(65'537);
  encode_request(key, {65'537, {1, 2}, {3, 4}}, value);
  auto request = decode_request(key, value);
  REQUIRE(request.ok());
  CHECK(request->ordinal == 65'537);
  CHECK(request->id == RequestId{1, 2});
  CHECK(request->outcome == RequestOutcome{3, 4});
}

TEST_CASE("meta: a flipped bit, a cut and a wrong key are data loss", "[meta]") {
  using Decode = std::function<Status(std::string_view, std::string_view)>;
  struct Case {
    std::string key;
    std::string value;
    Decode decode;
  };
  std::vector<Case> cases(6);
  cases[0].key = meta_key(MetaTag::format);
  encode_format(cases[0].key, cases[0].value);
  cases[0].decode = [](auto key, auto value) { return decode_format(key, value); };
  cases[1].key = meta_key(MetaTag::state);
  encode_state(cases[1].key, {1, 2, 3, 4, 5}, cases[1].value);
  cases[1].decode = [](auto key, auto value) { return decode_state(key, value).status(); };
  cases[2].key = meta_key(MetaTag::collection, 7);
  encode_collection(cases[2].key, sample(), cases[2].value);
  cases[2].decode = [](auto key, auto value) { return decode_collection(key, value).status(); };
  cases[3].key = meta_key(MetaTag::counters, 7);
  encode_counters(cases[3].key, {3, 2, 1}, cases[3].value);
  cases[3].decode = [](auto key, auto value) { return decode_counters(key, value).status(); };
  cases[4].key = meta_key(MetaTag::dropping, 7);
  encode_dropping(cases[4].key, cases[4].value);
  cases[4].decode = [](auto key, auto value) { return decode_dropping(key, value); };
  cases[5].key = request_key(3);
  encode_request(cases[5].key, {3, {1, 2}, {3, 4}}, cases[5].value);
  cases[5].decode = [](auto key, auto value) { return decode_request(key, value).status(); };
  for (const Case& one : cases) {
    CAPTURE(static_cast<int>(one.key[0]));
    REQUIRE(one.decode(one.key, one.value).ok());
    for (std::size_t bit = 0; bit < one.value.size() * 8; ++bit) {
      std::string damaged = one.value;
      damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
      REQUIRE(one.decode(one.key, damaged).code() == StatusCode::data_loss);
    }
    for (std::size_t size = 0; size < one.value.size(); ++size) {
      REQUIRE(one.decode(one.key, one.value.substr(0, size)).code() == StatusCode::data_loss);
    }
    std::string other = one.key;
    other.back() = static_cast<char>(other.back() + 1);
    CHECK(one.decode(other, one.value).code() == StatusCode::data_loss);
  }
}

TEST_CASE("meta: a newer format is told from a damaged one", "[meta]") {
  const std::string newer = bytes_of("7665637365727665020000002ba2ac6d9ba8b935");
  CHECK(decode_format(meta_key(MetaTag::format), newer).code() == StatusCode::failed_precondition);
}

TEST_CASE("meta: counters that cannot be are data loss", "[meta]") {
  const std::string key = meta_key(MetaTag::counters, 7);
  std::string value;
  encode_counters(key, {2, 3, 0}, value);
  CHECK(decode_counters(key, value).status().code() == StatusCode::data_loss);
  encode_counters(key, {limits::slots_max + 1, 3, 0}, value);
  CHECK(decode_counters(key, value).status().code() == StatusCode::data_loss);
  encode_counters(key, {limits::slots_max, 3, 0}, value);
  CHECK(decode_counters(key, value).ok());
}

}  // namespace
}  // namespace vecserve::engine
