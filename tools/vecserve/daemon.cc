// Start and end of the process. Order of starting: database, serving core, server, HTTP; of ending:
// drain, server, HTTP, serving core, database. Main thread, but for the one that drains while main
// waits for a second signal. Always holds: "ready" on standard output is printed once, when
// connections are accepted.
#include "tools/vecserve/daemon.h"

#include <fmt/core.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <optional>
#include <thread>

#include "engine/base/clock.h"
#include "net/http_server.h"
#include "net/server.h"
#include "net/serving.h"
#include "net/stats.h"
#include "tools/vecserve/log.h"
#include "tools/vecserve/signals.h"
#include "vecserve/database.h"

namespace vecserve::daemon {

namespace {

using Level = net::ServerEvent::Level;

constexpr std::chrono::milliseconds kSignalPoll{20};
constexpr std::chrono::hours kUntilSignal{1};
constexpr int kExitAtOnce = 130;

int failed(std::string_view what, const Status& status) {
  log(Level::error, what, {{"why", status.to_string()}});
  return 1;
}

void print_ready(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) fmt::print("ready: listening on {}\n", address);
  std::fflush(stdout);
}

void reload(net::Server& server) {
  const Status status = server.reload();
  if (status.ok()) return log(Level::info, "tokens and certificates read again");
  log(Level::error, "reload failed, the old ones stay", {{"why", status.to_string()}});
}

void wait_until_told(net::Server& server) {
  for (;;) {
    switch (wait_for_signal(kUntilSignal)) {
      case Signal::stop:
        return;
      case Signal::reload:
        reload(server);
        break;
      case Signal::none:
        break;
    }
  }
}

// Finishes what was admitted. A second signal ends the process there and then: what was
// acknowledged is durable, as after a kill.
bool drain(net::Server& server, std::chrono::seconds at_most) {
  log(Level::info, "draining", {{"seconds", std::to_string(at_most.count())}});
  std::atomic<bool> done{false};
  bool all = false;
  std::thread drainer([&] {
    all = server.drain(at_most);
    done = true;
  });
  while (!done) {
    if (wait_for_signal(kSignalPoll) == Signal::stop) {
      log(Level::warning, "stopping at once");
      ::_exit(kExitAtOnce);
    }
  }
  drainer.join();
  return all;
}

net::HttpOptions http_options(const Settings& settings) {
  const net::Endpoint endpoint = net::Endpoint::parse(settings.http).value();
  return {endpoint.host, endpoint.port};
}

// Listens for HTTP if that is wanted.
Status start_http(const Settings& settings, const net::HttpSources& sources,
                  std::optional<net::HttpServer>& http) {
  if (settings.http == "none") return {};
  http.emplace(http_options(settings), sources);
  VECSERVE_TRY(http->start());
  log(Level::info, "console", {{"address", http->address()}});
  return {};
}

int serve(const Settings& settings, Database& database, const engine::Clock& clock) {
  // Works that a lane is still busy with at the end report here: it goes after the serving core.
  std::unique_ptr<net::ServerStats> stats;
  std::atomic<bool> draining{false};
  net::Serving serving(settings.serving, clock);
  stats = std::make_unique<net::ServerStats>(serving, clock);
  Status status = serving.start();
  if (!status.ok()) return failed("cannot start", status);
  net::ServerOptions options = settings.server;
  options.on_event = [](const net::ServerEvent& event) {
    log(event.level, event.what, {{"detail", std::string(event.detail)}});
  };
  options.on_reply = [&stats](const net::ReplyRecord& reply) { stats->record(reply); };
  net::Server server(options, database, serving, clock);
  std::optional<net::HttpServer> http;
  const auto not_ready = [&draining] { return std::string(draining ? "draining" : ""); };
  status = server.start();
  if (!status.ok()) return failed("cannot listen", status);
  status = start_http(settings, {stats.get(), &database, &server.counters(), not_ready}, http);
  if (!status.ok()) return failed("cannot listen", status);
  for (const std::string& address : server.addresses()) {
    log(Level::info, "listening", {{"address", address}});
  }
  print_ready(server.addresses());
  wait_until_told(server);
  draining = true;
  const bool all = drain(server, std::chrono::seconds(settings.drain_seconds));
  server.stop();
  serving.stop();
  if (!all) log(Level::warning, "requests were still unanswered");
  return all ? 0 : 1;
}

}  // namespace

int run_daemon(const Settings& settings) {
  start_log(settings.log_level, settings.log_format);
  auto database = Database::open(settings.data, settings.database);
  if (!database.ok()) return failed("cannot open the database", database.status());
  const DatabaseStats stats = database->stats();
  log(Level::info, "database open",
      {{"data", settings.data},
       {"collections", std::to_string(stats.collections)},
       {"rows", std::to_string(stats.rows)},
       {"ms", std::to_string(stats.open_ns / 1'000'000)},
       {"kernels", stats.kernels},
       {"gpu", stats.gpu}});
  const engine::SystemClock clock;
  const int exit_code = serve(settings, *database, clock);
  const Status closed = database->close();
  if (!closed.ok()) return failed("cannot close the database", closed);
  log(Level::info, "stopped");
  return exit_code;
}

}  // namespace vecserve::daemon
