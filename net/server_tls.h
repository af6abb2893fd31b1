// The TLS settings of a server as OpenSSL wants them. Made at start and again on reload; sessions
// keep the one they began with. Any thread. Always holds: TLS 1.2 or later, no renegotiation, no
// compression, and a key that does not fit its certificate is refused here, not at the first
// client.
#pragma once

#include <asio/ssl.hpp>
#include <memory>

#include "net/server_options.h"
#include "vecserve/status.h"

namespace vecserve::net {

// A null pointer when no certificate is set. invalid_argument names the file's option.
[[nodiscard]] Result<std::shared_ptr<asio::ssl::context>> make_tls_context(
    const ServerOptions& options);

}  // namespace vecserve::net
