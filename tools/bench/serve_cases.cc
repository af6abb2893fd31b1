// The server that the cases of bench_serve share: a database of theirs behind the serving core,
// with the metrics that the daemon keeps. Main thread, which the server's own run beside. Always
// holds: it listens on loopback only and is stopped before the database that it serves.
#include "tools/bench/serve_cases.h"

#include <utility>

namespace vecserve::bench {

OwnServer::OwnServer(Database& database, net::ServingOptions serving_options)
    : serving_(serving_options, clock_), stats_(serving_, clock_) {
  net::ServerOptions options;
  options.listen = {"127.0.0.1:0"};
  options.on_reply = [this](const net::ReplyRecord& reply) { stats_.record(reply); };
  const Status lanes = serving_.start();
  require(lanes.ok(), lanes.to_string());
  server_ = std::make_unique<net::Server>(std::move(options), database, serving_, clock_);
  const Status started = server_->start();
  require(started.ok(), started.to_string());
  address_ = server_->addresses().front();
}

OwnServer::~OwnServer() {
  server_->stop();
}

}  // namespace vecserve::bench
