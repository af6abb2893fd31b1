// See client_core.h.
// What any thread may do: begin, cancel, close, look; and the life of the client's thread. The rest
// is in client_calls.cc. Always holds: mutex_ is never held while a callback or a link runs.
#include "net/client_core.h"

#include <algorithm>
#include <future>
#include <new>
#include <utility>

#include "net/brief_lock.h"
#include "net/limits.h"

namespace vecserve::net {
namespace {

// The deadline on the wire has 32 bits of microseconds.
std::uint32_t relative_us(ClientCall::TimePoint now, ClientCall::TimePoint deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::microseconds>(deadline - now).count();
  return static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(left, 1, std::int64_t{limits::deadline_us_max}));
}

// Sent twice, these would fail the second time, or do their work twice.
bool is_repeatable(Verb verb) {
  return verb != Verb::create_collection && verb != Verb::drop_collection &&
         verb != Verb::checkpoint && verb != Verb::restore;
}

}  // namespace

ClientCore::ClientCore(const ClientOptions& options)
    : options_(options),
      frame_bytes_max_(limits::frame_bytes_max_default),
      random_(std::random_device{}()),
      work_(io_.get_executor()),
      timer_(io_) {}

ClientCore::~ClientCore() {
  close();
}

Result<std::unique_ptr<ClientCore>> ClientCore::start(const ClientOptions& options) {
  VECSERVE_TRY(options.validate());
  std::unique_ptr<ClientCore> core(new ClientCore(options));
  VECSERVE_TRY(core->launch());
  return core;
}

Status ClientCore::launch() {
  Result<ClientAddress> address = parse_client_address(options_.address);
  VECSERVE_TRY(address.status());
  Result<std::shared_ptr<asio::ssl::context>> tls = make_client_tls(options_.tls);
  VECSERVE_TRY(tls.status());
  // The halves of a request id: the client's is its own, or drawn; the sequence begins anywhere, so
  // that a client that comes back under its id does not repeat one that the server remembers.
  client_id_ = options_.client_id != 0 ? options_.client_id : random_() | 1;
  next_sequence_ = (random_() >> 1) | 1;
  events_.up = [this](ClientLink& link, const HelloReply& hello) { on_up(link, hello); };
  events_.reply = [this](ClientLink& link, Reply& reply) { on_reply(link, reply); };
  events_.down = [this](ClientLink& link, const Status& why) { on_down(link, why); };
  events_.sent = [this](std::size_t bytes) { bytes_sent_ += bytes; };
  events_.received = [this](std::size_t bytes) { bytes_received_ += bytes; };
  for (std::uint32_t i = 0; i < options_.connections; ++i) {
    links_.push_back(
        std::make_shared<ClientLink>(io_, options_, *address, *tls, events_, random_()));
  }
  std::promise<Status> first;
  on_first_ = [&first](const Status& status) { first.set_value(status); };
  thread_ = std::thread([this] { run(); });
  asio::post(io_, [this] {
    for (const auto& link : links_) link->start();
  });
  return first.get_future().get();
}

void ClientCore::run() {
  while (true) {
    try {
      io_.run();
      return;
    } catch (const std::bad_alloc&) {
      // What was being done is lost with its connection; the calls end by their deadlines.
      continue;
    }
  }
}

void ClientCore::close() {
  {
    const auto lock = lock_briefly(mutex_);
    if (closed_) return;
    closed_ = true;
  }
  if (!thread_.joinable()) return;
  asio::post(io_, [this] { stop_now(); });
  thread_.join();
}

CallId ClientCore::begin(Verb verb, const RequestBody& body, const CallOptions& options,
                         Deadline deadline, ClientCall::Done done) {
  const TimePoint now = std::chrono::steady_clock::now();
  auto call = std::make_shared<ClientCall>();
  call->envelope.verb = verb;
  call->envelope.id = next_id_.fetch_add(1, std::memory_order_relaxed);
  call->envelope.priority = options.priority;
  call->deadline = std::min(deadline, now + options.timeout.value_or(options_.timeout));
  call->envelope.deadline_us = relative_us(now, call->deadline);
  call->attempts_max = std::clamp(options.attempts_max.value_or(options_.attempts_max),
                                  std::uint32_t{1}, std::uint32_t{10});
  call->repeatable = is_repeatable(verb);
  call->done = std::move(done);
  call->info.called = now;
  call->framed = now;
  Status status = encode_request(call->envelope, body, frame_bytes_max_, call->frame);
  if (status.ok()) status = admit(verb, call->frame.size(), call->info);
  const CallId id = call->envelope.id;
  if (status.ok() && !hand_over(call)) status = {StatusCode::cancelled, "the client is closed"};
  if (!status.ok()) refuse(call, status);
  return id;
}

// Such a call never counted as running; it only borrows the thread for its callback. After close()
// there is no thread any more, and the caller's has to do.
void ClientCore::refuse(const ClientCallPtr& call, const Status& status) {
  auto end = [call, status] {
    Reply nothing;
    call->done(status, nothing, call->info);
  };
  {
    const auto lock = lock_briefly(mutex_);
    if (!closed_) {
      asio::post(io_, std::move(end));
      return;
    }
  }
  end();
}

Status ClientCore::admit(Verb verb, std::size_t bytes, CallInfo& info) {
  const auto lock = lock_briefly(mutex_);
  ++counted_.calls;
  if (closed_) return {StatusCode::cancelled, "the client is closed"};
  if (running_ >= options_.calls_max) {
    return {StatusCode::resource_exhausted, "calls_max calls are waiting for their replies"};
  }
  if (running_bytes_ + bytes > options_.call_bytes_max) {
    return {StatusCode::resource_exhausted, "call_bytes_max bytes wait for their replies"};
  }
  if (options_.throttle && verb != Verb::ping) {
    const double share = throttle_.share(info.called);
    if (share > 0.0 && std::uniform_real_distribution<double>(0.0, 1.0)(random_) < share) {
      throttle_.on_end(info.called, false);
      ++counted_.throttled;
      info.throttled = true;
      return {StatusCode::resource_exhausted,
              "the server refuses most calls; this one was held back"};
    }
  }
  budget_.on_call();
  ++running_;
  running_bytes_ += bytes;
  return {};
}

bool ClientCore::hand_over(const ClientCallPtr& call) {
  const auto lock = lock_briefly(mutex_);
  if (closed_) {
    --running_;
    running_bytes_ -= call->frame.size();
    return false;
  }
  inbox_.push_back(call);
  if (inbox_.size() == 1) asio::post(io_, [this] { take_inbox(); });
  return true;
}

void ClientCore::cancel(CallId call) {
  const auto lock = lock_briefly(mutex_);
  if (!closed_) asio::post(io_, [this, call] { cancel_now(call); });
}

void ClientCore::recall(CallId call, bool waiting_only) {
  const auto lock = lock_briefly(mutex_);
  if (!closed_) {
    asio::post(io_, [this, call, waiting_only] { recall_now(call, waiting_only); });
  }
}

RequestId ClientCore::next_request_id() {
  return {client_id_, next_sequence_.fetch_add(1, std::memory_order_relaxed)};
}

bool ClientCore::on_own_thread() const {
  return std::this_thread::get_id() == thread_.get_id();
}

ServerInfo ClientCore::server_info() const {
  const auto lock = lock_briefly(mutex_);
  return server_;
}

ClientStats ClientCore::stats() const {
  const auto lock = lock_briefly(mutex_);
  ClientStats stats = counted_;
  stats.retries = retries_;
  stats.connects = connects_;
  stats.in_flight = running_;
  stats.bytes_sent = bytes_sent_;
  stats.bytes_received = bytes_received_;
  stats.connections_up = links_up_;
  return stats;
}

}  // namespace vecserve::net
