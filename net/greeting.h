// The hello of a connection: which version both speak, and who the client is. Judged before
// anything else of the connection is decoded. Asked by the conversation on its io thread; the guard
// and the tokens are shared. Always holds: a refused hello leaves the greeting as it was, and the
// error says no more than the client must know.
#pragma once

#include <cstdint>
#include <string>

#include "net/frame.h"
#include "net/reply.h"
#include "net/server_shared.h"
#include "net/tokens.h"

namespace vecserve::net {

struct Greeting {
  Identity identity;
  std::uint8_t version = kVersionMax;
};

// error.status is ok if the frame is a hello that is accepted.
[[nodiscard]] ErrorReply judge_hello(ServerShared& shared, const std::string& address,
                                     const Frame& frame, Greeting& greeting);

// What the server says of itself then.
[[nodiscard]] HelloReply hello_of(const ServerOptions& options, const Greeting& greeting);

}  // namespace vecserve::net
