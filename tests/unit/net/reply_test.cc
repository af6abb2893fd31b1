// Replies: each answer there and back, golden bytes of an error, slices of a batch, what a client
// refuses to believe, every prefix. One thread. Always holds: a reply that cannot be read gives
// data_loss, never a half-filled answer that looks whole.
#include "net/reply.h"

#include <catch2/catch.hpp>

#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

using test::hex;

Frame frame_of(const std::string& bytes) {
  FrameHeader header;
  REQUIRE(decode_header(std::span<const char, kHeaderBytes>(bytes.data(), kHeaderBytes), header) ==
          FrameFault::none);
  return {header, bytes.substr(kHeaderBytes)};
}

ServedStages served() {
  ServedStages stages;
  stages.queue_ns = 1;
  stages.batch_ns = 2;
  stages.scan_ns = 3;
  stages.rescore_ns = 4;
  stages.fetch_ns = 5;
  stages.run_ns = 6;
  stages.send_ns = 7;
  stages.total_ns = 8;
  stages.batch_size = 9;
  stages.batch_queries = 10;
  stages.certified = true;
  stages.backend = "cpu/avx512";
  stages.load = {0.5, 11, 12, 13, 14};
  return stages;
}

TEST_CASE("reply: every verb's answer comes back as it was, byte by byte", "[reply]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.replies()) {
    CAPTURE(std::string(to_string(verb)));
    std::string bytes;
    encode_reply({.verb = verb, .request_id = 42, .more = verb == Verb::scan}, served(), body,
                 bytes);
    const Frame frame = frame_of(bytes);
    CHECK(frame.header.is_reply());
    CHECK_FALSE(frame.header.is_error());
    Reply reply;
    const Status status = decode_reply(frame.header, frame.body, reply);
    CAPTURE(status.to_string());
    REQUIRE(status.ok());
    CHECK(reply.request_id == 42);
    CHECK(reply.verb == verb);
    CHECK(reply.more == (verb == Verb::scan));
    CHECK(reply.body.index() == body.index());
    CHECK(reply.served.backend == "cpu/avx512");
    CHECK(reply.served.total_ns == 8);
    CHECK(reply.served.load.wait_ns == 14);
    std::string again;
    encode_reply({.verb = verb, .request_id = 42, .more = reply.more}, reply.served, reply.body,
                 again);
    CHECK(hex(again) == hex(bytes));
  }
}

TEST_CASE("reply: samples cover every verb", "[reply]") {
  const test::WireSamples samples;
  for (const Verb verb : kVerbs) {
    bool found = false;
    for (const auto& sample : samples.replies()) found = found || sample.first == verb;
    CAPTURE(std::string(to_string(verb)));
    CHECK(found);
  }
}

TEST_CASE("reply: an error carries code, text, field, waits and versions", "[reply]") {
  ErrorReply error;
  error.status = Status(StatusCode::resource_exhausted, "no", "k");
  error.retry.predicted_wait = std::chrono::microseconds(300);
  error.retry.retry_after = std::chrono::microseconds(5);
  error.version_min = 1;
  error.version_max = 1;
  std::string bytes;
  encode_error_reply({.verb = Verb::search, .request_id = 3}, ServedStages(), error, bytes);
  const Frame frame = frame_of(bytes);
  CHECK(frame.header.flags == (kFlagReply | kFlagError));
  CHECK(hex(frame.body) ==
        "0805"            // 2 code
        "0e020000006e6f"  // 3 message
        "12010000006b"    // 4 field
        "14ac02"          // 5 wait 300 us
        "1805"            // 6 after 5 us
        "1c012001"        // 7, 8 versions
        "062a000000"      // 1 served, 42 bytes
        "040008000c001000140018001c00200024002800"
        "3611000000"  // 13 load, 17 bytes
        "05000000000000000008000c0010001400");
  Reply reply;
  REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
  const auto& again = std::get<ErrorReply>(reply.body);
  CHECK(again.status.code() == StatusCode::resource_exhausted);
  CHECK(again.status.message() == "no");
  CHECK(again.status.field() == "k");
  CHECK(again.retry.predicted_wait.count() == 300);
  CHECK(again.retry.retry_after.count() == 5);
  CHECK(again.version_max == 1);
}

TEST_CASE("reply: with a timer, encoding itself is counted", "[reply]") {
  engine::ManualClock clock;
  const auto now = clock.steady_now();
  ReplyEnvelope envelope;
  envelope.timer = {&clock, now - std::chrono::milliseconds(5), now - std::chrono::milliseconds(2)};
  std::string bytes;
  const ServedStages said = encode_reply(envelope, served(), EmptyReply(), bytes);
  CHECK(said.send_ns == 2'000'000);
  CHECK(said.total_ns == 5'000'000);
  const Frame frame = frame_of(bytes);
  Reply reply;
  REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
  CHECK(reply.served.send_ns == 2'000'000);
  CHECK(reply.served.queue_ns == 1);
}

TEST_CASE("reply: a slice of a batch holds its own queries only", "[reply]") {
  SearchResult batch;
  for (std::uint64_t i = 0; i < 6; ++i) {
    Neighbor neighbor;
    neighbor.id = RowId(i);
    neighbor.distance = static_cast<double>(i);
    batch.neighbors.push_back(neighbor);
  }
  batch.offsets = {0, 2, 2, 5, 6};
  batch.certified = {1, 0, 1, 1};
  batch.truncated = {0, 0, 1, 0};
  std::string bytes;
  encode_search_reply({.verb = Verb::search, .request_id = 1}, ServedStages(), {&batch, 1, 2},
                      bytes);
  const Frame frame = frame_of(bytes);
  Reply reply;
  REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
  const auto& result = std::get<SearchResult>(reply.body);
  REQUIRE(result.query_count() == 2);
  CHECK(result.of(0).empty());
  REQUIRE(result.of(1).size() == 3);
  CHECK(result.of(1)[0].id == RowId(2));
  CHECK(result.of(1)[2].distance == 4.0);
  CHECK(result.certified == std::vector<std::uint8_t>{0, 1});
  CHECK(result.truncated == std::vector<std::uint8_t>{0, 1});
}

TEST_CASE("reply: an explained search says what it read, others do not", "[reply]") {
  SearchResult found;
  found.offsets = {0};
  found.reads = {1, 2, 3, 4, 5};
  found.stages.prepare_ns = 10;
  for (const bool explained : {false, true}) {
    if (explained) found.times = {6, 7, 8, 9};
    std::string bytes;
    encode_reply({.verb = Verb::search, .request_id = 1}, ServedStages(), found, bytes);
    const Frame frame = frame_of(bytes);
    Reply reply;
    REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
    const auto& told = std::get<SearchResult>(reply.body);
    const SearchReads& reads = told.reads;
    const SearchTimes& times = told.times;
    CHECK(std::vector<std::uint64_t>{reads.sketch, reads.sketch_fine, reads.coarse, reads.graph,
                                     reads.full, times.sketch_ns, times.coarse_ns, times.graph_ns,
                                     times.full_ns, told.stages.prepare_ns} ==
          (explained ? std::vector<std::uint64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
                     : std::vector<std::uint64_t>(10, 0)));
  }
}

TEST_CASE("reply: rows that do not exist keep their place", "[reply]") {
  RowsReply rows;
  rows.rows.resize(3);
  rows.rows[1].emplace().id = RowId("there");
  std::string bytes;
  encode_reply({.verb = Verb::multi_get, .request_id = 1}, ServedStages(), rows, bytes);
  const Frame frame = frame_of(bytes);
  Reply reply;
  REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
  const auto& again = std::get<RowsReply>(reply.body);
  REQUIRE(again.rows.size() == 3);
  CHECK_FALSE(again.rows[0].has_value());
  REQUIRE(again.rows[1].has_value());
  CHECK(again.rows[1]->id == RowId("there"));
  CHECK_FALSE(again.rows[2].has_value());
}

TEST_CASE("reply: what a server may not say is data loss", "[reply]") {
  Reply reply;
  FrameHeader header;
  header.verb = Verb::ping;
  CHECK(decode_reply(header, "", reply).code() == StatusCode::data_loss);
  header.flags = kFlagReply;
  CHECK(decode_reply(header, "", reply).ok());
  CHECK(decode_reply(header, "\x01", reply).code() == StatusCode::data_loss);
  header.verb = Verb{99};
  CHECK(decode_reply(header, "", reply).code() == StatusCode::data_loss);
  header.verb = Verb::ping;
  header.flags = kFlagReply | kFlagError;
  CHECK(decode_reply(header, std::string("\x08\x00", 2), reply).code() == StatusCode::data_loss);
}

TEST_CASE("reply: every prefix of a body is data loss or reads as fewer fields", "[reply]") {
  const test::WireSamples samples;
  for (const auto& [verb, body] : samples.replies()) {
    CAPTURE(std::string(to_string(verb)));
    std::string bytes;
    encode_reply({.verb = verb, .request_id = 1}, served(), body, bytes);
    const Frame frame = frame_of(bytes);
    for (std::size_t size = 0; size <= frame.body.size(); ++size) {
      const std::string prefix = frame.body.substr(0, size);
      Reply reply;
      const Status status = decode_reply(frame.header, prefix, reply);
      if (!status.ok()) CHECK(status.code() == StatusCode::data_loss);
    }
  }
}

}  // namespace
}  // namespace vecserve::net
