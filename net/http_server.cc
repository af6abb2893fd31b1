// See http_server.h.
// Handlers run on the library's few threads. Always holds: whatever a handler meets becomes a
// status line; stop() waits for all threads.
#include "net/http_server.h"

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "net/stats_prometheus.h"

namespace vecserve::net {

namespace {

constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'";

// "localhost:7412" or "[::1]" without the port.
std::string_view host_of(std::string_view header) {
  if (header.starts_with('[')) return header.substr(0, header.find(']') + 1);
  return header.substr(0, header.find(':'));
}

bool is_loopback(std::string_view host) {
  return host == "localhost" || host == "::1" || host == "[::1]" || host.starts_with("127.");
}

// Without SO_REUSEPORT, which would let two servers share the port unnoticed.
void set_socket_options(socket_t socket) {
  const int yes = 1;
  static_cast<void>(setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)));
}

}  // namespace

struct HttpServer::State {
  State(HttpOptions options_in, HttpSources sources_in)
      : options(std::move(options_in)), sources(std::move(sources_in)) {}

  const HttpOptions options;
  const HttpSources sources;
  httplib::Server server;
  std::uint16_t port = 0;
  std::thread listener;
  std::atomic<bool> listened{false};  // and ended
  std::thread ticker;
  std::mutex mutex;
  std::condition_variable stopped;
  bool stop = false;  // guarded by mutex

  void set_limits();
  void add_routes();
  void tick();
};

void HttpServer::State::set_limits() {
  server.set_socket_options(set_socket_options);
  server.new_task_queue = [] { return new httplib::ThreadPool(limits::http_threads); };
  server.set_payload_max_length(limits::http_body_bytes_max);
  server.set_read_timeout(limits::http_timeout);
  server.set_write_timeout(limits::http_timeout);
  server.set_keep_alive_timeout(limits::http_timeout.count());
  server.set_keep_alive_max_count(limits::http_keep_alive_max);
  server.set_default_headers({{"X-Content-Type-Options", "nosniff"},
                              {"Cache-Control", "no-store"},
                              {"Content-Security-Policy", std::string(kPolicy)}});
  server.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& reply) {
    if (request.method != "GET" && request.method != "HEAD") {
      reply.status = 405;
      return httplib::Server::HandlerResponse::Handled;
    }
    const std::string host = request.get_header_value("Host");
    if (is_loopback(options.host) && !is_loopback(host_of(host))) {
      reply.status = 403;
      reply.set_content("this address answers to a loopback name only\n", "text/plain");
      return httplib::Server::HandlerResponse::Handled;
    }
    return httplib::Server::HandlerResponse::Unhandled;
  });
}

void HttpServer::State::add_routes() {
  using httplib::Request;
  using httplib::Response;
  server.Get("/", [](const Request&, Response& reply) {
    reply.set_content(console_page(), "text/html; charset=utf-8");
  });
  server.Get("/metrics", [this](const Request&, Response& reply) {
    reply.set_content(prometheus_text({sources.stats, sources.database, sources.counters}),
                      "text/plain; version=0.0.4; charset=utf-8");
  });
  server.Get("/status", [this](const Request&, Response& reply) {
    reply.set_content(status_json(sources), "application/json");
  });
  server.Get("/slow", [this](const Request&, Response& reply) {
    reply.set_content(slow_json(*sources.stats), "application/json");
  });
  server.Get("/healthz", [this](const Request&, Response& reply) {
    const std::string degraded = sources.database->stats().degraded;
    reply.set_content(degraded.empty() ? "ok\n" : "degraded: " + degraded + "\n", "text/plain");
  });
  server.Get("/readyz", [this](const Request&, Response& reply) {
    const std::string why = sources.not_ready ? sources.not_ready() : std::string();
    if (!why.empty()) reply.status = 503;
    reply.set_content(why.empty() ? "ready\n" : "not ready: " + why + "\n", "text/plain");
  });
}

void HttpServer::State::tick() {
  std::unique_lock lock(mutex);
  while (!stopped.wait_for(lock, limits::history_every, [this] { return stop; })) {
    lock.unlock();
    sources.stats->tick();
    lock.lock();
  }
}

HttpServer::HttpServer(HttpOptions options, HttpSources sources)
    : state_(std::make_unique<State>(std::move(options), std::move(sources))) {}

HttpServer::~HttpServer() {
  stop();
}

Status HttpServer::start() {
  State& state = *state_;
  state.set_limits();
  state.add_routes();
  int port = state.options.port;
  if (port == 0) {
    port = state.server.bind_to_any_port(state.options.host);
  } else if (!state.server.bind_to_port(state.options.host, port)) {
    port = -1;
  }
  if (port <= 0) {
    return {StatusCode::unavailable, "cannot listen for HTTP at " + state.options.host + ":" +
                                         std::to_string(state.options.port)};
  }
  state.port = static_cast<std::uint16_t>(port);
  try {
    state.listener = std::thread([&state] {
      static_cast<void>(state.server.listen_after_bind());
      state.listened = true;
    });
    state.ticker = std::thread([&state] { state.tick(); });
  } catch (const std::system_error&) {
    stop();
    return {StatusCode::resource_exhausted, "the system gives no thread for HTTP"};
  }
  return {};
}

std::uint16_t HttpServer::port() const {
  return state_->port;
}

std::string HttpServer::address() const {
  const std::string& host = state_->options.host;
  const bool v6 = host.find(':') != std::string::npos && !host.starts_with('[');
  return "http://" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(state_->port) + "/";
}

void HttpServer::stop() {
  State& state = *state_;
  {
    const std::lock_guard lock(state.mutex);
    state.stop = true;
    state.stopped.notify_all();
  }
  if (state.listener.joinable()) {
    // It may not have come to listening yet, and would not notice.
    while (!state.server.is_running() && !state.listened) std::this_thread::yield();
    state.server.stop();
    state.listener.join();
    state.port = 0;
  }
  if (state.ticker.joinable()) state.ticker.join();
}

}  // namespace vecserve::net
