// Start, reload and the two steps of ending. Above the listener and the sessions, which do the
// work. Any thread.
// Always holds: threads are joined by whoever stops, and stopping twice is harmless.
#include "net/server.h"

#include <condition_variable>
#include <mutex>
#include <utility>

#include "net/server_listener.h"
#include "net/server_tls.h"

namespace vecserve::net {

struct Server::State {
  State(ServerOptions options, Database& database, Serving& serving, const engine::Clock& clock)
      : owned(std::make_shared<ServerShared>(std::move(options), database, serving, clock)),
        shared(*owned),
        listener(shared) {}

  Status read_tokens() {
    if (shared.options.token_file.empty()) return {};
    auto tokens = Tokens::load(shared.options.token_file);
    if (!tokens.ok()) return tokens.status();
    if (tokens->empty()) {
      return Status::invalid_argument("token_file", "holds no token, so nobody could come in");
    }
    shared.set_tokens(std::make_shared<const Tokens>(std::move(*tokens)));
    return {};
  }

  const std::shared_ptr<ServerShared> owned;
  ServerShared& shared;
  ServerListener listener;
};

Server::Server(ServerOptions options, Database& database, Serving& serving,
               const engine::Clock& clock)
    : state_(std::make_unique<State>(std::move(options), database, serving, clock)) {}

Server::~Server() {
  stop();
}

Status Server::start() {
  VECSERVE_TRY(state_->shared.options.validate());
  VECSERVE_TRY(state_->read_tokens());
  auto tls = make_tls_context(state_->shared.options);
  if (!tls.ok()) return tls.status();
  state_->listener.set_tls(std::move(*tls));
  return state_->listener.start();
}

std::vector<std::string> Server::addresses() const {
  return state_->listener.addresses();
}

Status Server::reload() {
  auto tls = make_tls_context(state_->shared.options);
  if (!tls.ok()) return tls.status();
  VECSERVE_TRY(state_->read_tokens());
  state_->listener.set_tls(std::move(*tls));
  return {};
}

bool Server::drain(std::chrono::milliseconds at_most) {
  const Deadline until = std::chrono::steady_clock::now() + at_most;
  state_->listener.close();
  state_->shared.serving.drain();
  return state_->shared.serving.wait_idle(until) && state_->listener.wait_written(until);
}

void Server::stop() {
  state_->listener.close();
  state_->shared.serving.stop();
  state_->listener.stop();
  // What ran on a lane when everything else was ended: a search stops at its next block, a write
  // takes what the disk takes. The lanes' owner would wait for it in any case.
  static_cast<void>(state_->shared.serving.wait_idle(Deadline::max()));
}

const ServerCounters& Server::counters() const {
  return state_->shared.counters;
}

}  // namespace vecserve::net
