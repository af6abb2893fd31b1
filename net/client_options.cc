// ClientOptions::validate: every setting of a client against its bounds, with the field named.
// First step of Client::connect. Pure, any thread.
// Always holds: a token never leaves the machine in clear unless that was said.
#include <string>

#include "net/client_address.h"
#include "net/limits.h"
#include "vecserve/client.h"

namespace vecserve {
namespace {

constexpr std::uint32_t kConnectionsMax = 1'024;
constexpr std::uint32_t kAttemptsMax = 10;
constexpr std::chrono::hours kTimeoutMax{1};  // what the deadline on the wire can say

}  // namespace

Status ClientOptions::validate() const {
  const Result<net::ClientAddress> parsed = net::parse_client_address(address);
  VECSERVE_TRY(parsed.status());
  if (token.size() > net::limits::token_bytes_max) {
    return Status::invalid_argument("token", "longer than 1024 bytes");
  }
  if (!token.empty() && !tls.enabled && !token_in_clear && !parsed->is_local()) {
    return Status::invalid_argument("token",
                                    "would travel in clear; enable tls, or say token_in_clear");
  }
  if (tls.certificate_file.empty() != tls.key_file.empty()) {
    return Status::invalid_argument("tls.key_file", "certificate and key go together");
  }
  if (tls.enabled && !parsed->path.empty() && tls.server_name.empty()) {
    return Status::invalid_argument("tls.server_name", "is needed over a Unix socket");
  }
  if (timeout.count() < 1 || timeout > kTimeoutMax) {
    return Status::invalid_argument("timeout", "must be 1 us to 1 hour");
  }
  if (connect_timeout.count() < 1 || connect_timeout > kTimeoutMax) {
    return Status::invalid_argument("connect_timeout", "must be 1 ms to 1 hour");
  }
  if (backoff_min.count() < 1 || backoff_max < backoff_min || backoff_max > kTimeoutMax) {
    return Status::invalid_argument("backoff_min",
                                    "must be 1 ms or more and not above backoff_max");
  }
  if (connections < 1 || connections > kConnectionsMax) {
    return Status::invalid_argument("connections", "must be 1 to 1024");
  }
  if (calls_max < 1) return Status::invalid_argument("calls_max", "must be at least 1");
  if (attempts_max < 1 || attempts_max > kAttemptsMax) {
    return Status::invalid_argument("attempts_max", "must be 1 to 10");
  }
  return {};
}

}  // namespace vecserve
