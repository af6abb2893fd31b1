// One connection: reads frames into its conversation, writes its outbox, and watches the clock.
// Above SessionStream, below the server. Three coroutines on one io thread: reader, writer,
// watchdog; each keeps the session alive while it runs. stop() may come from any thread.
// Always holds: whoever does not read, does not finish a frame or does not say hello in time is cut
// off within a second of its limit; reading pauses while the outbox holds much.
#pragma once

#include <asio.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "net/conversation.h"
#include "net/frame.h"
#include "net/server_shared.h"
#include "net/session_stream.h"

namespace vecserve::net {

class Session : public std::enable_shared_from_this<Session> {
 public:
  // `context` is the one that the socket belongs to.
  [[nodiscard]] static std::shared_ptr<Session> make(ServerShared& shared,
                                                     std::shared_ptr<asio::io_context> context,
                                                     SessionStream::Socket socket,
                                                     std::shared_ptr<asio::ssl::context> tls,
                                                     std::string address);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // On its io thread, once. `ended` is called when the connection is closed.
  void start(std::function<void()> ended);
  // Cuts the connection off; any thread.
  void stop();
  // True when every request is answered and every reply written; any thread.
  [[nodiscard]] bool idle() const;

 private:
  using TimePoint = std::chrono::steady_clock::time_point;

  Session(ServerShared& shared, std::shared_ptr<asio::io_context> context,
          SessionStream::Socket socket, std::shared_ptr<asio::ssl::context> tls);

  [[nodiscard]] asio::awaitable<void> read_loop();
  [[nodiscard]] asio::awaitable<void> write_loop();
  [[nodiscard]] asio::awaitable<void> watch_loop();
  [[nodiscard]] asio::awaitable<bool> write_all(std::string_view bytes);
  [[nodiscard]] asio::awaitable<void> linger();

  // Whole frames that were read; false when nothing more is to be read.
  [[nodiscard]] bool take_frames();
  void account();
  void on_wake();
  // What takes too long at this moment; null if nothing does.
  [[nodiscard]] const char* overdue(TimePoint now) const;
  void cut(const char* why);
  void close();

  ServerShared& shared_;
  const std::shared_ptr<asio::io_context> context_;
  SessionStream stream_;
  std::shared_ptr<Conversation> conversation_;
  FrameReader reader_;
  std::function<void()> ended_;

  // The io thread's own. The timers never expire but by cancel: they are events.
  asio::steady_timer something_to_write_;
  asio::steady_timer room_to_read_;
  asio::steady_timer watch_;
  bool reading_ = true;
  bool writing_ = false;    // a write is under way
  bool lingering_ = false;  // all is said
  bool closed_ = false;
  bool strange_ = true;          // counted among those before their hello
  std::size_t counted_ = 0;      // of what reader_ holds, in the total
  std::size_t frame_bytes_ = 0;  // arrived of the frame that has begun
  TimePoint began_;
  TimePoint frame_began_;
  TimePoint frame_last_;  // when the last whole frame arrived
  TimePoint write_last_;  // when the last byte was taken
  TimePoint linger_began_;
};

}  // namespace vecserve::net
