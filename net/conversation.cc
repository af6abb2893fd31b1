// The course of a connection: hello, requests, cancels, replies. The io thread comes in by
// on_frame, lanes by the answer functions. Always holds: what is in open_ has no reply yet, and a
// request is entered there before anything can finish it.
#include "net/conversation.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "net/brief_lock.h"
#include "net/conversation_work.h"
#include "net/greeting.h"

namespace vecserve::net {

namespace {

// The scope that a verb needs.
std::uint8_t scope_of(Verb verb) {
  switch (verb) {
    case Verb::create_collection:
    case Verb::drop_collection:
    case Verb::checkpoint:
    case Verb::verify:
    case Verb::restore:
      return kScopeAdmin;
    default:
      return is_write(verb) ? kScopeWrite : kScopeRead;
  }
}

ServedStages served_of(const Outcome& outcome) {
  ServedStages served;
  served.queue_ns = outcome.stages.queue_ns;
  served.batch_ns = outcome.stages.batch_ns;
  served.scan_ns = outcome.stages.scan_ns;
  served.rescore_ns = outcome.stages.rescore_ns;
  served.fetch_ns = outcome.stages.fetch_ns;
  served.run_ns = outcome.stages.run_ns;
  served.batch_size = outcome.batch_works;
  served.batch_queries = outcome.batch_weight;
  served.load.level = static_cast<double>(outcome.load.level);
  served.load.queued = outcome.load.queued;
  served.load.spare = outcome.load.spare;
  served.load.credits = outcome.load.credits;
  served.load.wait_ns =
      static_cast<std::uint64_t>(std::max<std::int64_t>(outcome.load.predicted_wait.count(), 0));
  return served;
}

}  // namespace

Deadline Arrived::deadline() const {
  if (header.deadline_us == 0) return kNoDeadline;
  return at + std::chrono::microseconds(std::min(header.deadline_us, limits::deadline_us_max));
}

Conversation::Conversation(ServerShared& shared, std::string address, std::function<void()> wake)
    : owned_(shared.shared_from_this()),
      shared_(shared),
      address_(std::move(address)),
      outbox_(shared.options.outbox_bytes_max, shared.bytes, std::move(wake)) {}

Conversation::~Conversation() = default;

std::size_t Conversation::body_bytes_max() const {
  return greeted_ ? shared_.options.frame_bytes_max : limits::hello_bytes_max;
}

std::size_t Conversation::unanswered() const {
  const auto lock = lock_briefly(mutex_);
  return open_.size();
}

// ---- coming in
// -----------------------------------------------------------------------------------

bool Conversation::on_frame(Frame frame) {
  if (ended_) return false;
  if (!greeted_) {
    ended_ = !greet(frame);
    return !ended_;
  }
  shared_.counters.requests.fetch_add(1, std::memory_order_relaxed);
  auto arrived = std::make_unique<Arrived>();
  arrived->header = frame.header;
  arrived->body = std::move(frame.body);
  arrived->at = shared_.clock.steady_now();
  if (!decode(arrived)) {
    ended_ = ++faults_ >= limits::faults_max;
    return !ended_;
  }
  faults_ = 0;
  dispatch(std::move(arrived));
  return true;
}

void Conversation::on_fault(FrameFault fault, const FrameHeader& header) {
  ended_ = true;
  shared_.counters.cut_broken.fetch_add(1, std::memory_order_relaxed);
  if (fault == FrameFault::magic || header == FrameHeader()) return;  // not our protocol, or noise
  ErrorReply error;
  const bool version = fault == FrameFault::version;
  error.status = Status(version ? StatusCode::unimplemented : StatusCode::invalid_argument,
                        std::string(to_string(fault)), version ? "version" : "frame");
  if (version) {
    error.version_min = kVersionMin;
    error.version_max = kVersionMax;
  }
  Arrived arrived;
  arrived.header = header;
  arrived.at = shared_.clock.steady_now();
  refuse(arrived, error);
}

bool Conversation::greet(const Frame& frame) {
  Arrived arrived;
  arrived.header = frame.header;
  arrived.at = shared_.clock.steady_now();
  const ErrorReply error = judge_hello(shared_, address_, frame, greeting_);
  if (!error.status.ok()) {
    shared_.counters.cut_strange.fetch_add(1, std::memory_order_relaxed);
    shared_.tell(ServerEvent::Level::warning, "hello refused", address_);
    refuse(arrived, error);
    return false;
  }
  greeted_ = true;
  peers_ = shared_.serving.join();
  reply_now(arrived, hello_of(shared_.options, greeting_));
  return true;
}

bool Conversation::decode(std::unique_ptr<Arrived>& arrived) {
  if (arrived->header.is_reply()) {
    refuse(*arrived, Status::invalid_argument("flags", "a reply is no request"));
    return false;
  }
  const Status status = decode_request(arrived->header, arrived->body, arrived->request);
  if (!status.ok()) refuse(*arrived, status);
  return status.ok();
}

Status Conversation::check_allowed(Verb verb, const RequestBody& request) const {
  const std::uint8_t needed = scope_of(verb);
  const std::string_view collection = collection_of(request);
  std::uint8_t held = 0;
  if (!collection.empty()) {
    held = greeting_.identity.scopes_on(collection);
  } else {
    // What is about no collection in particular: looking is for everybody who may look at
    // anything, changing for those who may change everything.
    held = needed == kScopeRead ? greeting_.identity.scopes_anywhere()
                                : greeting_.identity.scopes_everywhere();
  }
  if ((held & needed) != 0) return {};
  return {StatusCode::permission_denied, "the token does not allow this"};
}

void Conversation::dispatch(std::unique_ptr<Arrived> arrived) {
  switch (arrived->header.verb) {
    case Verb::hello:
      return refuse(*arrived, Status(StatusCode::failed_precondition, "hello was said already"));
    case Verb::ping:
      return reply_now(*arrived, EmptyReply());
    case Verb::cancel:
      return cancel(*arrived);
    default:
      break;
  }
  Status status = check_allowed(arrived->header.verb, arrived->request);
  if (status.ok()) status = enter(*arrived);
  if (!status.ok()) return refuse(*arrived, status);
  switch (arrived->header.verb) {
    case Verb::search:
    case Verb::range_search:
      return start_search(std::move(arrived));
    case Verb::scan:
      return start_scan(std::move(arrived));
    default:
      return start_call(std::move(arrived));
  }
}

// ---- the table of unanswered requests
// --------------------------------------------------------------

Status Conversation::enter(const Arrived& arrived) {
  const auto lock = lock_briefly(mutex_);
  if (closed_) return {StatusCode::cancelled, "the connection is closing"};
  if (open_.size() >= shared_.options.connection_requests_max) {
    return {StatusCode::resource_exhausted, "too many unanswered requests on this connection"};
  }
  const std::size_t bytes = arrived.body.size();
  if (open_bytes_ + bytes > shared_.options.connection_bytes_max) {
    return {StatusCode::resource_exhausted, "too many bytes in unanswered requests"};
  }
  const auto [at, added] = open_.try_emplace(arrived.header.request_id);
  if (!added) {
    return Status::invalid_argument("request_id", "an unanswered request has this number");
  }
  at->second.bytes = bytes;
  open_bytes_ += bytes;
  return {};
}

Conversation::Open Conversation::take(OpenTable::iterator at) {
  Open gone = std::move(at->second);
  open_.erase(at);
  open_bytes_ -= gone.bytes;
  if (gone.scan != nullptr) {
    --scans_;
    shared_.counters.scans.fetch_sub(1, std::memory_order_relaxed);
  }
  return gone;
}

void Conversation::leave(std::uint64_t request_id) {
  Open gone;  // destroyed outside of the lock
  std::vector<std::uint64_t> ready;
  {
    const auto lock = lock_briefly(mutex_);
    const auto found = open_.find(request_id);
    if (found == open_.end()) return;
    gone = take(found);
    if (gone.write) order_.leave(*gone.write, ready);
  }
  begin_writes(std::move(ready));
}

void Conversation::submit(Dispatch& dispatch, const std::shared_ptr<Work>& work,
                          const Arrived& arrived, bool* guest) {
  const std::optional<Refusal> refusal = try_submit(dispatch, work, arrived, guest);
  if (!refusal) return;  // from here on the work may be finished and gone
  refuse(arrived, *refusal);
  leave(arrived.header.request_id);
}

std::optional<Refusal> Conversation::try_submit(Dispatch& dispatch,
                                                const std::shared_ptr<Work>& work,
                                                const Arrived& arrived, bool* guest) {
  bool wanted = false;
  {
    const auto lock = lock_briefly(mutex_);
    const auto found = open_.find(arrived.header.request_id);
    if (found == open_.end()) return std::nullopt;  // cancelled meanwhile
    wanted = !closed_;
    if (wanted) {
      found->second.work = work;
      found->second.dispatch = &dispatch;
    }
  }
  if (wanted) return dispatch.submit(work, guest);
  leave(arrived.header.request_id);
  return std::nullopt;
}

// ---- ending works
// ----------------------------------------------------------------------------------

void Conversation::cancel(const Arrived& arrived) {
  const auto& [target, waiting_only] = std::get<CancelRequest>(arrived.request);
  std::shared_ptr<Work> work;
  Dispatch* dispatch = nullptr;
  std::shared_ptr<ScanTask> paused;
  std::shared_ptr<CallTask> held;
  {
    const auto lock = lock_briefly(mutex_);
    const auto found = open_.find(target);
    if (found != open_.end()) {
      held = drop_held(found->second);
      work = found->second.work;
      dispatch = found->second.dispatch;
      const auto place = std::find(paused_.begin(), paused_.end(), found->second.scan);
      if (work == nullptr && place != paused_.end()) {
        paused = std::move(*place);
        paused_.erase(place);
      }
    }
  }
  if (work != nullptr) static_cast<void>(dispatch->cancel(*work, waiting_only));
  Outcome outcome;
  outcome.status = Status(StatusCode::cancelled, "cancelled by the client");
  if (paused != nullptr) answer_error(paused->arrived(), outcome);
  if (held != nullptr) answer_error(held->arrived(), outcome);
  reply_now(arrived, EmptyReply());
}

void Conversation::close() {
  std::vector<std::shared_ptr<ScanTask>> paused;
  std::vector<std::shared_ptr<CallTask>> held;
  {
    const auto lock = lock_briefly(mutex_);
    if (closed_) return;
    closed_ = true;
    paused.swap(paused_);
    for (auto& [id, open] : open_) {
      if (auto work = drop_held(open)) held.push_back(std::move(work));
    }
  }
  ended_ = true;
  outbox_.close();
  // Works that are still running keep us alive until they are finished; what nobody will finish
  // are scans that paused and writes that waited for others.
  if (greeted_) shared_.serving.cancel_all(peers_);
  for (const std::shared_ptr<ScanTask>& task : paused) leave(task->arrived().header.request_id);
  for (const std::shared_ptr<CallTask>& task : held) leave(task->arrived().header.request_id);
}

// ---- answers
// ---------------------------------------------------------------------------------------

ReplyEnvelope Conversation::envelope_of(const Arrived& arrived, TimePoint done, bool more) const {
  ReplyEnvelope envelope;
  envelope.verb = arrived.header.verb;
  envelope.request_id = arrived.header.request_id;
  envelope.more = more;
  envelope.version = greeting_.version;
  envelope.timer = {&shared_.clock, arrived.at, done};
  return envelope;
}

void Conversation::record(const Arrived& arrived, StatusCode code, const ServedStages& served) {
  shared_.counters.replies.fetch_add(1, std::memory_order_relaxed);
  if (code != StatusCode::ok) shared_.counters.errors.fetch_add(1, std::memory_order_relaxed);
  if (!shared_.options.on_reply) return;
  ReplyRecord record;
  record.verb = arrived.header.verb;
  record.priority = arrived.header.priority;
  record.code = code;
  record.collection = collection_of(arrived.request);
  record.identity = greeting_.identity.name;
  record.served = &served;
  shared_.options.on_reply(record);
}

void Conversation::reply_now(const Arrived& arrived, const ReplyBody& body) {
  std::string bytes;
  const ServedStages served =
      encode_reply(envelope_of(arrived, arrived.at), ServedStages(), body, bytes);
  outbox_.put(std::move(bytes));
  record(arrived, StatusCode::ok, served);
}

void Conversation::refuse(const Arrived& arrived, const ErrorReply& error) {
  std::string bytes;
  const ServedStages served =
      encode_error_reply(envelope_of(arrived, arrived.at), ServedStages(), error, bytes);
  outbox_.put(std::move(bytes));
  record(arrived, error.status.code(), served);
}

void Conversation::refuse(const Arrived& arrived, const Status& status) {
  refuse(arrived, ErrorReply{status, {}, 0, 0});
}

void Conversation::refuse(const Arrived& arrived, const Refusal& refusal) {
  shared_.counters.refused.fetch_add(1, std::memory_order_relaxed);
  ErrorReply error;
  error.status = to_status(refusal);
  error.retry.predicted_wait = std::chrono::ceil<std::chrono::microseconds>(refusal.predicted_wait);
  error.retry.retry_after = std::chrono::ceil<std::chrono::microseconds>(refusal.retry_after);
  refuse(arrived, error);
}

// The client may use the id again as soon as it has the reply: forgotten first, then sent.
void Conversation::deliver(const Arrived& arrived, StatusCode code, const ServedStages& served,
                           std::string bytes) {
  record(arrived, code, served);
  leave(arrived.header.request_id);
  outbox_.put(std::move(bytes));
}

void Conversation::answer(const Arrived& arrived, const Outcome& outcome, const ReplyBody& body) {
  std::string bytes;
  const ServedStages served = encode_reply(envelope_of(arrived, shared_.clock.steady_now()),
                                           served_of(outcome), body, bytes);
  deliver(arrived, StatusCode::ok, served, std::move(bytes));
}

void Conversation::answer_page(const Arrived& arrived, const Outcome& outcome,
                               const RowsReply& page) {
  std::string bytes;
  static_cast<void>(encode_reply(envelope_of(arrived, shared_.clock.steady_now(), true),
                                 served_of(outcome), page, bytes));
  outbox_.put(std::move(bytes));
}

void Conversation::answer_search(const Arrived& arrived, const Outcome& outcome,
                                 const SearchSlice& slice) {
  const TimePoint done = shared_.clock.steady_now();
  ServedStages served = served_of(outcome);
  served.backend = slice.result->backend;
  const auto first = slice.result->certified.begin() + static_cast<std::ptrdiff_t>(slice.first);
  served.certified = std::all_of(first, first + static_cast<std::ptrdiff_t>(slice.count),
                                 [](std::uint8_t one) { return one != 0; });
  std::string bytes;
  served = encode_search_reply(envelope_of(arrived, done), served, slice, bytes);
  deliver(arrived, StatusCode::ok, served, std::move(bytes));
}

void Conversation::answer_error(const Arrived& arrived, const Outcome& outcome) {
  ErrorReply error;
  error.status = outcome.status;
  std::string bytes;
  const ServedStages served = encode_error_reply(envelope_of(arrived, shared_.clock.steady_now()),
                                                 served_of(outcome), error, bytes);
  deliver(arrived, error.status.code(), served, std::move(bytes));
}

}  // namespace vecserve::net
