// The recorded session of net/PROTOCOL.md, read from the document itself: every frame of it must be
// whole, say what the text around it says, and be encoded to the same bytes again. So the document
// and the code cannot drift apart. One thread.
#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "net/reply.h"
#include "net/request.h"
#include "tests/support/wire_samples.h"

namespace vecserve::net {
namespace {

struct Recorded {
  bool client = false;
  std::string hex{};
};

std::vector<Recorded> recorded_session() {
  std::ifstream file(std::string(VECSERVE_SOURCE_DIR) + "/net/PROTOCOL.md");
  REQUIRE(file.good());
  std::vector<Recorded> frames;
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("```")) inside = false;
    const bool begins = line.starts_with("C> ") || line.starts_with("S> ");
    if (begins) frames.push_back({line[0] == 'C', ""});
    inside = inside || begins;
    if (inside && line.size() > 3) frames.back().hex += line.substr(3);
  }
  return frames;
}

std::string bytes_of(const std::string& hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

Frame frame_of(const std::string& bytes) {
  FrameReader reader(limits::frame_bytes_max_default);
  REQUIRE(reader.space().size() >= bytes.size());
  std::memcpy(reader.space().data(), bytes.data(), bytes.size());
  reader.filled(bytes.size());
  Frame frame;
  REQUIRE(reader.next(frame) == FrameReader::Next::frame);
  CHECK_FALSE(reader.mid_frame());
  return frame;
}

TEST_CASE("protocol: the recorded session is what the code says", "[protocol]") {
  const std::vector<Recorded> session = recorded_session();
  REQUIRE(session.size() == 10);
  std::vector<Verb> verbs;
  for (const Recorded& recorded : session) {
    CAPTURE(recorded.hex);
    const Frame frame = frame_of(bytes_of(recorded.hex));
    const FrameHeader& header = frame.header;
    CHECK(header.is_reply() != recorded.client);
    std::string again;
    if (recorded.client) {
      verbs.push_back(header.verb);
      RequestBody request;
      REQUIRE(decode_request(header, frame.body, request).ok());
      const RequestEnvelope envelope = {header.verb, header.request_id, header.priority,
                                        header.deadline_us};
      REQUIRE(encode_request(envelope, request, limits::frame_bytes_max_default, again).ok());
    } else {
      Reply reply;
      REQUIRE(decode_reply(header, frame.body, reply).ok());
      encode_reply({reply.verb, reply.request_id, reply.more}, reply.served, reply.body, again);
    }
    CHECK(test::hex(again) == recorded.hex);
  }
  CHECK(verbs == std::vector<Verb>{Verb::hello, Verb::create_collection, Verb::upsert, Verb::search,
                                   Verb::count});
}

TEST_CASE("protocol: the recorded session's search finds its row", "[protocol]") {
  const std::vector<Recorded> session = recorded_session();
  REQUIRE(session.size() == 10);
  const Frame frame = frame_of(bytes_of(session[7].hex));
  Reply reply;
  REQUIRE(decode_reply(frame.header, frame.body, reply).ok());
  const auto& result = std::get<SearchResult>(reply.body);
  REQUIRE(result.neighbors.size() == 1);
  CHECK(result.neighbors[0].id == RowId(7));
  CHECK(result.neighbors[0].payload == R"({"year":1959})");
  CHECK(reply.served.scan_ns == 5'000);
  const Frame last = frame_of(bytes_of(session[9].hex));
  REQUIRE(decode_reply(last.header, last.body, reply).ok());
  CHECK(std::get<ErrorReply>(reply.body).status.code() == StatusCode::not_found);
}

}  // namespace
}  // namespace vecserve::net
