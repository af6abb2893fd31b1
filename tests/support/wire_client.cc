// The sockets of the client of bytes. Used by the thread that made it; nothing is shared between
// two of them.
// Always holds: a broken stream or a wait that is too long ends a call, never the process.
#include "tests/support/wire_client.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace vecserve::test {

namespace {

int connect_unix(const std::string& path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return -1;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

int connect_tcp(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos) return -1;
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(text.substr(colon + 1))));
  if (::inet_pton(AF_INET, text.substr(0, colon).c_str(), &address.sin_addr) != 1) return -1;
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
  ::close(fd);
  return -1;
}

}  // namespace

WireClient::WireClient(const std::string& address) {
  constexpr std::string_view kUnix = "unix:";
  fd_ = address.starts_with(kUnix) ? connect_unix(address.substr(kUnix.size()))
                                   : connect_tcp(address);
}

WireClient::~WireClient() {
  if (fd_ >= 0) ::close(fd_);
}

WireClient::WireClient(WireClient&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      next_id_(other.next_id_),
      reader_(std::move(other.reader_)) {}

WireClient& WireClient::operator=(WireClient&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(next_id_, other.next_id_);
  std::swap(reader_, other.reader_);
  return *this;
}

bool WireClient::send(std::string_view bytes) {
  const auto until = std::chrono::steady_clock::now() + kWireWait;
  while (!bytes.empty()) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    pollfd entry = {fd_, POLLOUT, 0};
    if (left.count() <= 0 || ::poll(&entry, 1, static_cast<int>(left.count())) <= 0) return false;
    const std::int64_t count = send_some(bytes);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) continue;
    if (count <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

std::int64_t WireClient::send_some(std::string_view bytes) {
  return ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

bool WireClient::request(const net::RequestEnvelope& envelope, const net::RequestBody& body) {
  return send(frame_bytes(envelope, body));
}

bool WireClient::readable(std::chrono::milliseconds time) const {
  pollfd entry = {fd_, POLLIN, 0};
  return ::poll(&entry, 1, static_cast<int>(time.count())) > 0;
}

std::optional<net::Frame> WireClient::receive() {
  net::Frame frame;
  for (;;) {
    const net::FrameReader::Next next = reader_.next(frame);
    if (next == net::FrameReader::Next::frame) return frame;
    if (next == net::FrameReader::Next::broken) return std::nullopt;
    if (!readable(kWireWait)) return std::nullopt;
    const std::span<char> space = reader_.space();
    const ssize_t count = ::recv(fd_, space.data(), space.size(), 0);
    if (count <= 0) return std::nullopt;
    reader_.filled(static_cast<std::size_t>(count));
  }
}

std::optional<net::Reply> WireClient::try_reply() {
  const std::optional<net::Frame> frame = receive();
  net::Reply reply;
  if (!frame || !net::decode_reply(frame->header, frame->body, reply).ok()) return std::nullopt;
  return reply;
}

net::Reply WireClient::reply() {
  std::optional<net::Reply> reply = try_reply();
  REQUIRE(reply.has_value());
  return std::move(*reply);
}

bool WireClient::closed_within(std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  char scratch[4'096];
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || !readable(left)) return false;
    if (::recv(fd_, scratch, sizeof scratch, 0) <= 0) return true;
  }
}

net::Reply WireClient::hello(std::string_view token) {
  net::HelloRequest hello;
  hello.client = "test";
  hello.token = token;
  return ask(net::Verb::hello, hello);
}

net::Reply WireClient::ask(net::Verb verb, const net::RequestBody& body,
                           std::uint32_t deadline_us) {
  net::RequestEnvelope envelope;
  envelope.verb = verb;
  envelope.id = next_id_++;
  envelope.deadline_us = deadline_us;
  REQUIRE(request(envelope, body));
  net::Reply answer = reply();
  CHECK(answer.request_id == envelope.id);
  CHECK(answer.verb == verb);
  return answer;
}

void WireClient::end_writing() {
  ::shutdown(fd_, SHUT_WR);
}

void WireClient::reset() {
  const linger now = {1, 0};
  ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  ::close(std::exchange(fd_, -1));
}

void WireClient::set_receive_buffer(int bytes) {
  ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
}

Status status_of(const net::Reply& reply) {
  const auto* error = std::get_if<net::ErrorReply>(&reply.body);
  return error == nullptr ? Status() : error->status;
}

std::string frame_bytes(const net::RequestEnvelope& envelope, const net::RequestBody& body) {
  std::string bytes;
  const Status status =
      net::encode_request(envelope, body, net::limits::frame_bytes_ceiling, bytes);
  if (!status.ok()) throw std::runtime_error(status.to_string());
  return bytes;
}

}  // namespace vecserve::test
