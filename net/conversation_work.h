// The works of a conversation: a search that rides in a batch, a call of any other verb, and a scan
// page by page. Made on the io thread, run and finished on lanes. Between conversation and the
// serving core. Always holds: a work keeps its request's memory and its conversation alive, and
// nothing that finish() does can throw past it.
#pragma once

#include <memory>
#include <optional>

#include "net/conversation.h"
#include "net/device.h"
#include "net/serving.h"

namespace vecserve::net {

[[nodiscard]] WorkTerms terms_of(const Arrived& arrived, GroupId group, std::uint32_t weight);

class SearchTask final : public SearchWork {
 public:
  SearchTask(std::shared_ptr<Conversation> conversation, std::unique_ptr<Arrived> arrived,
             const WorkTerms& terms, Call call);
  void finish(const Outcome& outcome) noexcept override;
  [[nodiscard]] const Arrived& arrived() const { return *arrived_; }

 private:
  const std::shared_ptr<Conversation> conversation_;
  const std::unique_ptr<Arrived> arrived_;
};

class CallTask final : public CallWork {
 public:
  // `peer` is the one of the dispatch that it goes to.
  CallTask(std::shared_ptr<Peer> peer, std::shared_ptr<Conversation> conversation,
           std::unique_ptr<Arrived> arrived, const WorkTerms& terms);
  Status call(const std::shared_ptr<const CancelToken>& stop) override;
  void finish(const Outcome& outcome) noexcept override;
  [[nodiscard]] const Arrived& arrived() const { return *arrived_; }

 private:
  const std::shared_ptr<Conversation> conversation_;
  const std::unique_ptr<Arrived> arrived_;
  ReplyBody reply_;  // the lane's, then finish()'s
};

// A scan on its way: survives from page to page. Used by one page's work at a time.
class ScanTask {
 public:
  ScanTask(ServerShared& shared, std::unique_ptr<Arrived> arrived);
  ScanTask(const ScanTask&) = delete;
  ScanTask& operator=(const ScanTask&) = delete;

  // The next page; done() tells afterwards whether it was the last.
  [[nodiscard]] Status next(RowsReply& page);
  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const Arrived& arrived() const { return *arrived_; }

 private:
  [[nodiscard]] Status open();

  ServerShared& shared_;
  const std::unique_ptr<Arrived> arrived_;
  std::optional<Cursor> cursor_;
  std::uint64_t rows_left_ = 0;
  bool done_ = false;
};

// One page.
class ScanPage final : public CallWork {
 public:
  ScanPage(std::shared_ptr<Conversation> conversation, std::shared_ptr<ScanTask> task);
  Status call(const std::shared_ptr<const CancelToken>& stop) override;
  void finish(const Outcome& outcome) noexcept override;

 private:
  const std::shared_ptr<Conversation> conversation_;
  const std::shared_ptr<ScanTask> task_;
  RowsReply page_;
};

}  // namespace vecserve::net
