// How each verb becomes a call of the public API, and how its outcome becomes a reply. call() and
// finish() run on lanes. Always holds: a row page closes at about limits::scan_page_bytes however
// large its rows are, and what a client names is a short name, never a path.
#include "net/conversation_work.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "engine/base/names.h"

namespace vecserve::net {

namespace {

// Runs what answers a request. When memory for the answer cannot be had the connection is given up:
// a client that waits for a reply that never comes is worse off than one that is cut off.
template <typename Answer>
void answer_safely(Conversation& conversation, Answer&& answer) noexcept {
  try {
    answer();
  } catch (...) {
    conversation.outbox().fail();
  }
}

// The calls by type of request. One object per call, on a lane.
class Caller {
 public:
  Caller(ServerShared& shared, const Arrived& arrived, const Identity& identity, ReplyBody& reply,
         std::shared_ptr<const CancelToken> stop)
      : shared_(shared),
        verb_(arrived.header.verb),
        identity_(identity),
        reply_(reply),
        stop_(std::move(stop)) {}

  Status operator()(const EmptyRequest& /*request*/) {
    if (verb_ == Verb::list_collections) return list();
    if (verb_ == Verb::database_stats) return set(Result(shared_.database.stats()));
    return set(shared_.database.verify());
  }
  Status operator()(const CreateRequest& request) {
    return shared_.database.create_collection(request.collection, request.options).status();
  }
  Status operator()(const CollectionRequest& request) {
    if (verb_ == Verb::drop_collection) return shared_.database.drop_collection(request.collection);
    VECSERVE_TRY(find(request.collection));
    if (verb_ == Verb::collection_stats) return set(rows_.stats());
    return set(Result(rows_.options()));
  }
  Status operator()(const WriteRequest& request) {
    VECSERVE_TRY(find(request.collection));
    if (verb_ == Verb::insert) return set(rows_.insert(request.rows, request.options));
    if (verb_ == Verb::update) return set(rows_.update(request.rows, request.options));
    return set(rows_.upsert(request.rows, request.options));
  }
  Status operator()(const EraseRequest& request) {
    VECSERVE_TRY(find(request.collection));
    return set(rows_.erase(request.ids, request.options));
  }
  Status operator()(const EraseWhereRequest& request) {
    VECSERVE_TRY(find(request.collection));
    return set(rows_.erase_where(request.filter, request.options));
  }
  Status operator()(const GetRequest& request) {
    VECSERVE_TRY(find(request.collection));
    if (verb_ == Verb::exists) {
      auto exists = rows_.exists(request.ids.front());
      if (exists.ok()) reply_ = CountReply{*exists ? 1U : 0U};
      return exists.status();
    }
    const GetOptions options = {request.with_payload, request.with_vector};
    RowsReply rows;
    if (verb_ == Verb::get) {
      auto row = rows_.get(request.ids.front(), options);
      if (!row.ok()) return row.status();
      rows.rows.emplace_back(std::move(*row));
    } else {
      auto found = rows_.multi_get(request.ids, options);
      if (!found.ok()) return found.status();
      rows.rows = std::move(*found);
    }
    reply_ = std::move(rows);
    return {};
  }
  Status operator()(const CountRequest& request) {
    VECSERVE_TRY(find(request.collection));
    auto count = rows_.count(request.filter);
    if (count.ok()) reply_ = CountReply{*count};
    return count.status();
  }
  Status operator()(const CheckpointRequest& request) {
    VECSERVE_TRY(check_name("name", request.name));
    // Made when it is first needed; if that fails, making the checkpoint says why.
    std::error_code ignored;
    std::filesystem::create_directories(shared_.options.checkpoint_folder, ignored);
    return set(shared_.database.checkpoint(path_of(request.name)));
  }
  Status operator()(const RestoreRequest& request) {
    VECSERVE_TRY(check_name("checkpoint", request.checkpoint));
    VECSERVE_TRY(check_name("name", request.name));
    return Database::restore(path_of(request.checkpoint), path_of(request.name));
  }
  // hello, cancel, searches and scans do not come here.
  template <typename Other>
  Status operator()(const Other& /*request*/) {
    return {StatusCode::internal, "a request took the wrong way through the server"};
  }

 private:
  template <typename T>
  Status set(Result<T> result) {
    if (result.ok()) reply_ = std::move(*result);
    return result.status();
  }
  Status find(std::string_view name) {
    auto found = shared_.database.collection(name);
    if (found.ok()) rows_ = std::move(*found);
    return found.status();
  }
  Status list() {
    ListReply list;
    for (std::string& name : shared_.database.list_collections()) {
      if ((identity_.scopes_on(name) & kScopeRead) != 0) list.names.push_back(std::move(name));
    }
    reply_ = std::move(list);
    return {};
  }
  Status check_name(std::string_view field, std::string_view name) const {
    if (shared_.options.checkpoint_folder.empty()) {
      return {StatusCode::failed_precondition, "this server has no folder for checkpoints"};
    }
    if (engine::is_valid_name(name)) return {};
    return Status::invalid_argument(std::string(field), "must be 1 to 64 of A-Z a-z 0-9 _ -");
  }
  [[nodiscard]] std::string path_of(std::string_view name) const {
    return shared_.options.checkpoint_folder + "/" + std::string(name);
  }

  ServerShared& shared_;
  const Verb verb_;
  const Identity& identity_;
  ReplyBody& reply_;
  const std::shared_ptr<const CancelToken> stop_;
  Collection rows_;
};

std::size_t bytes_of(const Row& row) {
  return row.vector.bytes().size() + row.payload.size() + 64;
}

}  // namespace

WorkTerms terms_of(const Arrived& arrived, GroupId group, std::uint32_t weight) {
  WorkTerms terms;
  terms.group = group;
  terms.priority = arrived.header.priority;
  terms.weight = std::max(weight, 1U);
  terms.bytes = arrived.body.size() + sizeof(Arrived);
  terms.deadline = arrived.deadline();
  return terms;
}

SearchTask::SearchTask(std::shared_ptr<Conversation> conversation, std::unique_ptr<Arrived> arrived,
                       const WorkTerms& terms, Call call)
    : SearchWork(conversation->peers().searches, terms, std::move(call)),
      conversation_(std::move(conversation)),
      arrived_(std::move(arrived)) {}

void SearchTask::finish(const Outcome& outcome) noexcept {
  answer_safely(*conversation_, [&] {
    if (!outcome.status.ok()) return conversation_->answer_error(*arrived_, outcome);
    conversation_->answer_search(*arrived_, outcome, {&result(), first(), queries.size()});
  });
}

CallTask::CallTask(std::shared_ptr<Peer> peer, std::shared_ptr<Conversation> conversation,
                   std::unique_ptr<Arrived> arrived, const WorkTerms& terms)
    : CallWork(std::move(peer), terms),
      conversation_(std::move(conversation)),
      arrived_(std::move(arrived)) {}

Status CallTask::call(const std::shared_ptr<const CancelToken>& stop) {
  return std::visit(
      Caller(conversation_->shared(), *arrived_, conversation_->identity(), reply_, stop),
      arrived_->request);
}

void CallTask::finish(const Outcome& outcome) noexcept {
  answer_safely(*conversation_, [&] {
    if (!outcome.status.ok()) return conversation_->answer_error(*arrived_, outcome);
    conversation_->answer(*arrived_, outcome, reply_);
  });
}

ScanTask::ScanTask(ServerShared& shared, std::unique_ptr<Arrived> arrived)
    : shared_(shared), arrived_(std::move(arrived)) {
  const auto& request = std::get<ScanRequest>(arrived_->request);
  rows_left_ = request.rows_max == 0 ? UINT64_MAX : request.rows_max;
}

Status ScanTask::open() {
  const auto& request = std::get<ScanRequest>(arrived_->request);
  auto rows = shared_.database.collection(request.collection);
  if (!rows.ok()) return rows.status();
  ScanOptions options;
  options.after = request.after;
  options.filter = request.filter;
  options.with_payload = request.with_payload;
  options.with_vector = request.with_vector;
  auto cursor = rows->scan(options);
  if (cursor.ok()) cursor_.emplace(std::move(*cursor));
  return cursor.status();
}

Status ScanTask::next(RowsReply& page) {
  if (!cursor_) VECSERVE_TRY(open());
  const auto& request = std::get<ScanRequest>(arrived_->request);
  const std::uint64_t page_rows = std::min<std::uint64_t>(request.page_rows, rows_left_);
  std::size_t bytes = 0;
  std::size_t largest = 0;
  while (page.rows.size() < page_rows && bytes < limits::scan_page_bytes) {
    // One row first, then as many as would fit if all were as large as the largest so far.
    const std::size_t room = (limits::scan_page_bytes - bytes) / std::max<std::size_t>(largest, 1);
    const std::size_t fit = largest == 0 ? 1 : std::clamp<std::size_t>(room, 1, 1'024);
    const auto want =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(fit, page_rows - page.rows.size()));
    auto rows = cursor_->next(want);
    if (!rows.ok()) return rows.status();
    for (Row& row : *rows) {
      bytes += bytes_of(row);
      largest = std::max(largest, bytes_of(row));
      page.rows.emplace_back(std::move(row));
    }
    if (rows->size() < want) break;
  }
  rows_left_ -= page.rows.size();
  done_ = cursor_->done() || rows_left_ == 0;
  return {};
}

ScanPage::ScanPage(std::shared_ptr<Conversation> conversation, std::shared_ptr<ScanTask> task)
    : CallWork(conversation->peers().reads, terms_of(task->arrived(), kAlone, 1)),
      conversation_(std::move(conversation)),
      task_(std::move(task)) {}

Status ScanPage::call(const std::shared_ptr<const CancelToken>& /*stop*/) {
  return task_->next(page_);
}

void ScanPage::finish(const Outcome& outcome) noexcept {
  answer_safely(*conversation_, [&] {
    if (!outcome.status.ok()) return conversation_->answer_error(task_->arrived(), outcome);
    if (task_->done()) return conversation_->answer(task_->arrived(), outcome, std::move(page_));
    conversation_->answer_page(task_->arrived(), outcome, page_);
    conversation_->continue_scan(task_);
  });
}

}  // namespace vecserve::net
