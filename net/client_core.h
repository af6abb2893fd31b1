// The calls of a client: admits them, spreads them over links, matches replies, and ends each by
// its reply, its deadline, its cancellation or the end of the client. Below the public Client,
// above the links. Any thread may submit and cancel; everything else happens on the client's
// thread. Always holds: every submitted call's `done` runs exactly once, on the client's thread; a
// call is in calls_ from its arrival there until then.
#pragma once

#include <asio.hpp>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "net/client_call.h"
#include "net/client_link.h"
#include "net/client_throttle.h"
#include "vecserve/client.h"
#include "vecserve/status.h"

namespace vecserve::net {

class ClientCore {
 public:
  using TimePoint = ClientCall::TimePoint;

  // Returns when the first link is up, or with why it could not be.
  [[nodiscard]] static Result<std::unique_ptr<ClientCore>> start(const ClientOptions& options);
  ~ClientCore();
  ClientCore(const ClientCore&) = delete;
  ClientCore& operator=(const ClientCore&) = delete;

  // Numbers, frames and submits a call; `body` is read before it returns. Even what is refused here
  // ends in `done`.
  CallId begin(Verb verb, const RequestBody& body, const CallOptions& options, Deadline deadline,
               ClientCall::Done done);
  void cancel(CallId call);
  void recall(CallId call, bool waiting_only);
  void close();

  // A request id for a write that brings none.
  [[nodiscard]] RequestId next_request_id();
  // Whether the calling thread is the one that callbacks run on, where waiting would never end.
  [[nodiscard]] bool on_own_thread() const;

  [[nodiscard]] ServerInfo server_info() const;
  [[nodiscard]] ClientStats stats() const;

 private:
  explicit ClientCore(const ClientOptions& options);
  [[nodiscard]] Status launch();
  void run();

  // Any thread.
  [[nodiscard]] Status admit(Verb verb, std::size_t bytes, CallInfo& info);
  [[nodiscard]] bool hand_over(const ClientCallPtr& call);  // false: closed meanwhile
  void refuse(const ClientCallPtr& call, const Status& status);

  // The client's thread.
  void take_inbox();
  void place(const ClientCallPtr& call);
  void place_waiting();
  [[nodiscard]] ClientLink* link_for(const ClientCall& call);
  void send(const ClientCallPtr& call, ClientLink& link);
  void send_cancel(ClientLink& link, std::uint64_t target, bool waiting_only = false);
  void on_up(ClientLink& link, const HelloReply& hello);
  void on_reply(ClientLink& link, Reply& reply);
  void on_down(ClientLink& link, const Status& why);
  [[nodiscard]] bool try_again(const ClientCallPtr& call, const ErrorReply& error);
  void finish(const ClientCallPtr& call, const Status& status, Reply& reply);
  void fail(const ClientCallPtr& call, const Status& status);
  void leave_link(ClientCall& call);
  void count_links();
  void cancel_now(CallId id);
  void recall_now(CallId id, bool waiting_only);
  void arm_timer();
  void on_timer();
  void stop_now();

  // Below everything that has sockets or timers on it, and gone after them. The client's thread
  // runs it; any thread may post to it.
  asio::io_context io_;

  // Constant after launch().
  const ClientOptions options_;
  std::uint64_t client_id_ = 0;
  ClientLinkEvents events_;
  std::vector<std::shared_ptr<ClientLink>> links_;

  // Any thread.
  std::atomic<std::uint64_t> next_id_{1};
  std::atomic<std::uint64_t> next_sequence_{1};
  std::atomic<std::size_t> frame_bytes_max_;
  std::atomic<std::uint64_t> retries_{0};
  std::atomic<std::uint64_t> connects_{0};
  std::atomic<std::uint64_t> bytes_sent_{0};
  std::atomic<std::uint64_t> bytes_received_{0};
  std::atomic<std::uint32_t> links_up_{0};

  // Guarded by mutex_.
  mutable std::mutex mutex_;
  std::vector<ClientCallPtr> inbox_;
  bool closed_ = false;
  Throttle throttle_;
  RetryBudget budget_;
  std::mt19937_64 random_;
  std::uint64_t running_ = 0;  // calls that were admitted and are not done
  std::size_t running_bytes_ = 0;
  ClientStats counted_;
  ServerInfo server_;
  Status last_down_;  // why there is no connection; for texts

  // The client's thread only.
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::steady_timer timer_;
  TimePoint armed_ = TimePoint::max();
  std::unordered_map<CallId, ClientCallPtr> calls_;
  std::set<std::pair<TimePoint, CallId>> deadlines_;  // one for each of calls_
  std::set<std::pair<TimePoint, CallId>> pauses_;     // refused calls that will be sent again
  std::set<CallId> waiting_;                          // without a link; the oldest goes first
  bool stopping_ = false;
  std::function<void(const Status&)> on_first_;  // until the first link is up or failed

  std::thread thread_;  // last, so that it is gone first
};

}  // namespace vecserve::net
