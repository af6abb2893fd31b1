// The sockets that listen, the io threads, and the connections that there are. Between the kernel
// and the sessions. start and stop by the server's owner; accepting on the first io thread, each
// connection on one of them in turn.
// Always holds: a failed accept is answered with a pause, never with an end; when file descriptors
// run out, one kept in reserve is spent to refuse whoever waits, so that they do not hang.
#pragma once

#include <asio.hpp>
#include <asio/ssl.hpp>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "net/server_shared.h"
#include "net/session.h"
#include "vecserve/status.h"

namespace vecserve::net {

class ServerListener {
 public:
  explicit ServerListener(ServerShared& shared);
  // Stops.
  ~ServerListener();
  ServerListener(const ServerListener&) = delete;
  ServerListener& operator=(const ServerListener&) = delete;

  // For connections that come from now on; null: plain.
  void set_tls(std::shared_ptr<asio::ssl::context> tls);

  [[nodiscard]] Status start();
  [[nodiscard]] std::vector<std::string> addresses() const;

  // Listens no more. Connections go on.
  void close();
  // Waits until no connection has anything unanswered or unwritten; false when it is too late.
  [[nodiscard]] bool wait_written(std::chrono::steady_clock::time_point until);
  // Closes all connections and joins the threads.
  void stop();

 private:
  using Context = std::shared_ptr<asio::io_context>;

  // One address. TCP and Unix sockets alike, as far as accepting goes.
  struct Door {
    explicit Door(asio::io_context& context) : acceptor(context), pause(context) {}
    asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor;
    asio::steady_timer pause;
    Endpoint endpoint;
  };

  [[nodiscard]] Status listen_all();
  [[nodiscard]] Status listen_on(const Endpoint& endpoint);
  [[nodiscard]] Status open_door(const asio::generic::stream_protocol::endpoint& at,
                                 const Endpoint& endpoint);
  [[nodiscard]] Status start_threads();
  [[nodiscard]] asio::awaitable<void> accept_loop(Door& door);
  void refuse_one(Door& door);
  void admit(SessionStream::Socket socket, const Context& context, const Door& door);
  void refuse(SessionStream::Socket socket);
  void forget(const Session* session);

  ServerShared& shared_;
  std::vector<Context> contexts_;
  std::vector<std::thread> threads_;
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> guards_;
  std::size_t next_ = 0;  // the accepting thread's: which context is next
  int spare_ = -1;        // the accepting thread's: the descriptor in reserve

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Door>> doors_;  // filled before the threads start
  std::vector<std::string> addresses_;        // guarded by mutex_
  std::vector<std::string> unix_paths_;       // guarded by mutex_
  std::shared_ptr<asio::ssl::context> tls_;   // guarded by mutex_
  std::unordered_map<const Session*, std::weak_ptr<Session>> sessions_;  // guarded by mutex_
  bool stopped_ = false;                                                 // guarded by mutex_
};

}  // namespace vecserve::net
