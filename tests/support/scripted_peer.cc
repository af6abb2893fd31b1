// See scripted_peer.h.
// Blocking reads end when the destructor shuts the socket down. The peer's own thread runs scripts.
// Always holds: what is sent is sent whole; a client that left is no error here.
#include "tests/support/scripted_peer.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "engine/base/check.h"

namespace vecserve::test {

bool PeerConnection::next(PeerRequest& request) {
  net::Frame frame;
  while (true) {
    const auto next = reader_.next(frame);
    if (next == net::FrameReader::Next::broken) return false;
    if (next == net::FrameReader::Next::frame) break;
    const auto space = reader_.space();
    const ssize_t count = ::recv(socket_, space.data(), space.size(), 0);
    if (count <= 0) return false;
    reader_.filled(static_cast<std::size_t>(count));
  }
  request.header = frame.header;
  request.body = std::move(frame.body);
  return net::decode_request(request.header, request.body, request.request).ok();
}

void PeerConnection::send(const std::string& bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t count = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (count <= 0) return;
    sent += static_cast<std::size_t>(count);
  }
}

void PeerConnection::reply(const net::FrameHeader& to, const net::ReplyBody& body,
                           const ServedStages& served, bool more) {
  std::string bytes;
  const net::ReplyEnvelope envelope{to.verb, to.request_id, more, to.version};
  if (const auto* const found = std::get_if<SearchResult>(&body)) {
    net::encode_search_reply(envelope, served, {found, 0, found->query_count()}, bytes);
  } else {
    net::encode_reply(envelope, served, body, bytes);
  }
  send(bytes);
}

void PeerConnection::refuse(const net::FrameHeader& to, const net::ErrorReply& error) {
  std::string bytes;
  net::encode_error_reply({to.verb, to.request_id, false, to.version}, {}, error, bytes);
  send(bytes);
}

bool PeerConnection::greet(const net::HelloReply& hello) {
  PeerRequest request;
  if (!next(request) || request.header.verb != net::Verb::hello) return false;
  reply(request.header, hello);
  return true;
}

ScriptedPeer::ScriptedPeer(Script script) : script_(std::move(script)) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  VECSERVE_CHECK(::bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0);
  VECSERVE_CHECK(::listen(listener_, 16) == 0);
  VECSERVE_CHECK(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { serve(); });
}

ScriptedPeer::~ScriptedPeer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (connection_ >= 0) ::shutdown(connection_, SHUT_RDWR);
    ::shutdown(listener_, SHUT_RDWR);
  }
  thread_.join();
  ::close(listener_);
}

void ScriptedPeer::serve() {
  for (std::uint32_t number = 0;; ++number) {
    const int socket = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || socket < 0) {
        if (socket >= 0) ::close(socket);
        return;
      }
      connection_ = socket;
    }
    PeerConnection connection(socket);
    script_(connection, number);
    const std::lock_guard lock(mutex_);
    connection_ = -1;
    ::close(socket);
  }
}

std::string ScriptedPeer::address() const {
  return "127.0.0.1:" + std::to_string(port_);
}

ClientOptions ScriptedPeer::client_options() const {
  ClientOptions options;
  options.address = address();
  options.timeout = std::chrono::seconds(20);
  options.backoff_min = std::chrono::milliseconds(1);
  options.backoff_max = std::chrono::milliseconds(5);
  return options;
}

net::HelloReply ScriptedPeer::usual_hello() {
  net::HelloReply hello;
  hello.server = "scripted";
  hello.frame_bytes_max = net::limits::frame_bytes_max_default;
  hello.requests_max = net::limits::connection_requests_max_default;
  hello.bytes_max = net::limits::connection_bytes_max_default;
  hello.scopes = net::kScopesAll;
  return hello;
}

ScriptedPeer::Script ScriptedPeer::answering(Answer answer) {
  return [answer = std::move(answer)](PeerConnection& connection, std::uint32_t) {
    if (!connection.greet(usual_hello())) return;
    PeerRequest request;
    while (connection.next(request)) answer(connection, request);
  };
}

}  // namespace vecserve::test
