// See client_address.h.
// By hand, since the system's resolver would take names for numbers. Pure, any thread.
// Always holds: nothing is resolved here, so nothing waits.
#include "net/client_address.h"

#include <charconv>

#include "vecserve/client.h"

namespace vecserve::net {
namespace {

// The longest path that a Unix socket's address holds, its end included.
constexpr std::size_t kUnixPathMax = 107;
constexpr std::size_t kHostMax = 253;  // a name in the domain name system

Status wrong(const char* what) {
  return Status::invalid_argument("address", what);
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  return parsed.ec == std::errc() && parsed.ptr == text.data() + text.size() && port != 0;
}

}  // namespace

bool ClientAddress::is_local() const {
  return !path.empty() || host == "localhost" || host == "::1" || host.starts_with("127.");
}

Result<ClientAddress> parse_client_address(std::string_view text) {
  ClientAddress address;
  if (text.starts_with("unix:")) {
    address.path = std::string(text.substr(5));
    if (address.path.empty() || address.path.size() > kUnixPathMax) {
      return wrong("the path of a Unix socket has 1 to 107 bytes");
    }
    return address;
  }
  std::string_view host = text;
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) return wrong("the bracket is not closed; [IPV6]:PORT");
    host = text.substr(1, close - 1);
    port = text.substr(close + 1);
    if (!port.empty() && !port.starts_with(':')) return wrong("must be [IPV6]:PORT");
  } else if (const std::size_t colon = text.rfind(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
    if (host.find(':') != std::string_view::npos)
      return wrong("an IPv6 address stands in brackets: [::1]:PORT");
  }
  if (host.empty() || host.size() > kHostMax) {
    return wrong("must be HOST:PORT, [IPV6]:PORT or unix:/PATH");
  }
  address.host = std::string(host);
  address.port = kDefaultPort;
  if (!port.empty() && !parse_port(port.substr(1), address.port)) {
    return wrong("the port must be 1 to 65535");
  }
  return address;
}

}  // namespace vecserve::net
