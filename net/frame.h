// Frames: the 32 bytes in front of every body, and the reader that cuts a stream of bytes into
// frames. First in the path of a request on either side: socket -> FrameReader -> request or reply.
// A FrameReader belongs to one connection and one thread at a time; the functions are pure.
// Always holds: no length is believed before it was compared with a limit and the header's checksum
// agreed, and memory for a body grows with what has arrived, never with what was announced.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/limits.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"

namespace vecserve::net {

inline constexpr std::size_t kHeaderBytes = 32;

// 0xF7 begins no UTF-8 text, no TLS record and no HTTP or Redis request, so the first byte of a
// connection tells this protocol from others on the same port.
inline constexpr std::uint8_t kMagicFirst = 0xF7;
inline constexpr std::uint8_t kMagicSecond = 'V';

// The versions that this build speaks.
inline constexpr std::uint8_t kVersionMin = 1;
inline constexpr std::uint8_t kVersionMax = 1;

// What is asked. A reply carries the verb of its request. Numbers never change and are never used
// again.
enum class Verb : std::uint8_t {
  hello = 1,
  ping = 2,
  cancel = 3,
  create_collection = 16,
  drop_collection = 17,
  list_collections = 18,
  collection_options = 19,
  collection_stats = 20,
  upsert = 32,
  insert = 33,
  update = 34,
  erase = 35,
  erase_where = 36,
  search = 48,
  range_search = 49,
  get = 64,
  multi_get = 65,
  exists = 66,
  count = 67,
  scan = 68,
  database_stats = 80,
  checkpoint = 81,
  verify = 82,
  restore = 83,
};

inline constexpr std::array<Verb, 24> kVerbs = {Verb::hello,
                                                Verb::ping,
                                                Verb::cancel,
                                                Verb::create_collection,
                                                Verb::drop_collection,
                                                Verb::list_collections,
                                                Verb::collection_options,
                                                Verb::collection_stats,
                                                Verb::upsert,
                                                Verb::insert,
                                                Verb::update,
                                                Verb::erase,
                                                Verb::erase_where,
                                                Verb::search,
                                                Verb::range_search,
                                                Verb::get,
                                                Verb::multi_get,
                                                Verb::exists,
                                                Verb::count,
                                                Verb::scan,
                                                Verb::database_stats,
                                                Verb::checkpoint,
                                                Verb::verify,
                                                Verb::restore};

[[nodiscard]] bool is_known(Verb verb);
[[nodiscard]] std::string_view to_string(Verb verb);  // "search"; "unknown" if it is not known
[[nodiscard]] bool is_write(Verb verb);               // changes rows: upsert ... erase_where

// Flags. Those of the high byte may be ignored by whoever does not know them; an unknown one of the
// low byte makes the frame broken.
inline constexpr std::uint16_t kFlagReply = 1;  // from the server
inline constexpr std::uint16_t kFlagError = 2;  // the body is an error
inline constexpr std::uint16_t kFlagMore = 4;   // further frames answer the same request
inline constexpr std::uint16_t kFlagsKnown = kFlagReply | kFlagError | kFlagMore;
inline constexpr std::uint16_t kFlagsCritical = 0x00FF;

struct FrameHeader {
  std::uint8_t version = kVersionMax;
  Verb verb = Verb::ping;
  std::uint16_t flags = 0;
  Priority priority = Priority::interactive;  // 0 in replies
  std::uint64_t request_id = 0;               // chosen by the client; unique among its unanswered
  std::uint32_t body_bytes = 0;
  std::uint32_t deadline_us = 0;  // from the arrival of the last byte; 0: none; 0 in replies
  std::uint32_t body_checksum = 0;

  [[nodiscard]] bool is_reply() const { return (flags & kFlagReply) != 0; }
  [[nodiscard]] bool is_error() const { return (flags & kFlagError) != 0; }
  [[nodiscard]] bool has_more() const { return (flags & kFlagMore) != 0; }
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

struct Frame {
  FrameHeader header;
  std::string body;
};

// Why bytes are no frame. All but `version` mean that the stream cannot be followed any further.
enum class FrameFault : std::uint8_t {
  none = 0,
  magic,      // another protocol
  checksum,   // damaged on the way, header or body
  version,    // a version that this build does not speak; the header is still valid
  flags,      // a flag that may not be ignored, or a reserved byte that is not 0
  priority,   // no such class
  oversized,  // the body is larger than allowed here
};

[[nodiscard]] std::string_view to_string(FrameFault fault);

// Low 32 bits of XXH3-64.
[[nodiscard]] std::uint32_t frame_checksum(std::string_view bytes);

// Appends header and body; body_bytes and body_checksum of `header` are computed.
void append_frame(const FrameHeader& header, std::string_view body, std::string& out);

// For bodies that are written in place: begin_frame appends room for a header and returns where it
// stands in `out`; the caller appends the body; end_frame fills the header in.
[[nodiscard]] std::size_t begin_frame(std::string& out);
void end_frame(const FrameHeader& header, std::size_t begin, std::string& out);

// Reads exactly kHeaderBytes. With FrameFault::version, `header` is filled in all the same.
[[nodiscard]] FrameFault decode_header(std::span<const char, kHeaderBytes> bytes,
                                       FrameHeader& header);

// Cuts the bytes of one connection into frames, however they arrive.
class FrameReader {
 public:
  enum class Next : std::uint8_t { need_more, frame, broken };

  explicit FrameReader(std::size_t body_bytes_max);

  // From the next header on.
  void set_body_bytes_max(std::size_t body_bytes_max) { body_bytes_max_ = body_bytes_max; }

  // Where the next bytes from the socket go; never empty until it is broken. Valid until the next
  // call of anything here. Call next() until need_more before asking again.
  [[nodiscard]] std::span<char> space();
  void filled(std::size_t bytes);  // at most what space() gave

  // Takes the next whole frame. `broken` is for ever; fault() says why. After FrameFault::version
  // and oversized, `frame.header` says what was asked.
  [[nodiscard]] Next next(Frame& frame);

  [[nodiscard]] FrameFault fault() const { return fault_; }

  // Whether a frame has begun, and the length of its body if that is known.
  [[nodiscard]] bool mid_frame() const { return in_body_ || begin_ != end_; }
  [[nodiscard]] std::size_t body_announced() const { return in_body_ ? header_.body_bytes : 0; }

  // Bytes of memory that arriving frames take.
  [[nodiscard]] std::size_t held() const { return buffer_.size() + body_.size(); }

 private:
  [[nodiscard]] Next fail(FrameFault fault, Frame& frame);
  [[nodiscard]] Next take_header(Frame& frame);
  [[nodiscard]] Next take_body(Frame& frame);

  std::size_t body_bytes_max_;
  FrameFault fault_ = FrameFault::none;

  // Bytes that are not looked at yet: buffer_[begin_, end_).
  // It begins small, and grows to limits::read_bytes for those who send much at once.
  std::vector<char> buffer_;
  bool buffer_was_full_ = false;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;

  // The frame whose header is known: body_[0, body_filled_) has arrived.
  bool in_body_ = false;
  FrameHeader header_;
  std::string body_;
  std::size_t body_filled_ = 0;
};

}  // namespace vecserve::net
