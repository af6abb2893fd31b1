// Accepting: bounds on connections, what a refused one is told, and that accepting goes on after
// file descriptors ran out. Real sockets; the process's own limit is lowered for a while. Always
// holds: after each case the server accepts again.
#include "net/server_listener.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "tests/support/served_database.h"

namespace vecserve::net {
namespace {

constexpr std::chrono::seconds kSoon{20};

template <typename Condition>
bool comes_true(Condition&& condition) {
  const auto until = std::chrono::steady_clock::now() + kSoon;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::yield();
  }
  return true;
}

bool answers(const std::string& address) {
  test::WireClient client(address);
  HelloRequest hello;
  if (!client.connected() || !client.request({.verb = Verb::hello, .id = 1}, hello)) return false;
  const std::optional<Reply> reply = client.try_reply();
  return reply && std::holds_alternative<HelloReply>(reply->body);
}

TEST_CASE("server_listener: N5 too many connections are refused with a reason",
          "[server_listener]") {
  ServerOptions options;
  options.connections_max = 3;
  test::ServedDatabase served(options);
  std::vector<test::WireClient> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(served.client());
  test::WireClient refused(served.address);
  REQUIRE(refused.connected());
  const Reply reply = refused.reply();
  CHECK(test::status_of(reply).code() == StatusCode::resource_exhausted);
  CHECK(std::get<ErrorReply>(reply.body).retry.retry_after.count() > 0);
  CHECK(refused.closed_within(kSoon));
  clients.pop_back();
  CHECK(comes_true([&] { return answers(served.address); }));
}

TEST_CASE("server_listener: N5 strangers cannot take all places", "[server_listener]") {
  ServerOptions options;
  options.connections_strange_max = 2;
  test::ServedDatabase served(options);
  test::WireClient good = served.client();
  std::vector<test::WireClient> strangers;
  for (int i = 0; i < 20; ++i) strangers.emplace_back(served.address);
  CHECK(comes_true([&] { return served.server->counters().connections_refused.load() >= 18; }));
  CHECK(test::status_of(good.ask(Verb::ping, EmptyRequest())).ok());
  strangers.clear();
  CHECK(comes_true([&] { return answers(served.address); }));
}

// Opens descriptors until the process may have no more.
class NoDescriptors {
 public:
  NoDescriptors() {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = 200;
    ::setrlimit(RLIMIT_NOFILE, &low);
    for (int fd = ::open("/dev/null", O_RDONLY); fd >= 0; fd = ::open("/dev/null", O_RDONLY)) {
      taken_.push_back(fd);
    }
  }
  ~NoDescriptors() {
    release();
    ::setrlimit(RLIMIT_NOFILE, &before_);
  }
  void release_one() {
    ::close(taken_.back());
    taken_.pop_back();
  }
  void release() {
    for (const int fd : taken_) ::close(fd);
    taken_.clear();
  }

 private:
  rlimit before_ = {};
  std::vector<int> taken_;
};

TEST_CASE("server_listener: N5 accepting goes on when descriptors are free again",
          "[server_listener]") {
  test::ServedDatabase served;
  CHECK(answers(served.address));
  NoDescriptors none;
  none.release_one();  // for the client's own end
  test::WireClient hopeless(served.address);
  REQUIRE(hopeless.connected());
  CHECK(hopeless.closed_within(kSoon));  // refused, not left to hang
  CHECK(comes_true([&] { return served.server->counters().accepts_failed.load() > 0; }));
  none.release();
  CHECK(comes_true([&] { return answers(served.address); }));
}

}  // namespace
}  // namespace vecserve::net
