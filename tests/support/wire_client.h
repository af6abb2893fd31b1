// A client of bytes, for tests that say what no real client would: it connects, writes whatever it
// is given, and reads frames with a deadline. POSIX sockets, blocking, one thread. Always holds: no
// call waits longer than kWireWait.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/frame.h"
#include "net/reply.h"
#include "net/request.h"

namespace vecserve::test {

inline constexpr std::chrono::seconds kWireWait{20};

class WireClient {
 public:
  // "127.0.0.1:PORT" or "unix:/PATH". connected() tells whether it worked.
  explicit WireClient(const std::string& address);
  ~WireClient();
  WireClient(WireClient&& other) noexcept;
  WireClient& operator=(WireClient&& other) noexcept;

  [[nodiscard]] bool connected() const { return fd_ >= 0; }
  [[nodiscard]] int fd() const { return fd_; }

  // All bytes; false if the peer takes no more.
  bool send(std::string_view bytes);
  // At most what the socket takes at once, without waiting; -1 on an error.
  std::int64_t send_some(std::string_view bytes);
  bool request(const net::RequestEnvelope& envelope, const net::RequestBody& body);

  // The next frame; nullopt at the end of the stream or when it takes too long.
  [[nodiscard]] std::optional<net::Frame> receive();
  // The next frame as a reply; nullopt when there is none that can be read. Asserts nothing, so
  // that threads beside the test's own may use it.
  [[nodiscard]] std::optional<net::Reply> try_reply();
  // The same, but a test failure when there is none.
  [[nodiscard]] net::Reply reply();
  // True when the peer has closed or reset within the time; whatever comes before is dropped.
  [[nodiscard]] bool closed_within(std::chrono::milliseconds time);

  // Says hello and returns the answer.
  [[nodiscard]] net::Reply hello(std::string_view token = {});
  // Sends one request and returns its reply.
  [[nodiscard]] net::Reply ask(net::Verb verb, const net::RequestBody& body,
                               std::uint32_t deadline_us = 0);

  void end_writing();
  void reset();  // closes with RST
  void set_receive_buffer(int bytes);

 private:
  [[nodiscard]] bool readable(std::chrono::milliseconds time) const;

  int fd_ = -1;
  std::uint64_t next_id_ = 1;
  net::FrameReader reader_{net::limits::frame_bytes_ceiling};
};

// The status of an error reply; ok for any other.
[[nodiscard]] Status status_of(const net::Reply& reply);

// A whole frame as bytes.
[[nodiscard]] std::string frame_bytes(const net::RequestEnvelope& envelope,
                                      const net::RequestBody& body);

}  // namespace vecserve::test
