// Parsing of addresses and the rules that the settings of a server must keep. Before the server
// starts; pure, any thread. Always holds: what is open to others without protection was asked for
// by name.
#include "net/server_options.h"

#include <charconv>
#include <utility>

namespace vecserve::net {

namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::size_t kUnixPathMax = 107;  // what sockaddr_un holds, without its final zero

bool parse_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// The one number of an option that must be between two others.
Status check_range(std::string_view field, std::uint64_t value, std::uint64_t min,
                   std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return Status::invalid_argument(std::string(field),
                                  "must be " + std::to_string(min) + " to " + std::to_string(max));
}

Status check_time(std::string_view field, std::chrono::milliseconds value) {
  constexpr std::chrono::milliseconds kLongest = std::chrono::hours(24);
  if (value.count() > 0 && value <= kLongest) return {};
  return Status::invalid_argument(std::string(field), "must be positive and at most a day");
}

}  // namespace

Result<Endpoint> Endpoint::parse(std::string_view text) {
  const auto refuse = [&](std::string_view why) {
    return Status::invalid_argument("listen", std::string(text) + ": " + std::string(why));
  };
  Endpoint endpoint;
  if (text.starts_with(kUnixPrefix)) {
    endpoint.unix_path = text.substr(kUnixPrefix.size());
    if (endpoint.unix_path.empty() || endpoint.unix_path.size() > kUnixPathMax) {
      return refuse("the path of a Unix socket has 1 to 107 bytes");
    }
    return endpoint;
  }
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !parse_port(text.substr(colon + 1), endpoint.port)) {
    return refuse("must be HOST:PORT, [IPV6]:PORT or unix:/PATH");
  }
  std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return refuse("an IPv6 address stands in brackets");
  }
  endpoint.host = host.empty() ? "127.0.0.1" : std::string(host);
  return endpoint;
}

bool Endpoint::is_loopback() const {
  if (!unix_path.empty()) return true;
  const bool v4 =
      host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos;
  return v4 || host == "localhost" || host == "::1";
}

std::string Endpoint::to_string() const {
  if (!unix_path.empty()) return std::string(kUnixPrefix) + unix_path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Status ServerOptions::validate() const {
  if (listen.empty()) return Status::invalid_argument("listen", "at least one address is needed");
  if (tls_certificate_file.empty() != tls_key_file.empty()) {
    return Status::invalid_argument("tls_key_file", "certificate and key are needed together");
  }
  if (!tls_client_ca_file.empty() && tls_certificate_file.empty()) {
    return Status::invalid_argument("tls_client_ca_file", "needs TLS");
  }
  for (const std::string& text : listen) {
    auto endpoint = Endpoint::parse(text);
    if (!endpoint.ok()) return endpoint.status();
    const bool safe = !token_file.empty() && !tls_certificate_file.empty();
    if (!endpoint->is_loopback() && !safe && !insecure) {
      return Status::invalid_argument(
          "listen", text + " can be reached by others: it needs a token file and TLS, or insecure");
    }
  }
  VECSERVE_TRY(check_range("io_threads", io_threads, 1, limits::io_threads_max));
  VECSERVE_TRY(check_range("connections_max", connections_max, 1, 1'000'000));
  VECSERVE_TRY(check_range("connections_strange_max", connections_strange_max, 1, 1'000'000));
  VECSERVE_TRY(check_range("frame_bytes_max", frame_bytes_max, limits::hello_bytes_max,
                           limits::frame_bytes_ceiling));
  VECSERVE_TRY(check_range("connection_requests_max", connection_requests_max, 1, 1'000'000));
  VECSERVE_TRY(
      check_range("connection_bytes_max", connection_bytes_max, frame_bytes_max, UINT64_MAX));
  VECSERVE_TRY(
      check_range("outbox_bytes_max", outbox_bytes_max, limits::outbox_bytes_soft, UINT64_MAX));
  VECSERVE_TRY(check_range("total_bytes_max", total_bytes_max, frame_bytes_max, UINT64_MAX));
  VECSERVE_TRY(check_time("hello_timeout", hello_timeout));
  VECSERVE_TRY(check_time("frame_timeout", frame_timeout));
  VECSERVE_TRY(check_time("write_timeout", write_timeout));
  if (idle_timeout.count() < 0) {
    return Status::invalid_argument("idle_timeout", "must not be negative");
  }
  return {};
}

}  // namespace vecserve::net
