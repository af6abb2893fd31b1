// Every setting of a server: where it listens, whom it lets in, its bounds and its timeouts. Filled
// in by the daemon or by whoever embeds a server; copied at start and never changed afterwards.
// Plain values. Always holds: validate() refuses an address that others can reach unless tokens and
// TLS, or `insecure`, are there.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/frame.h"
#include "net/limits.h"
#include "vecserve/serving.h"
#include "vecserve/status.h"

namespace vecserve::net {

// "HOST:PORT", "[IPV6]:PORT", ":PORT" (loopback) or "unix:/PATH". Port 0: any free one.
struct Endpoint {
  std::string host;  // "" for a Unix socket
  std::uint16_t port = 0;
  std::string unix_path;  // "" for TCP

  [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
  // "localhost", 127.0.0.0/8, ::1, or a Unix socket. Other names are not resolved: they do not
  // count as loopback.
  [[nodiscard]] bool is_loopback() const;
  [[nodiscard]] std::string to_string() const;
};

// One answered request, for metrics and logs. The views are valid during the call only.
struct ReplyRecord {
  Verb verb = Verb::ping;
  Priority priority = Priority::interactive;
  StatusCode code = StatusCode::ok;
  std::string_view collection;
  std::string_view identity;
  const ServedStages* served = nullptr;
};

// Something that an operator wants to know: a client cut off, a failed accept, tokens read again.
struct ServerEvent {
  enum class Level : std::uint8_t { info, warning, error };
  Level level = Level::info;
  std::string_view what;    // a fixed phrase, such as "client cut off"
  std::string_view detail;  // such as the address
};

struct ServerOptions {
  // -- Where ------------------------------------------------------------------------------------

  std::vector<std::string> listen = {"127.0.0.1:7411"};
  bool insecure = false;  // listen beyond loopback without tokens or TLS all the same

  // -- Whom -------------------------------------------------------------------------------------

  std::string token_file;            // "": whoever can connect may do everything
  std::string tls_certificate_file;  // PEM chain; "": no TLS
  std::string tls_key_file;          // PEM
  std::string tls_client_ca_file;    // clients must show a certificate of this authority; "": none

  // -- Folders that requests name by a short name only ------------------------------------------

  std::string checkpoint_folder;  // of checkpoint and restore; "": both are refused

  // -- Bounds -----------------------------------------------------------------------------------

  std::uint32_t io_threads = 1;
  std::uint32_t connections_max = limits::connections_max_default;
  std::uint32_t connections_strange_max = limits::connections_strange_max_default;
  std::size_t frame_bytes_max = limits::frame_bytes_max_default;
  std::uint32_t connection_requests_max = limits::connection_requests_max_default;
  std::size_t connection_bytes_max = limits::connection_bytes_max_default;
  std::size_t outbox_bytes_max = limits::outbox_bytes_max_default;
  std::size_t total_bytes_max = limits::total_bytes_max_default;

  // -- Time -------------------------------------------------------------------------------------

  std::chrono::milliseconds hello_timeout = limits::hello_timeout_default;
  std::chrono::milliseconds frame_timeout = limits::frame_timeout_default;
  std::chrono::milliseconds idle_timeout = limits::idle_timeout_default;  // 0: never
  std::chrono::milliseconds write_timeout = limits::write_timeout_default;

  // -- Who wants to know ------------------------------------------------------------------------

  // Called on lanes and io threads, several at a time; must be quick and must not throw.
  std::function<void(const ReplyRecord&)> on_reply;
  std::function<void(const ServerEvent&)> on_event;

  [[nodiscard]] Status validate() const;
};

}  // namespace vecserve::net
