// A port for a server that is to be started as a process of its own and must be named beforehand.
// Comes before the benches and harness programs that start one; any thread. Always holds: nobody
// listened on it at 127.0.0.1 when it was asked for; it is not kept, so another may take it before
// the server does. Complete here, so that tests need no library of the tools for it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>

namespace vecserve::loadgen {

// 0 where the system has none.
[[nodiscard]] inline std::uint16_t free_port() {
  const int probe = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return 0;
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(at);
  auto* const generic = reinterpret_cast<sockaddr*>(&at);
  const bool known = ::bind(probe, generic, size) == 0 && ::getsockname(probe, generic, &size) == 0;
  ::close(probe);
  return known ? ntohs(at.sin_port) : std::uint16_t{0};
}

}  // namespace vecserve::loadgen
