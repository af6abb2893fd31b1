// Bodies of replies from any bytes, the first two of which are verb and flags: a client that meets
// a broken or hostile server reads nothing outside, and what it accepts is encoded to bytes that
// decode to the same reply again.
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/reply.h"

namespace {

using namespace vecserve;
using namespace vecserve::net;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

std::string body_of(const Reply& reply) {
  std::string bytes;
  encode_reply({.verb = reply.verb}, reply.served, reply.body, bytes);
  return bytes.substr(kHeaderBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  FrameHeader header;
  header.verb = static_cast<Verb>(data[0]);
  header.flags = static_cast<std::uint16_t>(kFlagReply | (data[1] & kFlagError));
  const std::string body(reinterpret_cast<const char*>(data) + 2, size - 2);
  Reply reply;
  const Status status = decode_reply(header, body, reply);
  if (!status.ok()) {
    require(status.code() == StatusCode::data_loss);
    return 0;
  }
  const std::string once = body_of(reply);
  Reply again;
  require(decode_reply(header, once, again).ok());
  require(body_of(again) == once);
  return 0;
}
