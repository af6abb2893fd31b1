// Bodies of requests from any bytes, the first of which is the verb: decoding never reads outside,
// and what it accepts is encoded to bytes that decode to the same request again. The deepest that a
// stranger's bytes get before the engine judges them.
#include <cstddef>
#include <cstdint>
#include <string>

#include "net/request.h"

namespace {

using namespace vecserve;
using namespace vecserve::net;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

// The body that encoding makes of a request.
std::string body_of(Verb verb, const RequestBody& request) {
  std::string bytes;
  require(encode_request({.verb = verb}, request, limits::frame_bytes_ceiling, bytes).ok());
  return bytes.substr(kHeaderBytes);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  FrameHeader header;
  header.verb = static_cast<Verb>(data[0]);
  const std::string body(reinterpret_cast<const char*>(data) + 1, size - 1);
  RequestBody request;
  const Status status = decode_request(header, body, request);
  if (!status.ok()) {
    require(!status.field().empty());
    return 0;
  }
  require(fits(header.verb, request));
  const std::string once = body_of(header.verb, request);
  RequestBody again;
  require(decode_request(header, once, again).ok());
  require(body_of(header.verb, again) == once);
  return 0;
}
