// The server: listens, hands each connection to a session, and ends in two named steps, drain and
// stop. Owns the io threads; the database and the serving core belong to whoever made it.
//
//   Server server(options, database, serving, clock);
//   VECSERVE_TRY(server.start());
//   ... server.reload();                       // tokens and certificates again
//   server.drain(10s); server.stop();          // finish what was admitted, then end
//
// Any thread may call any member. Always holds: accepting goes on after every failure of accept;
// after stop() no thread of the server runs and no work of it is left in the serving core.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "net/server_options.h"
#include "net/server_shared.h"
#include "net/serving.h"
#include "vecserve/database.h"
#include "vecserve/status.h"

namespace vecserve::net {

class Server {
 public:
  // All but the options must outlive the server, and the database the serving core. What the
  // options' functions use must outlive the serving core too.
  Server(ServerOptions options, Database& database, Serving& serving, const engine::Clock& clock);
  // Stops.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Reads tokens and certificates, listens, starts the threads. On an error nothing listens.
  // invalid_argument names the option; unavailable: an address is in use.
  [[nodiscard]] Status start();

  // Where it listens, with the ports that were given for 0.
  [[nodiscard]] std::vector<std::string> addresses() const;

  // Reads tokens and certificates again. On an error the old ones stay. Connections that exist keep
  // what they were granted.
  [[nodiscard]] Status reload();

  // Listens no more, takes no new requests, and waits until all that were admitted are answered and
  // the answers written, or the time is over: then false. Connections stay open.
  [[nodiscard]] bool drain(std::chrono::milliseconds at_most);

  // Ends everything now: works that wait are answered as unavailable, connections are closed.
  // Stops the serving core. Again is harmless.
  void stop();

  [[nodiscard]] const ServerCounters& counters() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace vecserve::net
