// A whole connection from any bytes: the reader, the hello, every verb on a real database in memory
// and its serving core, all but the socket. The first byte chooses how the stream is cut and
// whether a hello is said first; checksums are set right where a header begins. Always holds:
// whatever comes out are whole reply frames, and when all is over nothing is unanswered.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "net/conversation.h"
#include "net/serving.h"
#include "tests/support/sealed_frames.h"

namespace {

using namespace vecserve;
using namespace vecserve::net;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

// Made once: opening a database for each input would be all that is measured.
struct House {
  House() {
    DatabaseOptions options;
    options.in_memory = true;
    options.threads = 1;
    database.emplace(Database::open("", options).value());
    require(serving.start().ok());
    ServerOptions bounds;
    bounds.frame_bytes_max = 16'384;
    shared = std::make_shared<ServerShared>(bounds, *database, serving, clock);
  }
  // An input may have dropped what the next one asks.
  void tidy_up() {
    CollectionOptions shape;
    shape.dim = 4;
    static_cast<void>(database->create_collection("books", shape));
    static_cast<void>(database->drop_collection("films"));
  }

  engine::SystemClock clock;
  std::optional<Database> database;
  Serving serving{ServingOptions(), clock};
  std::shared_ptr<ServerShared> shared;
};

bool give(Conversation& talk, FrameReader& reader, std::string_view bytes, std::size_t piece) {
  for (;;) {
    Frame frame;
    const FrameReader::Next next = reader.next(frame);
    if (next == FrameReader::Next::broken) {
      talk.on_fault(reader.fault(), frame.header);
      return false;
    }
    if (next == FrameReader::Next::frame) {
      if (!talk.on_frame(std::move(frame))) return false;
      reader.set_body_bytes_max(talk.body_bytes_max());
      continue;
    }
    if (bytes.empty()) return true;
    const std::span<char> space = reader.space();
    const std::size_t count = std::min({space.size(), bytes.size(), piece});
    std::memcpy(space.data(), bytes.data(), count);
    reader.filled(count);
    bytes.remove_prefix(count);
  }
}

void check_replies(std::string_view bytes) {
  while (!bytes.empty()) {
    require(bytes.size() >= kHeaderBytes);
    FrameHeader header;
    require(decode_header(std::span<const char, kHeaderBytes>(bytes.data(), kHeaderBytes),
                          header) == FrameFault::none);
    require(bytes.size() - kHeaderBytes >= header.body_bytes);
    Reply reply;
    // A refused request may have carried any verb; only those that are known can be read.
    const std::string_view body = bytes.substr(kHeaderBytes, header.body_bytes);
    if (is_known(header.verb)) require(decode_reply(header, body, reply).ok());
    bytes.remove_prefix(kHeaderBytes + header.body_bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  static House house;
  house.tidy_up();
  const std::size_t piece = 1 + data[0] % 64;
  const bool greet = (data[0] & 0x80) != 0;
  const std::string given(reinterpret_cast<const char*>(data) + 1, size - 1);
  auto talk = std::make_shared<Conversation>(*house.shared, "fuzz", [] {});
  FrameReader reader(limits::hello_bytes_max);
  std::string hello;
  require(encode_request({.verb = Verb::hello}, HelloRequest(), 4'096, hello).ok());
  if (!greet || give(*talk, reader, hello, hello.size())) {
    static_cast<void>(
        give(*talk, reader, test::sealed_frames(given, test::FrameStart::right), piece));
  }
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  require(house.serving.wait_idle(until));
  std::string bytes;
  while (talk->outbox().take(bytes)) {
    check_replies(bytes);
    talk->outbox().sent(bytes.size());
    talk->drained();
    require(house.serving.wait_idle(until));
  }
  talk->close();
  require(house.serving.wait_idle(until));
  require(talk->unanswered() == 0);
  return 0;
}
