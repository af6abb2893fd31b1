// See target.h.
// The folder in this process: every call goes straight to the database. The main thread only.
// Always holds: the folder is closed, and thereby given back, when the target goes.
#include <utility>

#include "tools/vecctl/target.h"

namespace vecserve::vecctl {
namespace {

class FolderTarget final : public Target {
 public:
  explicit FolderTarget(Database database) : database_(std::move(database)) {}

  Status create(const std::string& name, const CollectionOptions& options) override {
    return database_.create_collection(name, options).status();
  }
  Status drop(const std::string& name) override { return database_.drop_collection(name); }
  Result<std::vector<std::string>> list() override { return database_.list_collections(); }
  Result<CollectionStats> stats(const std::string& name) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->stats();
  }
  Result<DatabaseStats> database_stats() override { return database_.stats(); }
  Result<CheckpointInfo> checkpoint(const std::string& name) override {
    return database_.checkpoint(name);
  }
  Result<VerifyReport> verify() override { return database_.verify(); }

  Status write(const std::string& name, const std::vector<RowInput>& rows) override {
    Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->upsert(rows).status();
  }
  Status flush() override { return {}; }
  Result<WriteResult> erase(const std::string& name, const std::vector<RowId>& ids) override {
    Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->erase(ids);
  }
  Result<WriteResult> erase_where(const std::string& name, const std::string& filter) override {
    Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->erase_where(filter);
  }

  Result<Answer> search(const std::string& name, const Query& query,
                        const SearchOptions& options) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    Answer answer;
    VECSERVE_TRY(collection->search({&query, 1}, options, answer.result));
    return answer;
  }
  Result<Answer> range_search(const std::string& name, const Query& query,
                              const RangeSearchOptions& options) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    Result<SearchResult> found = collection->range_search({&query, 1}, options);
    VECSERVE_TRY(found.status());
    return Answer{*std::move(found), {}};
  }
  Result<std::vector<std::optional<Row>>> get(const std::string& name,
                                              const std::vector<RowId>& ids) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->multi_get(ids);
  }
  Result<std::uint64_t> count(const std::string& name, const std::string& filter) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    return collection->count(filter);
  }
  Status scan(const std::string& name, const ScanOptions& options,
              const std::function<Status(const std::vector<Row>&)>& page) override {
    const Result<Collection> collection = database_.collection(name);
    VECSERVE_TRY(collection.status());
    Result<Cursor> cursor = collection->scan(options);
    VECSERVE_TRY(cursor.status());
    while (!cursor->done()) {
      const Result<std::vector<Row>> rows = cursor->next(kPageRows);
      VECSERVE_TRY(rows.status());
      if (rows->empty()) break;
      VECSERVE_TRY(page(*rows));
    }
    return {};
  }

 private:
  Database database_;
};

}  // namespace

Result<std::unique_ptr<Target>> open_folder(const std::string& folder, bool create) {
  DatabaseOptions options;
  options.create_if_missing = create;
  Result<Database> database = Database::open(folder, options);
  VECSERVE_TRY(database.status());
  return std::unique_ptr<Target>(std::make_unique<FolderTarget>(*std::move(database)));
}

}  // namespace vecserve::vecctl
