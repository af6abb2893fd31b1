// The order in which a hello is judged: verb, body, version, address, token. Between the first
// frame and the conversation. Always holds: a token is compared only when the address need not
// wait, and only its digest is looked at.
#include "net/greeting.h"

#include <algorithm>

#include "net/request.h"

namespace vecserve::net {

namespace {

Status judge_version(const HelloRequest& hello, ErrorReply& error) {
  const bool ordered = hello.version_min <= hello.version_max;
  if (ordered && hello.version_min <= kVersionMax && hello.version_max >= kVersionMin) return {};
  error.version_min = kVersionMin;
  error.version_max = kVersionMax;
  return {StatusCode::unimplemented, "no version of the protocol is spoken by both sides",
          "version"};
}

Status judge_token(ServerShared& shared, const std::string& address, const HelloRequest& hello,
                   Identity& identity, ErrorReply& error) {
  if (shared.options.token_file.empty()) {
    identity = Identity::anybody();
    return {};
  }
  const auto now = shared.clock.steady_now();
  const auto wait = shared.guard.wait_of(address, now);
  if (wait.count() > 0) {
    error.retry.retry_after = wait;
    return {StatusCode::unauthenticated, "too many wrong tokens from this address; wait"};
  }
  const auto tokens = shared.tokens();
  const Identity* found = tokens->find(hello.token);
  if (found == nullptr) {
    shared.guard.failed(address, now);
    return {StatusCode::unauthenticated, "the token is not known here", "token"};
  }
  shared.guard.succeeded(address);
  identity = *found;
  return {};
}

Status judge(ServerShared& shared, const std::string& address, const Frame& frame,
             Greeting& greeting, ErrorReply& error) {
  if (frame.header.verb != Verb::hello || frame.header.is_reply()) {
    return {StatusCode::unauthenticated, "a connection begins with hello"};
  }
  RequestBody request;
  VECSERVE_TRY(decode_request(frame.header, frame.body, request));
  const auto& hello = std::get<HelloRequest>(request);
  VECSERVE_TRY(judge_version(hello, error));
  VECSERVE_TRY(judge_token(shared, address, hello, greeting.identity, error));
  greeting.version = std::min(hello.version_max, kVersionMax);
  return {};
}

}  // namespace

ErrorReply judge_hello(ServerShared& shared, const std::string& address, const Frame& frame,
                       Greeting& greeting) {
  ErrorReply error;
  error.status = judge(shared, address, frame, greeting, error);
  return error;
}

HelloReply hello_of(const ServerOptions& options, const Greeting& greeting) {
  HelloReply reply;
  reply.version = greeting.version;
  reply.server = "vecserve";
  reply.frame_bytes_max = options.frame_bytes_max;
  reply.requests_max = options.connection_requests_max;
  reply.bytes_max = options.connection_bytes_max;
  reply.idle_timeout_ms = static_cast<std::uint64_t>(options.idle_timeout.count());
  reply.scopes = greeting.identity.scopes_anywhere();
  return reply;
}

}  // namespace vecserve::net
