// Reader, writer and watchdog of one connection. Between the socket and the conversation; on the
// connection's io thread. Always holds: close() runs once, cancels all three, and after it nothing
// touches the socket.
#include "net/session.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "net/limits.h"

namespace vecserve::net {

namespace {

constexpr auto kNever = std::chrono::steady_clock::time_point::max();
constexpr std::chrono::milliseconds kWatchMax{1'000};
constexpr std::chrono::milliseconds kWatchMin{10};

// Waits until the timer is cancelled.
asio::awaitable<void> wait_for(asio::steady_timer& event) {
  std::error_code ignored;
  co_await event.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
}

}  // namespace

Session::Session(ServerShared& shared, std::shared_ptr<asio::io_context> context,
                 SessionStream::Socket socket, std::shared_ptr<asio::ssl::context> tls)
    : shared_(shared),
      context_(std::move(context)),
      stream_(std::move(socket), std::move(tls)),
      reader_(limits::hello_bytes_max),
      something_to_write_(*context_, kNever),
      room_to_read_(*context_, kNever),
      watch_(*context_),
      began_(std::chrono::steady_clock::now()),
      frame_began_(began_),
      frame_last_(began_),
      write_last_(began_),
      linger_began_(began_) {
  shared_.counters.connections.fetch_add(1, std::memory_order_relaxed);
  shared_.counters.connections_strange.fetch_add(1, std::memory_order_relaxed);
}

Session::~Session() {
  if (conversation_ != nullptr) conversation_->close();
  shared_.bytes.remove(counted_);
  shared_.counters.connections.fetch_sub(1, std::memory_order_relaxed);
  if (strange_) shared_.counters.connections_strange.fetch_sub(1, std::memory_order_relaxed);
}

std::shared_ptr<Session> Session::make(ServerShared& shared,
                                       std::shared_ptr<asio::io_context> context,
                                       SessionStream::Socket socket,
                                       std::shared_ptr<asio::ssl::context> tls,
                                       std::string address) {
  std::shared_ptr<Session> session(
      new Session(shared, std::move(context), std::move(socket), std::move(tls)));
  // The context outlives whatever a lane may still have to say to a session that is gone.
  session->conversation_ = std::make_shared<Conversation>(
      shared, std::move(address), [context = session->context_, weak = session->weak_from_this()] {
        asio::post(*context, [weak] {
          if (const auto self = weak.lock()) self->on_wake();
        });
      });
  session->conversation_->leave_short_searches();
  return session;
}

void Session::start(std::function<void()> ended) {
  ended_ = std::move(ended);
  const auto spawn = [this](asio::awaitable<void> (Session::*loop)()) {
    asio::co_spawn(
        *context_, [self = shared_from_this(), loop] { return ((*self).*loop)(); },
        [self = shared_from_this()](const std::exception_ptr& failed) {
          if (failed) self->cut("out of memory");
        });
  };
  spawn(&Session::read_loop);
  spawn(&Session::write_loop);
  spawn(&Session::watch_loop);
}

void Session::stop() {
  asio::post(*context_, [self = shared_from_this()] { self->close(); });
}

bool Session::idle() const {
  return conversation_->unanswered() == 0 && conversation_->outbox().bytes() == 0;
}

asio::awaitable<void> Session::read_loop() {
  if (co_await stream_.handshake()) co_return cut("TLS handshake failed");
  while (reading_ && !closed_) {
    if (conversation_->outbox().bytes() > limits::outbox_bytes_soft) {
      co_await wait_for(room_to_read_);
      frame_began_ = std::chrono::steady_clock::now();  // the pause was ours
      continue;
    }
    std::error_code error;
    const std::size_t bytes = co_await stream_.read_some(reader_.space(), error);
    if (closed_) co_return;
    // It will say no more, but may still listen: what it asked for is answered.
    if (error == asio::error::eof) break;
    if (error) co_return close();
    if (!reader_.mid_frame()) {
      frame_began_ = std::chrono::steady_clock::now();
      frame_bytes_ = 0;
    }
    frame_bytes_ += bytes;
    reader_.filled(bytes);
    shared_.counters.bytes_in.fetch_add(bytes, std::memory_order_relaxed);
    reading_ = take_frames();
    conversation_->run_left();
    account();
  }
  reading_ = false;
  something_to_write_.cancel();  // the writer ends when all is said
}

bool Session::take_frames() {
  Frame frame;
  for (;;) {
    const FrameReader::Next next = reader_.next(frame);
    if (next == FrameReader::Next::need_more) return true;
    if (next == FrameReader::Next::broken) {
      conversation_->on_fault(reader_.fault(), frame.header);
      return false;
    }
    frame_last_ = frame_began_ = std::chrono::steady_clock::now();
    frame_bytes_ = 0;
    if (!conversation_->on_frame(std::move(frame))) return false;
    if (strange_ && conversation_->greeted()) {
      strange_ = false;
      shared_.counters.connections_strange.fetch_sub(1, std::memory_order_relaxed);
      reader_.set_body_bytes_max(conversation_->body_bytes_max());
    }
    frame = Frame();
  }
}

void Session::account() {
  const std::size_t held = reader_.held();
  shared_.bytes.add(held);
  shared_.bytes.remove(counted_);
  counted_ = held;
  if (held > limits::read_bytes && shared_.bytes.exceeded()) cut("too much memory in use");
}

asio::awaitable<void> Session::write_loop() {
  std::string bytes;
  while (!closed_) {
    if (conversation_->outbox().take(bytes)) {
      if (!co_await write_all(bytes)) co_return;
      continue;
    }
    if (!reading_ && conversation_->unanswered() == 0) break;
    co_await wait_for(something_to_write_);
  }
  if (!closed_) co_await linger();
  close();
}

asio::awaitable<bool> Session::write_all(std::string_view bytes) {
  writing_ = true;
  write_last_ = std::chrono::steady_clock::now();
  while (!bytes.empty()) {
    std::error_code error;
    const std::size_t count =
        co_await stream_.write_some(bytes.substr(0, limits::write_bytes), error);
    if (error || closed_) {
      close();
      co_return false;
    }
    write_last_ = std::chrono::steady_clock::now();
    bytes.remove_prefix(count);
    conversation_->outbox().sent(count);
    shared_.counters.bytes_out.fetch_add(count, std::memory_order_relaxed);
  }
  writing_ = false;
  if (conversation_->outbox().bytes() <= limits::outbox_bytes_soft) {
    room_to_read_.cancel();
    conversation_->drained();
  }
  co_return true;
}

// A socket that is closed with unread bytes resets the connection, and the last reply would be lost
// with it: so whatever still comes is read and dropped for a while.
asio::awaitable<void> Session::linger() {
  lingering_ = true;
  linger_began_ = std::chrono::steady_clock::now();
  co_await stream_.end_writing();
  std::string scratch(limits::read_bytes_first, '\0');
  std::error_code error;
  std::size_t dropped = 0;
  while (!error && !closed_ && dropped < limits::frame_bytes_max_default) {
    dropped += co_await stream_.read_some(scratch, error);
  }
}

asio::awaitable<void> Session::watch_loop() {
  const ServerOptions& options = shared_.options;
  const auto shortest =
      std::min({options.hello_timeout, options.frame_timeout, options.write_timeout});
  const auto tick = std::clamp(shortest / 4, kWatchMin, kWatchMax);
  while (!closed_) {
    watch_.expires_after(tick);
    co_await wait_for(watch_);
    if (closed_) co_return;
    const char* const why = overdue(std::chrono::steady_clock::now());
    if (why != nullptr) co_return cut(why);
  }
}

const char* Session::overdue(TimePoint now) const {
  const ServerOptions& options = shared_.options;
  if (lingering_) return now - linger_began_ > limits::linger_timeout ? "did not hang up" : nullptr;
  if (strange_ && now - began_ > options.hello_timeout) return "no hello in time";
  if (writing_ && now - write_last_ > options.write_timeout) return "does not read";
  // A large frame earns time by what has arrived of it.
  const auto earned =
      std::chrono::milliseconds(frame_bytes_ * 1'000 / limits::frame_bytes_per_second);
  const bool paused = !reading_ || conversation_->outbox().bytes() > limits::outbox_bytes_soft;
  if (reader_.mid_frame() && !paused && now - frame_began_ > options.frame_timeout + earned) {
    return "a frame took too long";
  }
  const bool idle = !writing_ && !reader_.mid_frame() && conversation_->unanswered() == 0;
  if (idle && options.idle_timeout.count() > 0) {
    if (now - std::max(frame_last_, write_last_) > options.idle_timeout) return "idle";
  }
  return nullptr;
}

void Session::on_wake() {
  if (closed_) return;
  if (conversation_->outbox().overflowed()) return cut("does not read");
  something_to_write_.cancel();
}

void Session::cut(const char* why) {
  if (closed_) return;
  shared_.counters.cut_slow.fetch_add(1, std::memory_order_relaxed);
  shared_.tell(ServerEvent::Level::warning, why, conversation_->address());
  close();
}

void Session::close() {
  if (closed_) return;
  closed_ = true;
  reading_ = false;
  conversation_->close();
  stream_.shut();
  something_to_write_.cancel();
  room_to_read_.cancel();
  watch_.cancel();
  if (ended_) ended_();
}

}  // namespace vecserve::net
