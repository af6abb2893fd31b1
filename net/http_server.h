// The HTTP face of a server, on a port of its own: /metrics for Prometheus, /healthz and /readyz
// for whoever restarts or routes, /slow (JSON: the slowest requests of the last minutes), /status
// (JSON: what the console shows) and / (the console page). Read-only: it changes nothing and shows
// no rows. Owns a thread that listens, a few that answer, and one that ends a point of the history
// a second. Always holds: bounded threads, connections and request sizes; on loopback only requests
// that name a loopback host are answered, so that no web page can reach it through a name of its
// own.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "net/server_shared.h"
#include "net/stats.h"
#include "vecserve/database.h"
#include "vecserve/status.h"

namespace vecserve::net {

struct HttpOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 7412;  // 0: any free one
};

// What it shows. All must outlive the HttpServer.
struct HttpSources {
  ServerStats* stats = nullptr;
  const Database* database = nullptr;
  const ServerCounters* counters = nullptr;  // may be null
  // Why the server is not ready ("draining"), or "" when it is; may be empty: always ready.
  std::function<std::string()> not_ready;
};

class HttpServer {
 public:
  HttpServer(HttpOptions options, HttpSources sources);
  // Stops.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens and starts the threads. unavailable: the address is in use or not of this machine.
  [[nodiscard]] Status start();
  [[nodiscard]] std::uint16_t port() const;   // that it listens on
  [[nodiscard]] std::string address() const;  // "http://127.0.0.1:7412/"
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The console page: one self-contained document.
[[nodiscard]] const char* console_page();

// What /status and /slow answer.
[[nodiscard]] std::string status_json(const HttpSources& sources);
[[nodiscard]] std::string slow_json(const ServerStats& stats);

}  // namespace vecserve::net
