// Requests: each verb there and back, golden frames, wrong verbs, every limit that protects the
// decoder, and every prefix of a valid body. One thread. Always holds: what a test expects as bytes
// is what PROTOCOL.md shows.
#include "net/request.h"

#include <catch2/catch.hpp>

#include "engine/base/limits.h"
#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

using test::hex;

Frame frame_of(const RequestEnvelope& envelope, const RequestBody& body) {
  std::string bytes;
  REQUIRE(encode_request(envelope, body, limits::frame_bytes_max_default, bytes).ok());
  FrameHeader header;
  REQUIRE(decode_header(std::span<const char, kHeaderBytes>(bytes.data(), kHeaderBytes), header) ==
          FrameFault::none);
  return {header, bytes.substr(kHeaderBytes)};
}

TEST_CASE("request: every verb comes back as it was, byte by byte", "[request]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    CAPTURE(std::string(to_string(verb)));
    RequestEnvelope envelope;
    envelope.verb = verb;
    envelope.id = 42;
    envelope.priority = Priority::background;
    envelope.deadline_us = 15'000;
    const Frame frame = frame_of(envelope, body);
    CHECK(frame.header.verb == verb);
    CHECK(frame.header.request_id == 42);
    CHECK(frame.header.priority == Priority::background);
    CHECK(frame.header.deadline_us == 15'000);
    RequestBody again;
    const Status status = decode_request(frame.header, frame.body, again);
    CAPTURE(status.to_string());
    REQUIRE(status.ok());
    CHECK(fits(verb, again));
    CHECK(hex(frame_of(envelope, again).body) == hex(frame.body));
    CHECK(collection_of(again) == collection_of(body));
  }
}

TEST_CASE("request: samples cover every verb", "[request]") {
  const test::WireSamples samples;
  for (const Verb verb : kVerbs) {
    bool found = false;
    for (const auto& sample : samples.requests()) found = found || sample.first == verb;
    CAPTURE(std::string(to_string(verb)));
    CHECK(found);
  }
}

TEST_CASE("request: golden bodies", "[request]") {
  const std::vector<float> vector = {1.0f, 2.0f};
  SearchRequest search;
  search.collection = "books";
  search.queries = {Query(vector)};
  search.k = 3;
  search.with_payload = true;
  const Frame frame = frame_of({.verb = Verb::search, .id = 2}, search);
  CHECK(hex(frame.body) ==
        "0605000000626f6f6b73"  // 1 collection "books"
        "0a14000000"            // 2 a query of 20 bytes
        "060d000000"
        "0002000000"
        "0000803f00000040"  // 1 vector: f32, 2, coordinates
        "0800"              // 2 k 0: as for all
        "0c03"              // 3 k 3
        "1401");            // 5 with payload
  search.recall = 0.95;
  search.ef = 200;
  CHECK(hex(frame_of({.verb = Verb::search, .id = 2}, search).body) ==
        hex(frame.body) +
            "c1666666666666ee3f"  // 48 recall, a double: servers that do not know it pass it over
            "c4c801");            // 49 ef
  search.recall.reset();
  search.ef.reset();
  search.explain = true;
  CHECK(hex(frame_of({.verb = Verb::search, .id = 2}, search).body) == hex(frame.body) + "c801");

  RangeSearchRequest within;
  within.collection = "books";
  within.explain = true;
  CHECK(hex(frame_of({.verb = Verb::range_search, .id = 2}, within).body).ends_with("c801"));

  HelloRequest hello;
  hello.client = "cli";
  hello.token = "t";
  CHECK(hex(frame_of({.verb = Verb::hello, .id = 1}, hello).body) ==
        "0401"
        "0801"
        "0e03000000636c69"
        "120100000074"
        "1400");
}

TEST_CASE("request: values that differ from the default arrive", "[request]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    if (verb != Verb::upsert) continue;
    const Frame frame = frame_of({.verb = verb, .id = 1}, body);
    RequestBody again;
    REQUIRE(decode_request(frame.header, frame.body, again).ok());
    const auto& write = std::get<WriteRequest>(again);
    REQUIRE(write.rows.size() == 2);
    CHECK(write.rows[0].id == RowId(7));
    CHECK(write.rows[0].vector.dim == 4);
    CHECK(write.rows[0].payload == R"({"year":1959})");
    CHECK(write.rows[0].ttl_ms == 60'000);
    CHECK(write.rows[1].id == RowId("seven"));
    CHECK_FALSE(write.rows[1].payload.has_value());
    CHECK(write.options.durability == Durability::process);
    CHECK(write.options.request_id == RequestId{1, 2});
  }
}

TEST_CASE("request: every prefix of a body is refused or reads as fewer fields", "[request]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.requests()) {
    CAPTURE(std::string(to_string(verb)));
    const Frame frame = frame_of({.verb = verb, .id = 1}, body);
    for (std::size_t size = 0; size <= frame.body.size(); ++size) {
      // A copy of its own, so that a sanitizer sees a read beyond the end.
      const std::string prefix = frame.body.substr(0, size);
      RequestBody again;
      const Status status = decode_request(frame.header, prefix, again);
      if (status.ok()) continue;
      CHECK(status.code() == StatusCode::invalid_argument);
      CHECK_FALSE(status.field().empty());
    }
  }
}

TEST_CASE("request: a body that does not belong to the verb is not encoded", "[request]") {
  std::string bytes = "before";
  CHECK(encode_request({.verb = Verb::search}, CountRequest(), 1'000, bytes).field() == "verb");
  CHECK(encode_request({.verb = Verb{99}}, EmptyRequest(), 1'000, bytes).field() == "verb");
  const std::string filter(1'000, 'f');
  CountRequest count;
  count.filter = filter;
  CHECK(encode_request({.verb = Verb::count}, count, 1'000, bytes).field() == "request");
  CHECK(bytes == "before");
}

Status decode(Verb verb, std::string_view body) {
  FrameHeader header;
  header.verb = verb;
  RequestBody request;
  return decode_request(header, body, request);
}

TEST_CASE("request: unknown verbs and fields that must be obeyed are unimplemented", "[request]") {
  CHECK(decode(Verb{0}, "").code() == StatusCode::unimplemented);
  CHECK(decode(Verb{99}, "").field() == "verb");
  CHECK(decode(Verb::ping, std::string("\xbc\x01", 2)).code() == StatusCode::unimplemented);
  CHECK(decode(Verb::ping, std::string("\xc0\x01", 2)).ok());
}

template <typename Body>
Status refused(Verb verb, const Body& body) {
  const Frame frame = frame_of({.verb = verb, .id = 1}, body);
  RequestBody again;
  return decode_request(frame.header, frame.body, again);
}

TEST_CASE("request: limits of texts and counts are kept, and named", "[request]") {
  const std::string name(engine::limits::name_bytes_max + 1, 'n');
  CollectionRequest collection;
  collection.collection = std::string_view(name).substr(1);
  CHECK(refused(Verb::drop_collection, collection).ok());
  collection.collection = name;
  CHECK(refused(Verb::drop_collection, collection).field() == "collection");

  const std::string filter(engine::limits::filter_bytes_max + 1, 'f');
  CountRequest count;
  count.filter = filter;
  CHECK(refused(Verb::count, count).field() == "filter");

  SearchRequest search;
  search.queries.resize(engine::limits::queries_max);
  CHECK(refused(Verb::search, search).ok());
  search.queries.emplace_back();
  CHECK(refused(Verb::search, search).field() == "queries");

  HelloRequest hello;
  const std::string token(limits::token_bytes_max + 1, 't');
  hello.token = token;
  CHECK(refused(Verb::hello, hello).field() == "token");

  CreateRequest create;
  create.options.dim = engine::limits::dim_max + 1;
  CHECK(refused(Verb::create_collection, create).field() == "dim");

  ScanRequest scan;
  scan.page_rows = 0;
  CHECK(refused(Verb::scan, scan).field() == "page_rows");
  scan.page_rows = engine::limits::page_rows_max + 1;
  CHECK(refused(Verb::scan, scan).field() == "page_rows");

  GetRequest get;
  CHECK(refused(Verb::multi_get, get).ok());
  CHECK(refused(Verb::get, get).field() == "ids");
  get.ids = {RowId(1), RowId(2)};
  CHECK(refused(Verb::exists, get).field() == "ids");
  get.ids = {RowId(std::string(256, 'i'))};
  CHECK(refused(Verb::get, get).field() == "ids");
}

}  // namespace
}  // namespace vecserve::net
