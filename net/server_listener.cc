// Listening, accepting, and the register of connections. Between the kernel and session.cc. The
// accept loops run on the first io thread. Always holds: a connection is in the register from its
// start to its end, so that stop() finds it.
#include "net/server_listener.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

#include "net/reply.h"
#include "net/thread_urgency.h"

namespace vecserve::net {

namespace {

using Stream = asio::generic::stream_protocol;

constexpr std::chrono::milliseconds kWrittenPoll{5};

std::string address_of(const SessionStream::Socket& socket, bool tcp) {
  std::error_code error;
  const Stream::endpoint peer = socket.remote_endpoint(error);
  if (error || !tcp) return "unix";
  asio::ip::tcp::endpoint address;
  if (peer.size() > address.capacity()) return "unknown";
  std::copy_n(reinterpret_cast<const char*>(peer.data()), peer.size(),
              reinterpret_cast<char*>(address.data()));
  address.resize(peer.size());
  return address.address().to_string();
}

Status socket_error(const Endpoint& endpoint, const std::error_code& error) {
  const bool used = error == asio::error::address_in_use;
  return {used ? StatusCode::unavailable : StatusCode::invalid_argument,
          endpoint.to_string() + ": " + error.message(), "listen"};
}

// A socket file that nobody answers on is left over from a server that was killed.
bool is_left_over(const std::string& path) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  asio::io_context context;
  asio::local::stream_protocol::socket probe(context);
  std::error_code error;
  probe.connect(asio::local::stream_protocol::endpoint(path), error);
  return error == asio::error::connection_refused;
}

bool is_out_of_descriptors(const std::error_code& error) {
  return error.value() == EMFILE || error.value() == ENFILE;
}

}  // namespace

ServerListener::ServerListener(ServerShared& shared) : shared_(shared) {}

ServerListener::~ServerListener() {
  stop();
  if (spare_ >= 0) ::close(spare_);
}

void ServerListener::set_tls(std::shared_ptr<asio::ssl::context> tls) {
  const std::lock_guard lock(mutex_);
  tls_ = std::move(tls);
}

std::vector<std::string> ServerListener::addresses() const {
  const std::lock_guard lock(mutex_);
  return addresses_;
}

Status ServerListener::start() {
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  for (std::uint32_t i = 0; i < shared_.options.io_threads; ++i) {
    contexts_.push_back(std::make_shared<asio::io_context>(1));
    guards_.push_back(asio::make_work_guard(*contexts_.back()));
  }
  Status status = listen_all();
  if (status.ok()) status = start_threads();
  if (!status.ok()) stop();
  return status;
}

Status ServerListener::listen_all() {
  for (const std::string& text : shared_.options.listen) {
    auto endpoint = Endpoint::parse(text);
    if (!endpoint.ok()) return endpoint.status();
    VECSERVE_TRY(listen_on(*endpoint));
  }
  return {};
}

Status ServerListener::listen_on(const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty()) {
    if (is_left_over(endpoint.unix_path)) ::unlink(endpoint.unix_path.c_str());
    VECSERVE_TRY(open_door(asio::local::stream_protocol::endpoint(endpoint.unix_path), endpoint));
    ::chmod(endpoint.unix_path.c_str(), S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP);
    const std::lock_guard lock(mutex_);
    unix_paths_.push_back(endpoint.unix_path);
    return {};
  }
  std::error_code error;
  asio::ip::tcp::resolver resolver(*contexts_.front());
  const auto found = resolver.resolve(endpoint.host, std::to_string(endpoint.port),
                                      asio::ip::tcp::resolver::passive, error);
  if (error) return socket_error(endpoint, error);
  return open_door(found.begin()->endpoint(), endpoint);
}

Status ServerListener::open_door(const Stream::endpoint& at, const Endpoint& endpoint) {
  auto door = std::make_unique<Door>(*contexts_.front());
  door->endpoint = endpoint;
  std::error_code error;
  door->acceptor.open(at.protocol(), error);
  if (!error) door->acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) door->acceptor.bind(at, error);
  if (!error) door->acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (!error) door->acceptor.non_blocking(true, error);
  if (error) return socket_error(endpoint, error);
  if (endpoint.unix_path.empty()) {
    const Stream::endpoint bound = door->acceptor.local_endpoint(error);
    asio::ip::tcp::endpoint tcp;
    std::copy_n(reinterpret_cast<const char*>(bound.data()), std::min(bound.size(), tcp.capacity()),
                reinterpret_cast<char*>(tcp.data()));
    door->endpoint.port = tcp.port();
  }
  const std::lock_guard lock(mutex_);
  addresses_.push_back(door->endpoint.to_string());
  doors_.push_back(std::move(door));
  return {};
}

Status ServerListener::start_threads() {
  for (const std::unique_ptr<Door>& door : doors_) {
    asio::co_spawn(*contexts_.front(), accept_loop(*door), asio::detached);
  }
  for (const Context& context : contexts_) {
    try {
      threads_.emplace_back([context] {
        be_prompt();
        // A handler that throws, for lack of memory, ends its own work only.
        while (!context->stopped()) {
          try {
            context->run();
          } catch (...) {
            continue;
          }
        }
      });
    } catch (const std::system_error&) {
      return {StatusCode::resource_exhausted, "the system gives no thread"};
    }
  }
  return {};
}

asio::awaitable<void> ServerListener::accept_loop(Door& door) {
  while (door.acceptor.is_open()) {
    const Context context = contexts_[next_++ % contexts_.size()];
    SessionStream::Socket socket(*context);
    std::error_code error;
    co_await door.acceptor.async_accept(socket, asio::redirect_error(asio::use_awaitable, error));
    if (!door.acceptor.is_open()) co_return;
    if (!error) {
      try {
        admit(std::move(socket), context, door);
      } catch (const std::exception&) {
        shared_.tell(ServerEvent::Level::error, "connection dropped", "out of memory");
      }
      continue;
    }
    shared_.counters.accepts_failed.fetch_add(1, std::memory_order_relaxed);
    shared_.tell(ServerEvent::Level::warning, "accept failed", error.message());
    if (is_out_of_descriptors(error)) refuse_one(door);
    if (error == asio::error::connection_aborted) continue;
    door.pause.expires_after(limits::accept_pause);
    co_await door.pause.async_wait(asio::redirect_error(asio::use_awaitable, error));
  }
}

void ServerListener::refuse_one(Door& door) {
  if (spare_ >= 0) ::close(spare_);
  const int taken = ::accept(door.acceptor.native_handle(), nullptr, nullptr);
  if (taken >= 0) ::close(taken);
  spare_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
}

void ServerListener::admit(SessionStream::Socket socket, const Context& context, const Door& door) {
  ServerCounters& counters = shared_.counters;
  counters.connections_accepted.fetch_add(1, std::memory_order_relaxed);
  if (counters.connections.load() >= shared_.options.connections_max ||
      counters.connections_strange.load() >= shared_.options.connections_strange_max) {
    counters.connections_refused.fetch_add(1, std::memory_order_relaxed);
    return refuse(std::move(socket));
  }
  const bool tcp = door.endpoint.unix_path.empty();
  if (tcp) {
    const int on = 1;
    ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  std::string address = address_of(socket, tcp);
  std::shared_ptr<Session> session;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    session = Session::make(shared_, context, std::move(socket), tcp ? tls_ : nullptr,
                            std::move(address));
    sessions_.emplace(session.get(), session);
  }
  asio::post(*context,
             [this, session] { session->start([this, self = session.get()] { forget(self); }); });
}

// Says why, if the client reads it: a reply to a request that was not read, as the first bytes of a
// plain connection.
void ServerListener::refuse(SessionStream::Socket socket) {
  {
    const std::lock_guard lock(mutex_);
    if (tls_ != nullptr) return;
  }
  ErrorReply error;
  error.status = Status(StatusCode::resource_exhausted, "too many connections; try again later");
  error.retry.retry_after = std::chrono::seconds(1);
  std::string bytes;
  encode_error_reply({.verb = Verb::hello}, ServedStages(), error, bytes);
  std::error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(bytes), ignored);
}

void ServerListener::forget(const Session* session) {
  const std::lock_guard lock(mutex_);
  sessions_.erase(session);
}

void ServerListener::close() {
  if (contexts_.empty()) return;
  asio::post(*contexts_.front(), [this] {
    for (const std::unique_ptr<Door>& door : doors_) {
      std::error_code ignored;
      door->acceptor.close(ignored);
      door->pause.cancel();
    }
  });
  const std::lock_guard lock(mutex_);
  for (const std::string& path : unix_paths_) ::unlink(path.c_str());
  unix_paths_.clear();
}

bool ServerListener::wait_written(std::chrono::steady_clock::time_point until) {
  std::mutex alone;
  std::condition_variable never;
  std::unique_lock wait(alone);
  for (;;) {
    bool idle = true;
    {
      const std::lock_guard lock(mutex_);
      for (const auto& [key, weak] : sessions_) {
        const auto session = weak.lock();
        if (session != nullptr && !session->idle()) idle = false;
      }
    }
    if (idle) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now >= until) return false;
    never.wait_until(wait, std::min(until, now + kWrittenPoll));
  }
}

void ServerListener::stop() {
  close();
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
    for (const auto& [key, weak] : sessions_) {
      if (const auto session = weak.lock()) session->stop();
    }
  }
  guards_.clear();  // run() returns when the last coroutine has ended
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

}  // namespace vecserve::net
