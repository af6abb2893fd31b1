// How a request that was let in becomes a work, or several: searches, calls, scans page by page,
// and writes in their order. On the io thread, and on lanes for what follows an earlier work.
// Always holds: what is submitted is in the table of unanswered requests, and leaves it once.
#include <algorithm>
#include <cmath>
#include <utility>

#include "net/brief_lock.h"
#include "net/conversation.h"
#include "net/conversation_work.h"

namespace vecserve::net {

void Conversation::start_search(std::unique_ptr<Arrived> arrived) {
  const std::uint64_t id = arrived->header.request_id;
  SearchWork::Call call;
  std::vector<Query> queries;
  std::string_view filter;
  std::uint32_t k = 1;
  Status status;
  if (auto* search = std::get_if<SearchRequest>(&arrived->request)) {
    queries = std::move(search->queries);
    filter = search->filter;
    k = search->k;
    call.with_payload = search->with_payload;
    call.with_vector = search->with_vector;
    call.recall = search->recall.value_or(call.recall);
    call.ef = search->ef.value_or(call.ef);
    call.explain = search->explain;
    SearchOptions effort;
    effort.recall = call.recall;
    effort.ef = call.ef;
    status = effort.validate();
  } else {
    auto& range = std::get<RangeSearchRequest>(arrived->request);
    queries = std::move(range.queries);
    filter = range.filter;
    call.with_payload = range.with_payload;
    call.with_vector = range.with_vector;
    call.radius = range.radius;
    call.limit = range.limit;
    call.explain = range.explain;
    // What is not a number would be taken for any other when calls are grouped.
    if (std::isnan(range.radius)) status = Status::invalid_argument("radius", "is not a number");
  }
  for (Query& query : queries) {
    if (query.k == 0) query.k = k;
    if (!query.filter) query.filter = filter;
    if (query.k == 0) status = Status::invalid_argument("k", "must be at least 1");
  }
  auto rows = shared_.database.collection(collection_of(arrived->request));
  if (!rows.ok()) status = rows.status();
  if (!status.ok()) {
    refuse(*arrived, status);
    return leave(id);
  }
  call.collection = std::move(*rows);
  const WorkTerms terms = terms_of(*arrived, shared_.serving.groups().of(call),
                                   static_cast<std::uint32_t>(queries.size()));
  auto work =
      std::make_shared<SearchTask>(shared_from_this(), std::move(arrived), terms, std::move(call));
  work->queries = std::move(queries);
  bool guest = false;
  submit(shared_.serving.searches(), work, work->arrived(), leaves_ ? &guest : nullptr);
  left_ = left_ || guest;
}

void Conversation::run_left() {
  if (!left_) return;
  left_ = false;
  shared_.serving.run_search_as_guest();
}

void Conversation::start_call(std::unique_ptr<Arrived> arrived) {
  constexpr std::size_t kRowsPerWeight = 64;  // as net/serving.h counts writes
  const Verb verb = arrived->header.verb;
  std::size_t rows = 1;
  if (const auto* write = std::get_if<WriteRequest>(&arrived->request)) rows = write->rows.size();
  if (const auto* erase = std::get_if<EraseRequest>(&arrived->request)) rows = erase->ids.size();
  const bool writes =
      is_write(verb) || verb == Verb::create_collection || verb == Verb::drop_collection;
  const WorkTerms terms =
      terms_of(*arrived, kAlone, static_cast<std::uint32_t>(rows / kRowsPerWeight));
  auto work = std::make_shared<CallTask>(writes ? peers_.writes : peers_.reads, shared_from_this(),
                                         std::move(arrived), terms);
  if (writes) return start_write(work);
  submit(shared_.serving.reads(), work, work->arrived());
}

// ---- writes, in their order
// ----------------------------------------------------------------------------

namespace {

// The rows that a write names; none: it may touch all.
std::vector<WriteOrder::Key> rows_of(const RequestBody& request) {
  std::vector<WriteOrder::Key> keys;
  if (const auto* write = std::get_if<WriteRequest>(&request)) {
    keys.reserve(write->rows.size());
    for (const RowInput& row : write->rows) {
      keys.push_back(WriteOrder::key_of(write->collection, row.id));
    }
  } else if (const auto* erase = std::get_if<EraseRequest>(&request)) {
    keys.reserve(erase->ids.size());
    for (const RowId& id : erase->ids) {
      keys.push_back(WriteOrder::key_of(erase->collection, id));
    }
  }
  return keys;
}

}  // namespace

void Conversation::start_write(const std::shared_ptr<CallTask>& work) {
  const Arrived& arrived = work->arrived();
  std::vector<WriteOrder::Key> keys = rows_of(arrived.request);
  std::vector<std::uint64_t> ready;
  {
    const auto lock = lock_briefly(mutex_);
    // Those that were cancelled while they waited keep their place, and count here alone.
    if (order_.size() < 2 * std::size_t{shared_.options.connection_requests_max}) {
      const std::uint64_t number = next_write_++;
      const auto found = open_.find(arrived.header.request_id);
      if (found == open_.end()) return;  // closed meanwhile
      found->second.write = number;
      held_.emplace(number, work);
      if (!order_.enter(number, std::move(keys))) return;  // begin_writes() will find it
      ready.push_back(number);
    }
  }
  if (!ready.empty()) return begin_writes(std::move(ready));
  refuse(arrived, Status(StatusCode::resource_exhausted, "too many writes wait for each other"));
  leave(arrived.header.request_id);
}

// One that is refused frees those behind it: a list instead of a recursion, which could get deep.
void Conversation::begin_writes(std::vector<std::uint64_t> ready) {
  while (!ready.empty()) {
    const std::uint64_t number = ready.back();
    ready.pop_back();
    std::shared_ptr<CallTask> work;
    {
      const auto lock = lock_briefly(mutex_);
      auto waiting = held_.extract(number);
      if (!waiting.empty()) work = std::move(waiting.mapped());
      if (work == nullptr) order_.leave(number, ready);  // cancelled or closed meanwhile
    }
    if (work == nullptr) continue;
    const Arrived& arrived = work->arrived();
    const std::optional<Refusal> refusal =
        try_submit(shared_.serving.writes(), work, arrived, nullptr);
    if (!refusal) continue;
    refuse(arrived, *refusal);
    Open gone;
    const auto lock = lock_briefly(mutex_);
    const auto found = open_.find(arrived.header.request_id);
    if (found != open_.end()) gone = take(found);
    order_.leave(number, ready);
  }
}

std::shared_ptr<CallTask> Conversation::drop_held(Open& open) {
  if (!open.write) return nullptr;
  const auto at = held_.find(*open.write);
  if (at == held_.end()) return nullptr;
  open.write.reset();  // its place in the order stays until its turn comes
  return std::move(at->second);
}

void Conversation::start_scan(std::unique_ptr<Arrived> arrived) {
  const std::uint64_t id = arrived->header.request_id;
  auto& running = shared_.counters.scans;
  auto task = std::make_shared<ScanTask>(shared_, std::move(arrived));
  bool room = false;
  {
    const auto lock = lock_briefly(mutex_);
    room = scans_ < limits::connection_scans_max &&
           running.load(std::memory_order_relaxed) < limits::scans_max;
    if (room) {
      ++scans_;
      running.fetch_add(1, std::memory_order_relaxed);
      open_[id].scan = task;
    }
  }
  if (room) return continue_scan(std::move(task));
  refuse(task->arrived(), Status(StatusCode::resource_exhausted, "too many running scans"));
  leave(id);
}

void Conversation::continue_scan(std::shared_ptr<ScanTask> task) {
  Open gone;  // these two are destroyed outside of the lock
  std::shared_ptr<Work> last;
  {
    const auto lock = lock_briefly(mutex_);
    const auto found = open_.find(task->arrived().header.request_id);
    if (found == open_.end()) return;  // cancelled meanwhile
    last = std::move(found->second.work);
    if (closed_) {
      gone = take(found);
      return;
    }
    if (outbox_.bytes() > limits::outbox_bytes_soft) {
      paused_.push_back(std::move(task));
      return;
    }
  }
  auto page = std::make_shared<ScanPage>(shared_from_this(), task);
  submit(shared_.serving.reads(), page, task->arrived());
}

void Conversation::drained() {
  std::vector<std::shared_ptr<ScanTask>> paused;
  {
    const auto lock = lock_briefly(mutex_);
    paused.swap(paused_);
  }
  for (std::shared_ptr<ScanTask>& task : paused) continue_scan(std::move(task));
}

}  // namespace vecserve::net
