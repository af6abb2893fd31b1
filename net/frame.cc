// The header byte by byte, as PROTOCOL.md has it, and the reader that follows a stream. Between the
// socket and request.cc or reply.cc. Any thread; a FrameReader one at a time.
// Always holds: a broken reader stays broken, and what it hands out has passed both checksums.
#include "net/frame.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/coding.h"

namespace vecserve::net {

namespace {

constexpr std::size_t kChecksumAt = kHeaderBytes - sizeof(std::uint32_t);

struct VerbName {
  Verb verb;
  std::string_view name;
};

constexpr std::array<VerbName, kVerbs.size()> kVerbNames = {{
    {Verb::hello, "hello"},
    {Verb::ping, "ping"},
    {Verb::cancel, "cancel"},
    {Verb::create_collection, "create_collection"},
    {Verb::drop_collection, "drop_collection"},
    {Verb::list_collections, "list_collections"},
    {Verb::collection_options, "collection_options"},
    {Verb::collection_stats, "collection_stats"},
    {Verb::upsert, "upsert"},
    {Verb::insert, "insert"},
    {Verb::update, "update"},
    {Verb::erase, "erase"},
    {Verb::erase_where, "erase_where"},
    {Verb::search, "search"},
    {Verb::range_search, "range_search"},
    {Verb::get, "get"},
    {Verb::multi_get, "multi_get"},
    {Verb::exists, "exists"},
    {Verb::count, "count"},
    {Verb::scan, "scan"},
    {Verb::database_stats, "database_stats"},
    {Verb::checkpoint, "checkpoint"},
    {Verb::verify, "verify"},
    {Verb::restore, "restore"},
}};

void write_header(const FrameHeader& header, char* const to) {
  char* at = to;
  const auto put = [&at](auto value) {
    std::memcpy(at, &value, sizeof value);
    at += sizeof value;
  };
  put(kMagicFirst);
  put(kMagicSecond);
  put(header.version);
  put(static_cast<std::uint8_t>(header.verb));
  put(header.flags);
  put(static_cast<std::uint8_t>(header.priority));
  put(std::uint8_t{0});
  put(header.request_id);
  put(header.body_bytes);
  put(header.deadline_us);
  put(header.body_checksum);
  VECSERVE_DCHECK(at == to + kChecksumAt);
  put(frame_checksum(std::string_view(to, kChecksumAt)));
}

}  // namespace

bool is_known(Verb verb) {
  return std::find(kVerbs.begin(), kVerbs.end(), verb) != kVerbs.end();
}

std::string_view to_string(Verb verb) {
  for (const VerbName& entry : kVerbNames) {
    if (entry.verb == verb) return entry.name;
  }
  return "unknown";
}

bool is_write(Verb verb) {
  return verb >= Verb::upsert && verb <= Verb::erase_where;
}

std::string_view to_string(FrameFault fault) {
  switch (fault) {
    case FrameFault::none:
      return "none";
    case FrameFault::magic:
      return "these bytes are not of this protocol";
    case FrameFault::checksum:
      return "a checksum does not agree: the bytes were damaged on the way";
    case FrameFault::version:
      return "this version of the protocol is not spoken here";
    case FrameFault::flags:
      return "an unknown flag that may not be ignored";
    case FrameFault::priority:
      return "there is no such class";
    case FrameFault::oversized:
      return "the body is larger than the limit that the hello announced";
  }
  return "unknown";
}

std::uint32_t frame_checksum(std::string_view bytes) {
  return static_cast<std::uint32_t>(XXH3_64bits(bytes.data(), bytes.size()));
}

std::size_t begin_frame(std::string& out) {
  const std::size_t begin = out.size();
  out.append(kHeaderBytes, '\0');
  return begin;
}

void end_frame(const FrameHeader& header, std::size_t begin, std::string& out) {
  const std::string_view body = std::string_view(out).substr(begin + kHeaderBytes);
  VECSERVE_CHECK(body.size() <= limits::frame_bytes_ceiling);
  FrameHeader full = header;
  full.body_bytes = static_cast<std::uint32_t>(body.size());
  full.body_checksum = frame_checksum(body);
  write_header(full, out.data() + begin);
}

void append_frame(const FrameHeader& header, std::string_view body, std::string& out) {
  const std::size_t begin = begin_frame(out);
  out.append(body);
  end_frame(header, begin, out);
}

FrameFault decode_header(std::span<const char, kHeaderBytes> bytes, FrameHeader& header) {
  engine::ByteReader reader(std::string_view(bytes.data(), bytes.size()));
  std::uint8_t first = 0, second = 0, verb = 0, priority = 0, reserved = 0;
  std::uint32_t checksum = 0;
  const bool all = reader.fixed(first) && reader.fixed(second) && reader.fixed(header.version) &&
                   reader.fixed(verb) && reader.fixed(header.flags) && reader.fixed(priority) &&
                   reader.fixed(reserved) && reader.fixed(header.request_id) &&
                   reader.fixed(header.body_bytes) && reader.fixed(header.deadline_us) &&
                   reader.fixed(header.body_checksum) && reader.fixed(checksum);
  VECSERVE_DCHECK(all);
  header.verb = static_cast<Verb>(verb);
  header.priority = static_cast<Priority>(std::min<std::uint8_t>(priority, kPriorityCount - 1));
  if (!all || first != kMagicFirst || second != kMagicSecond) return FrameFault::magic;
  if (checksum != frame_checksum(std::string_view(bytes.data(), kChecksumAt))) {
    return FrameFault::checksum;
  }
  if (header.version < kVersionMin || header.version > kVersionMax) return FrameFault::version;
  const auto unknown = static_cast<std::uint16_t>(header.flags & ~kFlagsKnown);
  if ((unknown & kFlagsCritical) != 0 || reserved != 0) return FrameFault::flags;
  if (priority >= kPriorityCount) return FrameFault::priority;
  return FrameFault::none;
}

FrameReader::FrameReader(std::size_t body_bytes_max)
    : body_bytes_max_(body_bytes_max), buffer_(limits::read_bytes_first) {}

std::span<char> FrameReader::space() {
  if (fault_ != FrameFault::none) return {};
  if (in_body_) {
    // The body is filled in place. It grows to at most twice what has arrived, so a peer that
    // announces much and sends little holds little.
    const std::size_t grown = std::max(limits::read_bytes, 2 * body_filled_);
    const std::size_t size = std::min<std::size_t>(header_.body_bytes, grown);
    if (body_.size() < size) body_.resize(size);
    return {body_.data() + body_filled_, body_.size() - body_filled_};
  }
  if (begin_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  if (buffer_was_full_ && buffer_.size() < limits::read_bytes) {
    buffer_.resize(std::min(2 * buffer_.size(), limits::read_bytes));
  }
  buffer_was_full_ = false;
  return {buffer_.data() + end_, buffer_.size() - end_};
}

void FrameReader::filled(std::size_t bytes) {
  if (in_body_) {
    VECSERVE_CHECK(bytes <= body_.size() - body_filled_);
    body_filled_ += bytes;
  } else {
    VECSERVE_CHECK(bytes <= buffer_.size() - end_);
    end_ += bytes;
    buffer_was_full_ = end_ == buffer_.size();
  }
}

FrameReader::Next FrameReader::fail(FrameFault fault, Frame& frame) {
  fault_ = fault;
  const bool header_known = in_body_ || fault == FrameFault::version ||
                            fault == FrameFault::oversized || fault == FrameFault::flags ||
                            fault == FrameFault::priority;
  frame.header = header_known ? header_ : FrameHeader();
  frame.body.clear();
  buffer_.clear();
  body_.clear();
  begin_ = end_ = body_filled_ = 0;
  in_body_ = false;
  return Next::broken;
}

FrameReader::Next FrameReader::take_header(Frame& frame) {
  // Another protocol is told from its first byte, not only after 32 of them.
  if (begin_ < end_ && static_cast<std::uint8_t>(buffer_[begin_]) != kMagicFirst) {
    return fail(FrameFault::magic, frame);
  }
  if (end_ - begin_ < kHeaderBytes) return Next::need_more;
  const FrameFault fault = decode_header(
      std::span<const char, kHeaderBytes>(buffer_.data() + begin_, kHeaderBytes), header_);
  if (fault != FrameFault::none) return fail(fault, frame);
  if (header_.body_bytes > body_bytes_max_) return fail(FrameFault::oversized, frame);
  begin_ += kHeaderBytes;
  const std::size_t here = std::min<std::size_t>(end_ - begin_, header_.body_bytes);
  body_.assign(buffer_.data() + begin_, here);
  body_filled_ = here;
  begin_ += here;
  in_body_ = true;
  return take_body(frame);
}

FrameReader::Next FrameReader::take_body(Frame& frame) {
  if (body_filled_ < header_.body_bytes) return Next::need_more;
  if (frame_checksum(body_) != header_.body_checksum) return fail(FrameFault::checksum, frame);
  frame.header = header_;
  frame.body = std::move(body_);
  body_.clear();
  body_filled_ = 0;
  in_body_ = false;
  return Next::frame;
}

FrameReader::Next FrameReader::next(Frame& frame) {
  if (fault_ != FrameFault::none) return Next::broken;
  return in_body_ ? take_body(frame) : take_header(frame);
}

}  // namespace vecserve::net
