// Where a server is, taken out of the text that a user gives. The first step of a client.
// Pure, any thread. Always holds: a parsed address has either a path, or a host and a port that is
// not 0.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "vecserve/status.h"

namespace vecserve::net {

struct ClientAddress {
  std::string host;  // name or number, without brackets
  std::uint16_t port = 0;
  std::string path;  // of a Unix socket; "" for TCP

  // Whether what is sent stays on this machine: a Unix socket, "localhost" or a loopback number.
  [[nodiscard]] bool is_local() const;
};

// "HOST:PORT", "[IPV6]:PORT" or "unix:/PATH"; a missing port is kDefaultPort. invalid_argument
// names the field address.
[[nodiscard]] Result<ClientAddress> parse_client_address(std::string_view text);

}  // namespace vecserve::net
