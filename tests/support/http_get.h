// One HTTP request over a plain socket to loopback, for tests of the HTTP face: what a browser, a
// scraper or an attacker would send, byte by byte. Header only; test thread; blocks until the
// server closes. Always holds: no HTTP library is on this side, so the server's own cannot hide its
// faults.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>

namespace vecserve::test {

struct HttpReply {
  int status = 0;  // 0: no answer
  std::string head;
  std::string body;
};

inline HttpReply http_send(std::uint16_t port, const std::string& request) {
  HttpReply reply;
  const int socket = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 &&
      send(socket, request.data(), request.size(), MSG_NOSIGNAL) ==
          static_cast<ssize_t>(request.size())) {
    char buffer[16'384];
    for (ssize_t count = 0; (count = recv(socket, buffer, sizeof(buffer), 0)) > 0;) {
      answer.append(buffer, static_cast<std::size_t>(count));
    }
  }
  close(socket);
  const std::size_t end = answer.find("\r\n\r\n");
  if (end == std::string::npos || answer.size() < 12) return reply;
  reply.head = answer.substr(0, end);
  reply.body = answer.substr(end + 4);
  reply.status = std::stoi(answer.substr(9, 3));
  return reply;
}

inline HttpReply http_get(std::uint16_t port, const std::string& path,
                          const std::string& host = "localhost") {
  return http_send(port,
                   "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n");
}

}  // namespace vecserve::test
