// See client_core.h.
// What happens on the client's thread: placing calls on links, replies, losses, deadlines and
// retries. Always holds: a call of calls_ is in exactly one of three states: on a link, in
// waiting_, or in pauses_.
#include <algorithm>
#include <iterator>
#include <utility>

#include "net/brief_lock.h"
#include "net/client_core.h"
#include "net/limits.h"

namespace vecserve::net {
namespace {

// A frame that waited longer than this gets its deadline written anew.
constexpr std::chrono::milliseconds kFrameFresh{1};

// Refused for lack of room or time, as opposed to failed.
bool is_refusal(const ErrorReply& error) {
  const StatusCode code = error.status.code();
  return code == StatusCode::resource_exhausted &&
         (error.retry.retry_after.count() > 0 || error.retry.predicted_wait.count() > 0);
}

// Writes the header of a framed request again, for the time that is left now.
void refresh(ClientCall& call, ClientCall::TimePoint now) {
  const auto left =
      std::chrono::duration_cast<std::chrono::microseconds>(call.deadline - now).count();
  call.envelope.deadline_us = static_cast<std::uint32_t>(
      std::clamp<std::int64_t>(left, 1, std::int64_t{limits::deadline_us_max}));
  FrameHeader header;
  header.version = call.envelope.version;
  header.verb = call.envelope.verb;
  header.priority = call.envelope.priority;
  header.request_id = call.envelope.id;
  header.deadline_us = call.envelope.deadline_us;
  end_frame(header, 0, call.frame);
  call.framed = now;
}

}  // namespace

void ClientCore::take_inbox() {
  std::vector<ClientCallPtr> arrived;
  {
    const auto lock = lock_briefly(mutex_);
    arrived.swap(inbox_);
  }
  for (const ClientCallPtr& call : arrived) {
    const CallId id = call->envelope.id;
    calls_.emplace(id, call);
    deadlines_.emplace(call->deadline, id);
    if (stopping_) {
      fail(call, {StatusCode::cancelled, "the client was closed"});
    } else {
      place(call);
    }
  }
  arm_timer();
}

void ClientCore::place(const ClientCallPtr& call) {
  // Those that wait already go first.
  ClientLink* const link = waiting_.empty() ? link_for(*call) : nullptr;
  if (link == nullptr) {
    waiting_.insert(call->envelope.id);
  } else {
    send(call, *link);
  }
}

void ClientCore::place_waiting() {
  while (!waiting_.empty()) {
    const ClientCallPtr call = calls_.at(*waiting_.begin());
    ClientLink* const link = link_for(*call);
    if (link == nullptr) return;
    waiting_.erase(waiting_.begin());
    send(call, *link);
  }
}

ClientLink* ClientCore::link_for(const ClientCall& call) {
  ClientLink* best = nullptr;
  for (const auto& link : links_) {
    if (!link->up() || link->calls >= link->calls_max) continue;
    // A call that is larger than all that the server allows at once goes alone, and is judged
    // there.
    if (link->calls > 0 && link->call_bytes + call.frame.size() > link->call_bytes_max) continue;
    if (best == nullptr || link->calls < best->calls) best = link.get();
  }
  return best;
}

void ClientCore::send(const ClientCallPtr& call, ClientLink& link) {
  const TimePoint now = std::chrono::steady_clock::now();
  if (now - call->framed > kFrameFresh) refresh(*call, now);
  call->link = &link;
  call->info.sent = now;
  ++call->info.attempts;
  ++link.calls;
  link.call_bytes += call->frame.size();
  link.write(call, call->frame);
}

void ClientCore::send_cancel(ClientLink& link, std::uint64_t target, bool waiting_only) {
  RequestEnvelope envelope;
  envelope.verb = Verb::cancel;
  envelope.id = next_id_.fetch_add(1, std::memory_order_relaxed);
  auto bytes = std::make_shared<std::string>();
  if (encode_request(envelope, CancelRequest{target, waiting_only}, frame_bytes_max_, *bytes)
          .ok()) {
    link.write(bytes, *bytes);
  }
}

void ClientCore::on_up(ClientLink& /*link*/, const HelloReply& hello) {
  ++connects_;
  count_links();
  frame_bytes_max_ = hello.frame_bytes_max;
  {
    const auto lock = lock_briefly(mutex_);
    server_.version = hello.server;
    server_.protocol = hello.version;
    server_.frame_bytes_max = hello.frame_bytes_max;
  }
  if (on_first_) std::exchange(on_first_, nullptr)(Status());
  place_waiting();
}

void ClientCore::on_reply(ClientLink& link, Reply& reply) {
  const auto found = calls_.find(reply.request_id);
  if (found == calls_.end() || found->second->link != &link) return;  // it ended before
  const ClientCallPtr call = found->second;
  call->info.received = std::chrono::steady_clock::now();
  call->info.server = reply.served;
  if (reply.more) {
    if (auto* const page = std::get_if<RowsReply>(&reply.body)) {
      std::move(page->rows.begin(), page->rows.end(), std::back_inserter(call->rows));
    }
    return;
  }
  leave_link(*call);
  const auto* const error = std::get_if<ErrorReply>(&reply.body);
  const bool refused = error != nullptr && is_refusal(*error);
  {
    const auto lock = lock_briefly(mutex_);
    ++counted_.replies;
    if (refused) ++counted_.refused;
    throttle_.on_end(call->info.received, !refused);
  }
  if (error == nullptr) {
    finish(call, Status(), reply);
  } else {
    call->info.retry = error->retry;
    if (!try_again(call, *error)) finish(call, error->status, reply);
  }
  place_waiting();
}

bool ClientCore::try_again(const ClientCallPtr& call, const ErrorReply& error) {
  if (!is_refusal(error) || error.retry.retry_after.count() == 0) return false;
  if (stopping_ || call->info.attempts >= call->attempts_max) return false;
  TimePoint when = std::chrono::steady_clock::now() + error.retry.retry_after;
  {
    const auto lock = lock_briefly(mutex_);
    // Up to half as long again, so that those who were refused together do not return together.
    std::uniform_int_distribution<std::int64_t> jitter(0, error.retry.retry_after.count() / 2);
    when += std::chrono::microseconds(jitter(random_));
    if (when >= call->deadline || !budget_.take()) return false;
  }
  ++retries_;
  call->rows.clear();
  pauses_.emplace(when, call->envelope.id);
  arm_timer();
  return true;
}

void ClientCore::on_down(ClientLink& link, const Status& why) {
  std::vector<ClientCallPtr> lost;
  for (const auto& [id, call] : calls_) {
    if (call->link == &link) lost.push_back(call);
  }
  count_links();
  {
    const auto lock = lock_briefly(mutex_);
    last_down_ = why;
  }
  std::sort(lost.begin(), lost.end(), [](const ClientCallPtr& a, const ClientCallPtr& b) {
    return a->envelope.id < b->envelope.id;
  });
  for (const ClientCallPtr& call : lost) {
    leave_link(*call);
    if (!call->repeatable || call->info.attempts >= call->attempts_max) {
      fail(call, {StatusCode::unavailable, why.message()});
      continue;
    }
    ++retries_;
    call->rows.clear();
    place(call);
  }
  // Who is not let in will not be let in by waiting.
  if (links_up_ == 0 && why.code() != StatusCode::unavailable) {
    std::vector<ClientCallPtr> all;
    for (const CallId id : waiting_) all.push_back(calls_.at(id));
    for (const ClientCallPtr& call : all) fail(call, why);
  }
  if (on_first_) std::exchange(on_first_, nullptr)(why);
}

void ClientCore::count_links() {
  links_up_ = static_cast<std::uint32_t>(
      std::count_if(links_.begin(), links_.end(), [](const auto& link) { return link->up(); }));
}

void ClientCore::leave_link(ClientCall& call) {
  if (call.link == nullptr) return;
  if (call.link->up()) {
    --call.link->calls;
    call.link->call_bytes -= call.frame.size();
  }
  call.link = nullptr;
}

void ClientCore::finish(const ClientCallPtr& call, const Status& status, Reply& reply) {
  leave_link(*call);
  const CallId id = call->envelope.id;
  if (auto* const page = std::get_if<RowsReply>(&reply.body); page && !call->rows.empty()) {
    std::move(page->rows.begin(), page->rows.end(), std::back_inserter(call->rows));
    page->rows = std::move(call->rows);
  }
  waiting_.erase(id);
  deadlines_.erase({call->deadline, id});
  calls_.erase(id);
  {
    const auto lock = lock_briefly(mutex_);
    --running_;
    running_bytes_ -= call->frame.size();
  }
  call->done(status, reply, call->info);
}

void ClientCore::fail(const ClientCallPtr& call, const Status& status) {
  Reply nothing;
  finish(call, status, nothing);
}

void ClientCore::cancel_now(CallId id) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const ClientCallPtr call = found->second;
  if (call->link != nullptr && call->link->up()) send_cancel(*call->link, id);
  fail(call, {StatusCode::cancelled, "the caller cancelled it"});
  place_waiting();
}

void ClientCore::recall_now(CallId id, bool waiting_only) {
  const auto found = calls_.find(id);
  if (found == calls_.end()) return;
  const ClientCallPtr call = found->second;
  if (call->link != nullptr && call->link->up()) {
    return send_cancel(*call->link, id, waiting_only);
  }
  // It is not out, or its connection is lost: no server will say anything about it.
  fail(call, {StatusCode::cancelled, "the caller took it back"});
  place_waiting();
}

void ClientCore::arm_timer() {
  TimePoint next = TimePoint::max();
  if (!deadlines_.empty()) next = deadlines_.begin()->first;
  if (!pauses_.empty()) next = std::min(next, pauses_.begin()->first);
  if (next >= armed_) return;  // it rings early enough, and is armed again then
  armed_ = next;
  timer_.expires_at(next);
  timer_.async_wait([this](const asio::error_code& error) {
    if (!error) on_timer();
  });
}

void ClientCore::on_timer() {
  armed_ = TimePoint::max();
  const TimePoint now = std::chrono::steady_clock::now();
  while (!pauses_.empty() && pauses_.begin()->first <= now) {
    const auto found = calls_.find(pauses_.begin()->second);
    pauses_.erase(pauses_.begin());
    if (found != calls_.end()) place(found->second);
  }
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const ClientCallPtr call = calls_.at(deadlines_.begin()->second);
    std::string text = "no reply in time";
    if (call->link == nullptr && links_up_ == 0) {
      const auto lock = lock_briefly(mutex_);
      text = "not sent: " + last_down_.message();
    }
    if (call->link != nullptr && call->link->up()) send_cancel(*call->link, call->envelope.id);
    fail(call, {StatusCode::deadline_exceeded, text});
  }
  place_waiting();
  arm_timer();
}

void ClientCore::stop_now() {
  stopping_ = true;
  for (const auto& link : links_) link->stop();
  links_up_ = 0;
  take_inbox();
  std::vector<ClientCallPtr> all;
  for (const auto& [id, call] : calls_) all.push_back(call);
  for (const ClientCallPtr& call : all) {
    fail(call, {StatusCode::cancelled, "the client was closed"});
  }
  timer_.cancel();
  work_.reset();
}

}  // namespace vecserve::net
