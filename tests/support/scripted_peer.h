// A server that does what a test says: it listens on a loopback port, greets, and hands each
// request to a function of the test, which answers as it likes, or not at all. Stands below the
// tests of the client. A thread of its own, plain blocking sockets, nothing of the product's
// networking but its codecs. Always holds: one connection is served at a time; the destructor ends
// it and joins the thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/frame.h"
#include "net/reply.h"
#include "net/request.h"
#include "vecserve/client.h"

namespace vecserve::test {

// A request as it arrived.
struct PeerRequest {
  net::FrameHeader header;
  std::string body;  // what `request` points into
  net::RequestBody request;
};

// The peer's end of one connection.
class PeerConnection {
 public:
  explicit PeerConnection(int socket) : socket_(socket) {}

  // False when the client is gone.
  bool next(PeerRequest& request);
  void reply(const net::FrameHeader& to, const net::ReplyBody& body,
             const ServedStages& served = {}, bool more = false);
  void refuse(const net::FrameHeader& to, const net::ErrorReply& error);
  void send(const std::string& bytes);
  // Reads the hello and answers it.
  bool greet(const net::HelloReply& hello);

 private:
  int socket_;
  net::FrameReader reader_{net::limits::frame_bytes_max_default};
};

class ScriptedPeer {
 public:
  // Serves one connection until it returns; which connection it is counts from 0. Returning closes
  // the connection.
  using Script = std::function<void(PeerConnection& connection, std::uint32_t number)>;

  explicit ScriptedPeer(Script script);
  ~ScriptedPeer();
  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  [[nodiscard]] std::string address() const;  // "127.0.0.1:PORT"
  [[nodiscard]] std::uint16_t port() const { return port_; }
  // For clients that wait long for an answer, and hardly between two tries.
  [[nodiscard]] ClientOptions client_options() const;

  // What most scripts do: greet, then answer each request by `answer` until the client goes.
  using Answer = std::function<void(PeerConnection&, const PeerRequest&)>;
  [[nodiscard]] static Script answering(Answer answer);
  [[nodiscard]] static net::HelloReply usual_hello();

 private:
  void serve();

  Script script_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::mutex mutex_;
  int connection_ = -1;  // guarded by mutex_
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace vecserve::test
