// See target.h.
// The server over the wire. Writes are pipelined: a few are on their way while the next rows are
// read, which hides the round trip and lets the server commit them together. The main thread calls;
// callbacks run on the client's thread and touch only what the mutex guards.
// Always holds: at most kWritesMax writes are on their way; the first error of any is kept.
#include <condition_variable>
#include <mutex>
#include <utility>

#include "tools/vecctl/target.h"

namespace vecserve::vecctl {
namespace {

constexpr std::uint32_t kWritesMax = 8;  // enough to keep a disk's group commits full

// A refused write is sent again after what the server advised, as often as this.
constexpr std::uint32_t kAttempts = 10;

class ServerTarget final : public Target {
 public:
  explicit ServerTarget(Client client) : client_(std::move(client)) {}
  ~ServerTarget() override { (void)flush(); }

  Status create(const std::string& name, const CollectionOptions& options) override {
    return client_.create_collection(name, options).status();
  }
  Status drop(const std::string& name) override { return client_.drop_collection(name).status(); }
  Result<std::vector<std::string>> list() override { return client_.list_collections(); }
  Result<CollectionStats> stats(const std::string& name) override {
    return client_.collection_stats(name);
  }
  Result<DatabaseStats> database_stats() override { return client_.database_stats(); }
  Result<CheckpointInfo> checkpoint(const std::string& name) override {
    return client_.checkpoint(name);
  }
  Result<VerifyReport> verify() override { return client_.verify(); }

  Status write(const std::string& name, const std::vector<RowInput>& rows) override {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return running_ < kWritesMax; });
      if (!failure_.ok()) return failure_;
      ++running_;
    }
    CallOptions call;
    call.priority = Priority::bulk;
    call.attempts_max = kAttempts;
    client_.async_upsert(name, rows, {}, call, [this](const Reply<WriteResult>& reply) {
      const std::lock_guard lock(mutex_);
      if (!reply.ok() && failure_.ok()) failure_ = reply.status();
      --running_;
      changed_.notify_all();
    });
    return {};
  }
  Status flush() override {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return running_ == 0; });
    return failure_;
  }
  Result<WriteResult> erase(const std::string& name, const std::vector<RowId>& ids) override {
    return client_.erase(name, ids);
  }
  Result<WriteResult> erase_where(const std::string& name, const std::string& filter) override {
    return client_.erase_where(name, filter);
  }

  Result<Answer> search(const std::string& name, const Query& query,
                        const SearchOptions& options) override {
    return answer_of(client_.search(name, query, options));
  }
  Result<Answer> range_search(const std::string& name, const Query& query,
                              const RangeSearchOptions& options) override {
    return answer_of(client_.range_search(name, {&query, 1}, options));
  }
  Result<std::vector<std::optional<Row>>> get(const std::string& name,
                                              const std::vector<RowId>& ids) override {
    return client_.multi_get(name, ids);
  }
  Result<std::uint64_t> count(const std::string& name, const std::string& filter) override {
    return client_.count(name, filter);
  }
  Status scan(const std::string& name, const ScanOptions& options,
              const std::function<Status(const std::vector<Row>&)>& page) override {
    RemoteCursor cursor = client_.scan(name, options);
    while (!cursor.done()) {
      const Reply<std::vector<Row>> rows = cursor.next(kPageRows);
      VECSERVE_TRY(rows.status());
      if (rows->empty()) break;
      VECSERVE_TRY(page(*rows));
    }
    return {};
  }

 private:
  static Result<Answer> answer_of(Reply<SearchResult> reply) {
    VECSERVE_TRY(reply.status());
    return Answer{std::move(reply.value()), reply.info()};
  }

  Client client_;

  // Guarded by mutex_.
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint32_t running_ = 0;
  Status failure_;
};

}  // namespace

Result<std::unique_ptr<Target>> open_server(const ClientOptions& options) {
  Result<Client> client = Client::connect(options);
  VECSERVE_TRY(client.status());
  return std::unique_ptr<Target>(std::make_unique<ServerTarget>(*std::move(client)));
}

}  // namespace vecserve::vecctl
