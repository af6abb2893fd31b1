// What a server is told: by flags, by the environment, by a file, in that order of precedence.
// First in the daemon's path; main thread. Always holds: a value that is out of range or of an
// unknown name is refused before anything is opened, and the message names where it came from.
#pragma once

#include <optional>
#include <string>

#include "net/server_options.h"
#include "net/serving.h"
#include "vecserve/options.h"

namespace vecserve::daemon {

inline constexpr const char* kDefaultHttp = "127.0.0.1:7412";

struct Settings {
  std::string data = "./data";
  std::string http = kDefaultHttp;  // or "none"
  std::string log_level = "info";
  std::string log_format = "text";
  std::uint32_t drain_seconds = 10;
  bool hash_token = false;  // only print the digest of a token
  DatabaseOptions database{};
  net::ServerOptions server{};
  net::ServingOptions serving{};
};

// nullopt: the process is to end with `exit_code`; what there was to say has been printed.
[[nodiscard]] std::optional<Settings> read_settings(int argc, const char* const* argv,
                                                    int& exit_code);

}  // namespace vecserve::daemon
